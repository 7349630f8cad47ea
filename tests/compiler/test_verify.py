import numpy as np
import pytest

from compiler import executors
from compiler import verify as module
from compiler.executors import Golden
from compiler.verify import verify
from compiler.workload import open_workload


@pytest.fixture
def broken(monkeypatch):
    """Return a function that makes the executor "c" the golden model with something changed."""
    def make(change, *, answer=0):
        class Broken(Golden):
            def trace(self, x):
                made = {name: values.copy() for name, values in super().trace(x).items()}
                change(made)
                return made

            def run(self, x):
                return super().run(x) + answer
        monkeypatch.setattr(executors, "Broken", Broken, raising=False)
        monkeypatch.setitem(executors.EXECUTORS, "c", "compiler.executors:Broken")
    return make


@pytest.mark.parametrize("count", [1, 6, 7, 445])
def test_agreement_in_batches(monkeypatch, count):
    monkeypatch.setattr(module, "BATCH", 3 if count < 100 else 200)
    verdict = verify(open_workload(None), "golden,c", count)
    assert verdict.agree
    assert verdict.samples == count
    assert verdict.correct["c"] == verdict.correct["golden"] > 0.9 * count
    assert verdict.layers == ("sign0", "sign1", "fc2")


def test_first_mismatch_counts_over_batches(broken, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    seen = []

    def change(made):
        seen.append(len(made["fc2"]))
        if len(seen) == 2:
            made["fc2"][1, 9] += 1
    broken(change)
    verdict = verify(open_workload(None), "c,golden", 12)
    found = verdict.mismatches["c"]
    assert not verdict.agree
    assert (found.sample, found.layer, found.channel) == (5, "fc2", 9)
    assert found.found == found.expected + 1
    assert verdict.mismatches["golden"] is None
    assert seen == [4, 4]                       # it is left at its first mismatch
    assert list(verdict.correct) == ["golden"]  # and has no accuracy


def test_wrong_answer_behind_right_layers(broken):
    broken(lambda made: None, answer=1)
    verdict = verify(open_workload(None), "c", 2)
    assert verdict.mismatches["c"].layer == "answer"
    assert not verdict.agree


def test_no_labels_no_accuracy(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 64), np.uint8))
    verdict = verify(open_workload(None, str(tmp_path / "x.npy")), "c", 5)
    assert list(verdict.lines()) == ["2 samples of x.npy, layers sign0, sign1, fc2",
                                     "c: every layer agrees"]


def test_two_decimals():
    assert "accuracy golden: 100.00 %" in list(verify(open_workload(None), "golden", 1).lines())

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from compiler import evaluate as module
from compiler.cli import commands
from compiler.cluster import connect
from compiler.datasets import DataError
from compiler.evaluate import confuse, evaluate
from compiler.executors import Golden, classes_of
from compiler.workload import Workload, open_workload


pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


@pytest.fixture
def told():
    """A progress that keeps what it is told."""
    class Told(list):
        def __call__(self, name, total):
            self.append((name, total))
            return self

        def __enter__(self):
            return self.append

        def __exit__(self, *_):
            pass
    return Told()


def by_hand(work, data):
    """Count answers of the golden model, one by one."""
    matrix = np.zeros((10, 10), int)
    for x, label in zip(data.x, data.labels, strict=True):
        matrix[label, classes_of(Golden(work.graph).run(x[None]))[0]] += 1
    return matrix


def test_is_what_the_golden_model_says(threads, told):
    work = open_workload(None)
    with connect(threads) as client:
        made = evaluate(work, client, count=told)
    data = work.samples(None)
    np.testing.assert_array_equal(made.confusion, by_hand(work, data))
    assert made.samples == len(data) == 445
    assert made.accuracy == made.correct / 445 == pytest.approx(0.9775, abs=1e-4)
    assert made.classes == tuple("0123456789")
    assert told[0] == ("445 inputs of digits.npz", 445)
    assert told[-1] == 445


def test_parts_of_any_size_are_put_together(threads, monkeypatch):
    work = open_workload(None)
    monkeypatch.setattr(module, "FRAMES", 7)
    with connect(threads) as client:
        made = evaluate(work, client, 40)
    np.testing.assert_array_equal(made.confusion, by_hand(work, work.samples(40)))


def test_outputs_that_vote(threads):
    with connect(threads) as client:
        made = evaluate(open_workload("xor"), client)
    assert made.classes == ("0", "1")
    assert made.confusion.tolist() == [[2, 0], [0, 2]]


def test_labels_are_needed(threads):
    work = Workload("net", open_workload(None).graph, None)
    with connect(threads) as client, pytest.raises(
            DataError, match="^Data must have labels, such as an .npz file with x and y, or a "
                             "folder of pictures for each class; random inputs has none$"):
        evaluate(work, client)


def test_confuse():
    names, matrix = confuse(np.array([0, 0, 1, 2]), np.array([0, 4, 1, 1]), ("cat", "dog"))
    assert names == ("cat", "dog", "2", "3", "4")
    assert matrix.tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0],
                               [0] * 5, [0] * 5]


@pytest.mark.parametrize(("labels", "found"), [([0], [-3]), ([0], [4096]), ([1 << 40], [0])])
def test_what_is_no_class(labels, found):
    odd = max(labels + found, key=lambda value: abs(value))
    with pytest.raises(DataError, match="^Labels and answers must be classes between 0 and 4095, "
                                        f"not {odd}$"):
        confuse(np.array(labels), np.array(found), ())


# The command

def call(*words):
    return CliRunner().invoke(commands, ["evaluate", *map(str, words)],
                              prog_name="python -m compiler")


def test_command(threads):
    result = call("digits", "--samples", 100, "--scheduler", threads)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    work = open_workload(None)
    matrix = by_hand(work, work.samples(100))
    for name, row in enumerate(matrix):
        words = [str(value) if value else "." for value in row]
        assert [str(name), *words, f"{100 * row[name] / row.sum():.1f}", "%"] in lines
    right = matrix.trace()
    assert result.stdout.endswith(f"accuracy {right:.2f} %: {right} of 100 inputs of digits.npz\n")
    assert "100 inputs of digits.npz: 100 of 100" in result.stderr
    assert result.stderr.endswith("\nNext: python -m compiler build digits --board icebreaker\n")


def test_json(threads, tmp_path):
    data = open_workload(None).samples(20)
    np.savez(tmp_path / "own.npz", x=data.x, y=data.labels)
    result = call("digits", "--data", tmp_path / "own.npz", "--scheduler", threads, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["model"], facts["data"], facts["samples"]) == ("digits", "own.npz", 20)
    assert facts["correct"] == sum(row[at] for at, row in enumerate(facts["confusion"]))
    assert facts["accuracy"] == facts["correct"] / 20


def test_refuses_data_without_labels(threads, tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((3, 64), np.uint8))
    result = call("digits", "--data", tmp_path / "own.npz", "--scheduler", threads)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Data must have labels, ")

import numpy as np

from compiler import accuracy
from compiler.accuracy import Accuracy, measure, products
from compiler.models import network
from compiler.workload import open_workload


def test_digits():
    assert measure(open_workload(None)) == Accuracy("digits.npz", 445, 445, 435)


def test_votes_are_counted():
    assert measure(open_workload("xor")) == Accuracy("xor.npz", 4, 4, 4)


def test_products():
    assert products(open_workload(None).graph) == 64 * 256 + 256 * 256 + 256 * 10


def test_as_many_as_are_soon_done(monkeypatch):
    each = 64 * 256 + 256 * 256 + 256 * 10
    whole = measure(open_workload(None))
    for most, samples in ((each * 445, 445), (each * 445 - 1, 444), (1, 1)):
        monkeypatch.setattr(accuracy, "MOST_PRODUCTS", most)
        found = measure(open_workload(None))
        assert (found.samples, found.given) == (samples, 445)
        assert whole.correct - (445 - samples) <= found.correct <= samples


def test_no_labels(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 64), np.uint8))
    assert measure(open_workload(None, str(tmp_path / "x.npy"))) is None
    assert measure(open_workload(str(network()))) is None

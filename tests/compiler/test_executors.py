import numpy as np
import pytest

from compiler import golden, models
from compiler.errors import UserError
from compiler.executors import Mismatch, batches, classes_of, compare, executor, known
from compiler.workload import open_workload


WORK = open_workload(None)
SAMPLES = WORK.samples(5)


@pytest.mark.parametrize("name", ["golden", "c"])
def test_executors_agree(name):
    made = executor(name, WORK.graph)
    expected = {node.name: values for node, values in golden.trace(WORK.graph, SAMPLES.x)}
    found = made.trace(SAMPLES.x)
    assert list(found) == ["sign0", "sign1", "fc2"]
    assert compare(name, found, {layer: expected[layer] for layer in found}) is None
    np.testing.assert_array_equal(made.run(SAMPLES.x), expected[WORK.graph.output.name])


def test_lists():
    assert known("rtl, c,rtl") == ["rtl", "c"]
    for wrong in "cats", "", "c,":
        with pytest.raises(UserError, match="^Executor must be one of golden, c, rtl, not '"):
            known(wrong)


@pytest.mark.parametrize(("shape", "at", "place"), [
    ((3, 7), (2, 5), (12, 5, 0, 0)),
    ((3, 4, 6, 7), (1, 2, 5, 3), (11, 3, 2, 5)),
    ((3,), (1,), (11, 0, 0, 0)),
])
def test_mismatch_is_where_it_is(shape, at, place):
    right = {"first": np.zeros((3, 2), int), "second": np.zeros(shape, int)}
    made = {name: values.copy() for name, values in right.items()}
    made["second"][at] = 9
    sample, channel, y, x = place
    found = compare("c", made, right, first=10)
    assert found == Mismatch("c", sample, "second", channel, y, x, 9, 0)
    assert str(found) == (f"c: sample {sample}, layer 'second', channel {channel}, y {y}, x {x}: "
                          "9, not 0")


def test_first_layer_comes_first():
    right = {"first": np.zeros((3, 2), int), "second": np.zeros((3, 2), int)}
    made = {"second": np.ones((3, 2), int), "first": np.zeros((3, 2), int)}
    made["first"][2, 1] = 1
    assert compare("rtl", made, right).layer == "first"


def test_missing_layer_is_no_agreement():
    with pytest.raises(KeyError):
        compare("c", {}, {"first": np.zeros((1, 1))})


def test_what_an_executor_never_holds_is_not_compared():
    right = {"first": np.zeros((3, 2), int), "second": np.zeros((3, 2), int)}
    assert compare("rtl", {"first": None, "second": right["second"]}, right) is None
    found = compare("rtl", {"first": None, "second": right["second"] + 1}, right)
    assert found
    assert found.layer == "second"


def test_batches():
    assert [(first, len(part)) for first, part in batches(np.zeros((7, 2)), 3)] == [
        (0, 3), (3, 3), (6, 1)]


def test_classes():
    assert classes_of([3, 1]).tolist() == [3, 1]
    assert classes_of([[0, 5, 5], [2, 1, 0]]).tolist() == [1, 0]
    votes = [[1, -1, -1, -1], [-1, 1, 1, -1], [1, 1, -1, 1]]
    assert classes_of(votes, voted=True).tolist() == [0, 0, 1]


def test_default_network_reaches_its_accuracy():
    everything = WORK.samples(None)
    right = (executor("c", WORK.graph).run(everything.x) == everything.labels).mean()
    assert WORK.name == models.DEFAULT
    assert right >= 0.95

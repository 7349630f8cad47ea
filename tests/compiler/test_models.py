import json

import numpy as np
import pytest

from compiler import golden, models
from compiler.datasets import load as load_data
from compiler.errors import UserError
from compiler.executors import classes_of, votes
from compiler.frontends import load
from compiler.ir import Binary, Fixed
from compiler.passes import to_integer
from compiler.stages import split


@pytest.mark.parametrize("name", [name for name in models.names() if models.held_back(name)])
def test_integers_answer_as_reals_do(name):
    before, test = load(models.network(name)), load_data(models.held_back(name))
    after = to_integer(before)
    recipe = json.loads(models.network(name).with_suffix(".json").read_text())
    answers = golden.run(after, test.x)
    np.testing.assert_array_equal(answers, golden.run(before, test.x))
    assert len(test) == recipe["tested"]
    right = classes_of(answers, votes(after)) == test.labels
    assert round(float(right.mean()), 4) == recipe["accuracy"]


def test_default_network():
    body = split(to_integer(load(models.network()))).body
    assert [layer.sums.weights.shape for layer in body] == [(256, 64), (256, 256), (10, 256)]
    assert [layer.sums.bits for layer in body] == [8, 1, 8]
    assert [layer.input_type for layer in body] == [Fixed(5, signed=False), Binary(), Binary()]
    assert json.loads(models.network().with_suffix(".json").read_text())["accuracy"] >= 0.95


def test_inputs_of_xor():
    shipped, again = load_data(models.held_back("xor")), load_data("xor")
    np.testing.assert_array_equal(shipped.x, again.x)
    np.testing.assert_array_equal(shipped.labels, again.labels)


def test_test_set_is_the_one_held_back():
    pytest.importorskip("sklearn")
    shipped, again = load_data(models.held_back()), load_data("digits", split="test")
    np.testing.assert_array_equal(shipped.x, again.x)
    np.testing.assert_array_equal(shipped.labels, again.labels)


def test_unknown():
    with pytest.raises(UserError, match="^Network must be one of alexnet, .*, not 'cats'$"):
        models.network("cats")

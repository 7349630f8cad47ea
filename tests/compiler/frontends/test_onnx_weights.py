from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from compiler.frontends.onnx_site import Builder, Site
from compiler.frontends.onnx_values import Constant
from compiler.frontends.onnx_weights import bias_of, integer_weights
from compiler.frontends.refusal import Refusal


SHAPES = [(3, 8), (3, 2, 2, 2)]
RNG = np.random.default_rng(0)


@pytest.fixture
def site():
    return Site(Builder([], "y", Path()), helper.make_node("Conv", ["x"], ["y"], name="c"), ())


def rows(values, shape):
    """One value for each output, beside its weights."""
    return np.array(values).reshape(-1, *[1] * (len(shape) - 1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.5, [0.5, 1.0, 2.0]])
@pytest.mark.parametrize(("choices", "width"), [([-1, 1], 1), ([-1, 0, 1], 2)])
@pytest.mark.parametrize("quantized", [False, True])
def test_integers_are_found(site, shape, scale, choices, width, quantized):
    integers = RNG.choice(choices, shape)
    integers.reshape(3, -1)[:, :len(choices)] = choices
    step = rows(scale, shape)
    weights = Constant(integers * step, step if quantized else None, width)
    found, factor, bits = integer_weights(site, weights)
    np.testing.assert_array_equal(found, integers)
    np.testing.assert_array_equal(factor, scale)
    assert bits == width


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("limit", "width"), [(7, 4), (127, 8), (128, None)])
def test_small_integers(site, shape, limit, width):
    values = RNG.integers(-7, 8, shape).astype(float)
    values.reshape(-1)[0] = limit
    found, factor, bits = integer_weights(site, Constant(values))
    np.testing.assert_array_equal(found, values)
    assert (factor, bits) == (1.0, width)


@pytest.mark.parametrize("shape", SHAPES)
def test_scale_within_an_output(site, shape):
    step = np.ones(shape)
    step.reshape(-1)[-1] = 2
    with pytest.raises(Refusal, match="one scale, or one for each output, not for each input$"):
        integer_weights(site, Constant(step, step, 1))


@pytest.mark.parametrize(("bias", "exact", "expected"), [
    (np.zeros(3), True, None), (np.array([1.0, 2, 3]), True, [1, 2, 3]),
    (np.array([1.0, 2, 3]), False, [1, 2, 3]), (np.array([[0.5]]), True, [0.5] * 3)])
def test_bias(site, bias, exact, expected):
    made = bias_of(site, bias, 3, exact=exact)
    if expected is None:
        assert made is None
        return
    np.testing.assert_array_equal(made, expected)
    assert made.dtype.kind == ("i" if exact and made[0] == 1 else "f")

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compiler.ir import Dense
from compiler.passes.precision import (
    Dynamic,
    PowerOfTwo,
    Static,
    Widths,
    best_length,
    fitting_length,
    rounded,
)


WEIGHTS = arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 5)), elements=st.floats(
    -300, 300).map(lambda value: value if abs(value) > 1e-6 else 0.0))


@pytest.mark.parametrize(("values", "length"), [
    ([100.0], 0), ([127.0, 1.0], 0), ([0.5], 7), ([0.0], 0), ([1000.0], -3),
    ([0.3] * 1000 + [1.1], 8),  # one value saturates for the sake of all others
])
def test_best_length(values, length):
    values = np.array(values)

    def quantized(length):
        return np.rint(values * 2.0 ** length).clip(-128, 127) * 2.0 ** -length

    assert best_length(values, 127, quantized) == length


def test_best_length_has_a_limit():
    assert best_length(np.array([0.3]), 127, lambda length: np.array([0.3]), limit=2) <= 2


@given(arrays(float, 5, elements=st.floats(-1e6, 1e6, allow_subnormal=False)).filter(
    lambda x: np.abs(x).max() > 1e-6), st.integers(2, 8))
def test_fitting_length_is_the_greatest(values, bits):
    high = (1 << bits - 1) - 1
    length = fitting_length(values, high)
    largest = np.abs(values).max()
    assert largest * 2.0 ** length <= high * (1 + 1e-12)
    assert largest * 2.0 ** (length + 1) > high * (1 - 1e-12)


@given(WEIGHTS, st.integers(2, 8))
def test_dynamic_weights(values, bits):
    """No other length is nearer, of those around the one that does not overflow."""
    node = Dense(name="a", weights=values)
    made = Dynamic(Widths(2, bits, 2)).weights(node, values)
    assert made.bits == bits
    assert -1 << bits - 1 <= made.values.min() <= made.values.max() < 1 << bits - 1
    error = np.abs(values - made.values * 2.0 ** -made.length).sum()
    start = fitting_length(values, (1 << bits - 1) - 1)
    for length in range(start - 1, start + 5):
        other = np.abs(values - rounded(values, bits, length).values * 2.0 ** -length).sum()
        assert error <= other


def test_widths_of_layers():
    rng = np.random.default_rng(0)
    made = Dynamic(Widths(conv=3, dense=5, data=8)).weights(
        Dense(name="a", weights=np.eye(2)), rng.normal(size=(2, 2)))
    assert made.bits == 5


def test_static_lengths():
    static = Static(Widths.of(4), weight_length=1, data_length=-2)
    node = Dense(name="a", weights=np.eye(2), bias=np.array([0.5, -9.0]))
    made = static.weights(node, np.array([[0.25, 0.75, 100.0, -100.0]]))
    assert made.length == 1
    assert made.values.tolist() == [[0, 2, 7, -8]]  # 0.5 and 1.5 half to even
    assert static.bias(node, 3).tolist() == [4, -32]
    assert static.data(np.ones(3), 15, None) == -2
    assert static.data(np.ones(3), 15, None, limit=-5) == -5


def test_every_power_of_two():
    """Known answers: the sixteen codes, and what lies around them."""
    values = np.array([[sign * 2.0 ** exponent for sign, exponent in
                        itertools.product((1, -1), range(-8, 0))]])
    made = PowerOfTwo(Widths.of(8)).weights(Dense(name="a", weights=values), values)
    assert (made.length, made.bits) == (8, 9)
    np.testing.assert_array_equal(made.values * 2.0 ** -8, values)
    near = np.array([[0.7, -0.36, 0.35, 5.0, 1e-9, 0.0, -1e-9]])
    made = PowerOfTwo(Widths.of(8)).weights(Dense(name="a", weights=near), near)
    np.testing.assert_array_equal(made.values * 2.0 ** -made.length,
                                  [[0.5, -0.5, 0.25, 4, 2 ** -5, 2 ** -5, -(2 ** -5)]])


def test_exponents_end_with_the_largest():
    values = np.array([[0.01, -0.003, 1e-7]])
    made = PowerOfTwo(Widths.of(8)).weights(Dense(name="a", weights=values), values)
    np.testing.assert_array_equal(made.values * 2.0 ** -made.length,
                                  [[2 ** -7, -(2 ** -8), 2 ** -14]])


@given(WEIGHTS)
def test_powers_of_two(values):
    """They shift in every case; and keep to a factor of the square root of 2 within the range."""
    made = PowerOfTwo(Widths.of(8)).weights(Dense(name="a", weights=values), values)
    node = Dense(name="a", weights=made.values, bits=made.bits)
    assert node.shifts
    powers = made.values * 2.0 ** -made.length
    assert (powers[values != 0] * values[values != 0] > 0).all()
    inside = np.abs(values) > np.abs(values).max() * 2.0 ** -7
    ratios = np.abs(powers[inside] / values[inside])
    assert ((ratios > 0.7071 * 0.9999) & (ratios < 1.4143)).all()


def test_biases_of_powers_of_two_are_kept():
    node = Dense(name="a", weights=np.eye(2), bias=np.array([1 / 3, -100.0]))
    assert PowerOfTwo(Widths.of(8)).bias(node, 10).tolist() == [341, -102400]

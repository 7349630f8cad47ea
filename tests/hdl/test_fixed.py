from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.fixed import rescale, saturate


def twin(value, shift, low, high):
    """Python rounds a fraction half to even."""
    return min(max(round(Fraction(value) / Fraction(2) ** shift), low), high)


def ranges():
    for bits in range(1, 9):
        yield -(1 << bits - 1), (1 << bits - 1) - 1
        yield 0, (1 << bits) - 1


@pytest.mark.parametrize("shift", range(-3, 12))
def test_every_small_value(shift):
    values = range(-600, 601)
    whole = [twin(value, shift, -1 << 20, 1 << 20) for value in values]
    for low, high in ranges():
        expected = [min(max(value, low), high) for value in whole]
        assert [rescale(value, shift, low, high) for value in values] == expected
        assert rescale(np.array(values), shift, low, high).tolist() == expected


@given(value=st.integers(-1 << 31, (1 << 31) - 1), shift=st.integers(0, 31),
       limits=st.sampled_from(list(ranges())))
def test_any_sum(value, shift, limits):
    assert rescale(value, shift, *limits) == twin(value, shift, *limits)
    assert rescale(np.int64(value), shift, *limits) == twin(value, shift, *limits)


def test_saturate():
    assert [saturate(value, -2, 1) for value in range(-4, 4)] == [-2, -2, -2, -1, 0, 1, 1, 1]
    assert saturate(np.arange(-4, 4), -2, 1).tolist() == [-2, -2, -2, -1, 0, 1, 1, 1]

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compiler.passes.levels import measure


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(-9, 9), st.booleans())
def test_any_staircase(rises, low, falls):
    """A table of a monotone function is found again from its steps."""
    table = np.cumsum(np.abs(rises)) - 4
    if falls:
        table = table[::-1]
    high = low + len(table) - 1
    steps = measure(lambda x: table[x - low], np.array([low]), np.array([high]))
    x = np.arange(low, high + 1)
    found = steps.first + (x[:, None] * steps.turn >= steps.levels[0]).sum(1)
    np.testing.assert_array_equal(found, table)
    assert steps.levels.min() >= steps.low[0]
    assert steps.levels.max() <= steps.high[0] + 1


def test_asks_few_times():
    asked = []

    def function(x):
        asked.append(len(x))
        return (x >= 12345).astype(int)

    steps = measure(function, np.array([-2 ** 30]), np.array([2 ** 30]))
    assert steps.levels.tolist() == [[12345]]
    assert len(asked) < 40


def test_constant_bits_keep_their_value():
    for value in 0, 1:
        steps = measure(lambda x, value=value: np.full_like(x, value), np.array([-2]),
                        np.array([2]), binary=True)
        assert (steps.first, steps.levels.tolist()) == (0, [[3 - 5 * value]])


def test_each_channel_has_its_own_range_and_direction():
    steps = measure(lambda x: x * np.array([1, -1]), np.array([0, -3]), np.array([2, -1]))
    assert steps.first == 0
    assert steps.turn.tolist() == [1, -1]
    assert steps.levels.tolist() == [[1, 2, 3], [1, 2, 3]]

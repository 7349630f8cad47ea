"""Measures a rising function of integers as the levels at which it steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


__all__ = ["Steps", "measure"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Steps:
    """A function of integers per channel, once the sign of falling channels is changed.

    The function is ``first`` plus the number of ``levels`` that ``turn * x`` has reached. A level
    of ``low`` is always reached, one of ``high + 1`` never.
    """

    levels: Array  # (channels, count), rising along the second axis; count is at least 1
    first: int
    turn: Array    # (channels,) of -1 where the function falls, else +1
    low: Array     # (channels,), of turn * x
    high: Array

    @property
    def last(self) -> int:
        return self.first + self.levels.shape[1]


def measure(function: Callable[[Array], Array], low: Array, high: Array, *,
            binary: bool = False) -> Steps:
    """Find the steps of a monotone function by bisection, between ``low`` and ``high``.

    ``function`` takes integers (batch, channels) and gives integers of the same shape; each
    channel rises or falls. Since the function itself is asked, its rounding is in the levels.
    If it is ``binary``, its values are 0 and 1, and there is one level even where all are equal.
    """
    ends = function(np.stack([low, high]))
    turn = np.where(ends[1] < ends[0], -1, 1)
    first, last = (0, 1) if binary else (int(ends.min()), int(ends.max()))
    if first == last:
        first -= 1  # a Threshold has at least one level
    low, high = np.minimum(low * turn, high * turn), np.maximum(low * turn, high * turn)
    targets = np.arange(first + 1, last + 1)[:, None]
    below = np.repeat(low[None], len(targets), 0)
    above = np.repeat(high[None] + 1, len(targets), 0)
    while (below < above).any():
        middle = below + above >> 1
        reached = function(np.minimum(middle, high) * turn) >= targets
        reached |= middle > high
        below, above = np.where(reached, below, middle + 1), np.where(reached, middle, above)
    return Steps(below.T, first, turn, low, high)

"""Ways to choose the integers that stand for real weights, biases and data.

Each gives a tensor of real values a *fractional length*: integers ``q`` of some bits stand for
``q * 2**-length``. They round half to even and saturate, as `hdl.fixed` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir import Conv, Fixed, Weighted, value_range


__all__ = ["Dynamic", "Integers", "PowerOfTwo", "Static", "Widths", "best_length",
           "fitting_length"]

Array = np.ndarray[Any, Any]

SEARCH = (0, 1, -1, 2, 3, 4)  # from the fractional length that just does not overflow

EXPONENTS = 8  # of weights that are powers of two: with a sign, 4 bits


@dataclass(frozen=True)
class Widths:
    """Bits of the weights and biases of convolutions, of those of dense layers, and of data."""

    conv: int
    dense: int
    data: int

    @classmethod
    def of(cls, bits: int) -> Widths:
        return cls(bits, bits, bits)

    def weights(self, node: Weighted) -> int:
        return self.conv if isinstance(node, Conv) else self.dense


@dataclass(frozen=True)
class Integers:
    """Integers of ``bits`` bits that stand for real values."""

    values: Array
    bits: int
    length: int


@dataclass(frozen=True)
class Dynamic:
    """A length for each tensor: the one that comes nearest (Qiu et al., FPGA 2016, section 5)."""

    widths: Widths

    def weights(self, node: Weighted, values: Array) -> Integers:
        """Return integers for the weights ``values`` of ``node``."""
        bits = self.widths.weights(node)
        return rounded(values, bits, self._nearest(values, bits))

    def bias(self, node: Weighted, total: int) -> Array:
        """Return integers of the length ``total`` for the biases of ``node``.

        They have as many bits as its weights, and a length of their own, of at most ``total``.
        """
        assert node.bias is not None
        bits = self.widths.weights(node)
        length = self._nearest(node.bias, bits, total)
        return rounded(node.bias, bits, length).values << total - length

    def data(self, target: Array, high: int, quantized: Callable[[int], Array],
             limit: int | None = None) -> int:
        """Return the length of data ``target``; the arguments are those of `best_length`."""
        return best_length(target, high, quantized, limit)

    def _nearest(self, values: Array, bits: int, limit: int | None = None) -> int:
        _, high = value_range(Fixed(bits))
        return self._length_of_weights(values, high, lambda length: (
            rounded(values, bits, length).values * 2.0 ** -length), limit)

    def _length_of_weights(self, target: Array, high: int, quantized: Callable[[int], Array],
                           limit: int | None) -> int:
        return best_length(target, high, quantized, limit)


@dataclass(frozen=True)
class Static(Dynamic):
    """One length for all weights and biases, and one for all data, whatever their size."""

    weight_length: int
    data_length: int

    def data(self, target: Array, high: int, quantized: Callable[[int], Array],
             limit: int | None = None) -> int:
        return self.data_length if limit is None else min(self.data_length, limit)

    def _length_of_weights(self, target: Array, high: int, quantized: Callable[[int], Array],
                           limit: int | None) -> int:
        return self.weight_length if limit is None else min(self.weight_length, limit)


@dataclass(frozen=True)
class PowerOfTwo(Dynamic):
    """Weights of -2**k and +2**k, biases as they are, data by dynamic precision.

    Ristretto's ``integer_power_of_2_weights`` (P. Gysel, arXiv:1605.06402): ``k`` is
    ``log2(abs(w))``, rounded, one of eight; 0 counts as positive. Ristretto has -8 to -1
    everywhere; here each layer has eight that end with that of its largest weight, as each has a
    length of its own.
    """

    def weights(self, node: Weighted, values: Array) -> Integers:
        sizes = np.abs(values)
        highest = int(np.rint(np.log2(sizes.max()))) if sizes.any() else 0
        lowest = highest - EXPONENTS + 1
        exponents = np.full(values.shape, lowest)
        seen = sizes > 0
        exponents[seen] = np.rint(np.log2(sizes[seen])).astype(int).clip(lowest, highest)
        lowest = int(exponents.min())
        powers = np.where(values < 0, -1, 1) << exponents - lowest
        span = int(exponents.max()) - lowest
        if not span:  # a bit of room, so that they are no bits of -1 and +1
            powers, span, lowest = 2 * powers, 1, lowest - 1
        return Integers(powers, span + 2, -lowest)

    def bias(self, node: Weighted, total: int) -> Array:
        assert node.bias is not None
        return np.rint(node.bias * 2.0 ** total).astype(np.int64)


def rounded(values: Array, bits: int, length: int) -> Integers:
    """Return the integers of ``bits`` bits, with a sign, and of ``length``, nearest to values."""
    low, high = value_range(Fixed(bits))
    return Integers(np.rint(values * 2.0 ** length).clip(low, high).astype(np.int64), bits, length)


def fitting_length(target: Array, high: int) -> int:
    """Return the greatest length at which no value of ``target`` is beyond the integer ``high``.

    The length of what is 0 everywhere is 0.
    """
    largest = float(np.abs(target).max(initial=0))
    return math.floor(math.log2(high / largest)) if largest else 0


def best_length(target: Array, high: int, quantized: Callable[[int], Array],
                limit: int | None = None) -> int:
    """Return the fractional length, at most ``limit``, whose ``quantized`` values are nearest.

    Nearest is the least sum of absolute differences from ``target``. The search is around the
    greatest length at which the largest of ``target`` is not beyond the integer ``high``.
    """
    start = fitting_length(target, high)
    if limit is not None:
        start = min(start, limit)
    lengths = [start + step for step in SEARCH if limit is None or start + step <= limit]
    return min(lengths, key=lambda length: float(np.abs(target - quantized(length)).sum()))

"""Operations that sum over channels or places: dense layers, convolutions, pools; and joins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir.operations import Node
from compiler.ir.types import (
    Binary,
    Fixed,
    GraphError,
    Real,
    Result,
    Sum,
    TensorType,
    value_range,
)


__all__ = ["Add", "AveragePool", "Concat", "Conv", "Dense", "MaxPool", "Pool", "Weighted"]

Array = np.ndarray[Any, Any]

MOST_SHIFTED = 1 << 7  # of weights whose products are shifts

Pair = tuple[int, int]            # along y, along x
Sides = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighted(Node):
    """Sums of products with ``weights``, times ``scale``, plus ``bias``.

    ``bits`` is the width of integer weights (1: they are -1 and +1), or None for real weights.
    """

    weights: Array                  # outputs first; integer where bits is not None
    bits: int | None = None
    scale: Array | float = 1.0      # scalar or (outputs,)
    bias: Array | None = None       # (outputs,)

    @property
    def fan_in(self) -> int:
        """Products of a sum."""
        return math.prod(self.weights.shape[1:])

    @property
    def channels(self) -> int:
        """Outputs."""
        return int(self.weights.shape[0])

    @property
    def shifts(self) -> bool:
        """Whether its products are shifts: the weights are powers of two, some of them 2 to 128,
        and their negatives."""
        if self.bits is None or self.bits < 3:
            return False
        sizes = np.abs(self.weights)
        return (bool(sizes.all()) and not (sizes & sizes - 1).any()
                and 2 <= int(sizes.max()) <= MOST_SHIFTED)

    def rows(self, values: Array) -> Array:
        """Return ``values``, one for each output, so that they broadcast over ``weights``."""
        return values.reshape(-1, *[1] * (self.weights.ndim - 1))

    def _sums(self, shape: tuple[int, ...], kind: TensorType, zero: bool) -> Result:
        """Shape and type of the sums over a tensor of type ``kind``, in which a factor may be 0
        wherever ``zero`` says so."""
        self._per_channel(shape, scale=self.scale)
        if self.bias is not None:
            self._per_channel(shape, bias=self.bias)
        exact = (self.bits is not None and not isinstance(kind, Real)
                 and np.ndim(self.scale) == 0 and self.scale == 1
                 and (self.bias is None or self.bias.dtype.kind == "i"))
        if not exact:
            return shape, Real()
        low, high = self.sum_range(kind, zero)
        return shape, Sum(int(low.min()), int(high.max()))

    def sum_range(self, kind: TensorType, zero: bool = False) -> tuple[Array, Array]:
        """Return the lowest and the highest sum of each output, for integers of type ``kind``.

        Where ``zero`` is set, any factor may be 0 instead, as in a border of zeros.
        """
        low, high = value_range(kind)
        if zero:
            low, high = min(low, 0), max(high, 0)
        weights = self.weights.reshape(self.channels, -1).astype(np.int64)
        ends = weights * low, weights * high
        bias = 0 if self.bias is None else self.bias
        return np.minimum(*ends).sum(1) + bias, np.maximum(*ends).sum(1) + bias


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Weighted):
    """``(x @ weights.T) * scale + bias``, of weights (outputs, inputs)."""

    def result(self, *inputs: Result) -> Result:
        (shape, kind), = inputs
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise GraphError(f"Node {self.name!r}: weights must be (outputs, inputs) with at "
                             f"least one of each, not {self.weights.shape}")
        if shape != (self.fan_in,):
            raise GraphError(f"Node {self.name!r} must read ({self.fan_in},), as its weights "
                             f"have it, not {shape}")
        return self._sums((self.channels,), kind, zero=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Weighted):
    """Convolution (cross-correlation) of a picture, of weights (outputs, height, width, inputs).

    Output channel ``o`` sees the input channels of its group alone, of which there are ``groups``
    equal ones; the last axis of the weights is the channels of a group. What lies outside the
    picture is 0, for bits of -1 and +1 too.
    """

    stride: Pair = (1, 1)
    pads: Sides = (0, 0, 0, 0)
    groups: int = 1

    @property
    def kernel(self) -> Pair:
        return int(self.weights.shape[1]), int(self.weights.shape[2])

    @property
    def padded(self) -> bool:
        """Whether there is a border of zeros."""
        return any(self.pads)

    def result(self, *inputs: Result) -> Result:
        (shape, kind), = inputs
        if self.weights.ndim != 4 or 0 in self.weights.shape:
            raise GraphError(f"Node {self.name!r}: weights must be (outputs, height, width, "
                             f"inputs) with at least one of each, not {self.weights.shape}")
        if self.groups < 1 or self.channels % self.groups:
            raise GraphError(f"Node {self.name!r}: groups must divide its {self.channels} "
                             f"outputs, not be {self.groups}")
        inputs_ = int(self.weights.shape[3]) * self.groups
        if len(shape) != 3 or shape[2] != inputs_:
            raise GraphError(f"Node {self.name!r} must read (height, width, {inputs_}), as its "
                             f"weights have it, not {shape}")
        height, width = slid(self.name, shape, self.kernel, self.stride, self.pads)
        return self._sums((height, width, self.channels), kind, self.padded)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """What ``kernel`` places of a channel have in common, every ``stride`` places."""

    kernel: Pair
    stride: Pair
    pads: Sides = (0, 0, 0, 0)

    def result(self, *inputs: Result) -> Result:
        (shape, kind), = inputs
        if len(shape) != 3:
            raise GraphError(f"Node {self.name!r} must read (height, width, channels), "
                             f"not {shape}")
        if any(pad >= size for pad, size in zip(self.pads, self.kernel * 2, strict=True)):
            raise GraphError(f"Node {self.name!r}: pads must be smaller than its kernel "
                             f"{self.kernel}, not {self.pads}")
        return (*slid(self.name, shape, self.kernel, self.stride, self.pads), shape[2]), kind


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """The highest value; what lies outside the picture never is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """The mean. What lies outside the picture counts as 0; without ``pads`` there is none."""

    def result(self, *inputs: Result) -> Result:
        shape, _ = super().result(*inputs)
        return shape, Real()


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """The sum of two tensors of one shape."""

    def result(self, *inputs: Result) -> Result:
        (shape, kind), (other, second) = inputs
        if shape != other:
            raise GraphError(f"Node {self.name!r} must read two tensors of one shape, "
                             f"not {shape} and {other}")
        if isinstance(kind, Real) or isinstance(second, Real):
            return shape, Real()
        (low, high), (low2, high2) = value_range(kind), value_range(second)
        return shape, Sum(low + low2, high + high2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Node):
    """Channels of several tensors, side by side."""

    def result(self, *inputs: Result) -> Result:
        shapes, kinds = zip(*inputs, strict=True)
        if len({shape[:-1] for shape in shapes}) > 1:
            raise GraphError(f"Node {self.name!r} must read tensors that differ in channels "
                             f"alone, not {', '.join(map(str, shapes))}")
        shape = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
        return shape, common_type(kinds)


def common_type(kinds: tuple[TensorType, ...]) -> TensorType:
    """Return the narrowest type that holds the values of all ``kinds``."""
    if len(set(kinds)) == 1:
        return kinds[0]
    fixed = [kind for kind in kinds if isinstance(kind, Fixed)]
    if len(fixed) == len(kinds) and len({kind.fl for kind in fixed}) == 1:
        signed = any(kind.signed for kind in fixed)
        return Fixed(max(kind.bits + (signed and not kind.signed) for kind in fixed), signed,
                     fixed[0].fl)
    if any(isinstance(kind, Real | Binary | Fixed) for kind in kinds):
        return Real()
    ranges = [value_range(kind) for kind in kinds]
    return Sum(min(low for low, _ in ranges), max(high for _, high in ranges))


def slid(name: str, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Sides) -> Pair:
    """Return how many places a window of size ``kernel`` takes in a picture of ``shape``."""
    if min(*kernel, *stride) < 1 or min(pads) < 0:
        raise GraphError(f"Node {name!r}: kernel and stride must be at least 1 and pads at "
                         f"least 0, not {kernel}, {stride} and {pads}")
    places = []
    for axis in (0, 1):
        room = shape[axis] + pads[axis] + pads[axis + 2] - kernel[axis]
        if room < 0:
            raise GraphError(f"Node {name!r}: a kernel of {kernel} must fit the picture of "
                             f"{shape[0]} x {shape[1]} with its borders of {pads}, not exceed it")
        places.append(room // stride[axis] + 1)
    return places[0], places[1]

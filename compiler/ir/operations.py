"""Operations that keep the shape of a tensor, or need no weights to change it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir.types import Binary, Fixed, GraphError, Real, Result, Sum, TensorType


__all__ = ["Affine", "ArgMax", "BatchNorm", "Flatten", "HighestBit", "Input", "Minifloat",
           "Node", "Quant", "Relu", "Requantize", "Threshold"]

Array = np.ndarray[Any, Any]

EXPONENT_BITS = 2, 6     # of a minifloat: products, and sums of them, are within binary32
MOST_MANTISSA_BITS = 11  # ... and products are exact



@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operation. ``name`` is also the name of the tensor it makes."""

    name: str
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if isinstance(value, np.ndarray):
                if value.dtype.kind == "f" and not np.isfinite(value).all():
                    at = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
                    raise GraphError(f"Node {self.name!r}: {key} must be finite, "
                                     f"not {value[at]} at {at}")
                value.setflags(write=False)

    def result(self, *inputs: Result) -> Result:
        """Return shape and type of the tensor that this makes of ``inputs``."""
        (shape, _), = inputs
        return shape, Real()

    def _per_channel(self, shape: tuple[int, ...], **fields: Array | float) -> None:
        for key, value in fields.items():
            size = np.shape(value)[0] if np.ndim(value) else 1
            if np.ndim(value) > 1 or size not in (1, shape[-1]):
                raise GraphError(f"Node {self.name!r}: {key} must have one value for each of "
                                 f"its {shape[-1]} channels, not shape {np.shape(value)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """What the user gives, without the batch axis: (features,) or (height, width, channels)."""

    shape: tuple[int, ...]
    type: TensorType = Real()

    def result(self, *inputs: Result) -> Result:
        if not self.shape or min(self.shape) < 1:
            raise GraphError(f"Node {self.name!r}: every axis must be at least 1, "
                             f"not {self.shape}")
        return self.shape, self.type


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """All axes in one, the last axis fastest."""

    def result(self, *inputs: Result) -> Result:
        (shape, kind), = inputs
        return (math.prod(shape),), kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """``x * scale + offset``, each a scalar or one value per channel."""

    scale: Array | float = 1.0
    offset: Array | float = 0.0

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        self._per_channel(shape, scale=self.scale, offset=self.offset)
        return shape, Real()


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchNorm(Node):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, one value each per channel."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    epsilon: float = 1e-5

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        self._per_channel(shape, gamma=self.gamma, beta=self.beta, mean=self.mean,
                          variance=self.variance)
        return shape, Real()


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Node):
    """The larger of ``x`` and 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold(Node):
    """Compare with levels that rise along their second axis; ``x >= level`` passes a level.

    With one level the result is +1 where it is passed, else -1. With more it is the number of
    levels passed.
    """

    levels: Array  # (channels or 1, count)

    @property
    def count(self) -> int:
        return int(self.levels.shape[1])

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        if self.levels.ndim != 2 or not 1 <= self.count <= 255:
            raise GraphError(f"Node {self.name!r}: levels must be (channels, 1 to 255), "
                             f"not {self.levels.shape}")
        self._per_channel(shape, levels=self.levels[:, 0])
        if (np.diff(self.levels, axis=1) < 0).any():
            raise GraphError(f"Node {self.name!r}: the levels of a channel must rise")
        return shape, Binary() if self.count == 1 else Fixed(self.count.bit_length(), signed=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Quant(Node):
    """Round ``x / scale + zero_point`` half to even, saturate to ``bits``, and scale back.

    As QONNX's `Quant`. ``narrow`` leaves out the lowest value of a signed range, or the highest
    of an unsigned one.
    """

    bits: int
    scale: float
    zero_point: float = 0.0
    signed: bool = True
    narrow: bool = False

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        if not 1 <= self.bits <= 32:
            raise GraphError(f"Node {self.name!r}: bits must be 1 to 32, not {self.bits}")
        if not self.scale > 0:
            raise GraphError(f"Node {self.name!r}: scale must be positive, not {self.scale}")
        return shape, Real()


@dataclass(frozen=True, kw_only=True, eq=False)
class Minifloat(Node):
    """Round half to even to floating point of a sign, and ``exponent`` and ``mantissa`` bits.

    As QONNX's `FloatQuant`, saturating and without subnormal numbers: what ``x`` as binary32 of
    IEEE 754 is nearest to, of 0 and of ``(1 + f / 2**mantissa) * 2**e`` with ``e`` from
    ``1 - bias`` to ``2**exponent - 1 - bias``. Rounding is to the step of these numbers; what is
    below the least of them then is 0.
    """

    exponent: int
    mantissa: int

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def lowest(self) -> int:
        """The exponent ``e`` of the least number."""
        return 2 - (1 << self.exponent - 1)

    @property
    def least(self) -> float:
        """The least number above 0."""
        return 2.0 ** self.lowest

    @property
    def most(self) -> float:
        """The greatest number."""
        return 2.0 ** (1 << self.exponent - 1) * (2 - 2.0 ** -self.mantissa)

    def result(self, *inputs: Result) -> Result:
        low, high = EXPONENT_BITS
        if not low <= self.exponent <= high or not 1 <= self.mantissa <= MOST_MANTISSA_BITS:
            raise GraphError(f"Node {self.name!r}: a minifloat must have {low} to {high} bits of "
                             f"exponent and 1 to {MOST_MANTISSA_BITS} of mantissa, "
                             f"not {self.exponent} and {self.mantissa}")
        return super().result(*inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantize(Node):
    """``x * 2**-shift``, rounded half to even and saturated to integers of ``bits`` (`hdl.fixed`).

    The input is integer in the accelerator; on the host, ahead of it, it may be real.
    """

    shift: int
    bits: int
    signed: bool = True
    fl: int = 0  # of the result

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        return shape, Fixed(self.bits, self.signed, self.fl)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMax(Node):
    """Index of the highest channel; the first of equals."""

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        return shape[:-1], Sum(0, shape[-1] - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class HighestBit(Node):
    """Index of the last channel that is positive, or 0 where none is."""

    def result(self, *inputs: Result) -> Result:
        (shape, _), = inputs
        return shape[:-1], Sum(0, shape[-1] - 1)

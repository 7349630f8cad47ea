"""What a tensor holds."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import UserError


__all__ = ["Binary", "Fixed", "GraphError", "Real", "Result", "Sum", "TensorType", "value_range"]


class GraphError(UserError):
    """A graph that cannot exist."""


@dataclass(frozen=True)
class Real:
    """Floating point; golden model and host only."""


@dataclass(frozen=True)
class Binary:
    """-1 or +1; in hardware and C one bit, set for +1."""


@dataclass(frozen=True)
class Fixed:
    """Integer ``q`` of ``bits`` bits; it stands for the value ``q * 2**-fl``."""

    bits: int
    signed: bool = True
    fl: int = 0


@dataclass(frozen=True)
class Sum:
    """Exact integer between ``low`` and ``high``, both included."""

    low: int
    high: int


TensorType = Real | Binary | Fixed | Sum
Result = tuple[tuple[int, ...], TensorType]  # shape without the batch axis, type


def value_range(kind: TensorType) -> tuple[int, int]:
    """Return the lowest and the highest integer of a tensor that is not real."""
    match kind:
        case Binary():
            return -1, 1
        case Fixed(bits=bits, signed=True):
            return -(1 << bits - 1), (1 << bits - 1) - 1
        case Fixed(bits=bits):
            return 0, (1 << bits) - 1
        case Sum(low=low, high=high):
            return low, high
    raise TypeError(f"A tensor must hold integers to have a range, not {kind!r}")

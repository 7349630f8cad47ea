"""What a description says: rows, each an operation and what it reads, and their shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from compiler.ir import GraphError
from compiler.ir.layers import slid


__all__ = ["Row", "Topology", "window"]

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operation. ``inputs`` are names of rows, or `Topology.INPUT`.

    ``op`` is one of conv, dense, norm, relu, prelu, sign, quantize, pool, mean, add, concat.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    channels: int = 0         # that a conv or dense makes
    kernel: int | None = 1    # None: as large as the picture
    stride: int = 1
    pad: int = 0
    groups: int = 1
    bits: int | None = None   # of weights, or of what quantize makes; None for real numbers
    bias: bool = False
    epsilon: float = 0.0      # of norm

    @property
    def weighted(self) -> bool:
        return self.op in ("conv", "dense")


@dataclass(frozen=True)
class Topology:
    """A network without its weights. ``mean`` and ``std`` are of octets as numbers of 0 to 1."""

    INPUT = "input"

    name: str
    input: Shape              # (height, width, channels), of octets
    rows: tuple[Row, ...]
    seed: int = 1             # of random weights
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    _shapes: dict[str, Shape] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._shapes[self.INPUT] = self.input
        for row in self.rows:
            self._shapes[row.name] = _shape(row, [self._shapes[name] for name in row.inputs])

    def shape(self, name: str) -> Shape:
        """Shape of what a row makes; (height, width, channels), or (features,)."""
        return self._shapes[name]

    @cached_property
    def readers(self) -> dict[str, list[Row]]:
        """The rows that read a row, by its name."""
        found: dict[str, list[Row]] = {name: [] for name in self._shapes}
        for row in self.rows:
            for name in row.inputs:
                found[name].append(row)
        return found

    def weight_shape(self, row: Row) -> Shape:
        """Shape of the weights of a conv, (outputs, height, width, inputs), or dense."""
        before = self.shape(row.inputs[0])
        if row.op == "dense":
            return row.channels, math.prod(before)
        return row.channels, *window(row, before), before[-1] // row.groups


def window(row: Row, before: Shape) -> tuple[int, int]:
    """Height and width of what an output sees of a picture of shape ``before``."""
    return (before[0], before[1]) if row.kernel is None else (row.kernel, row.kernel)


def _shape(row: Row, shapes: list[Shape]) -> Shape:
    shape = shapes[0]
    if row.op in ("conv", "pool", "mean") and len(shape) != 3:
        raise GraphError(f"Row {row.name!r} must read (height, width, channels), not {shape}")
    if row.op == "conv" and (shape[2] % row.groups or row.channels % row.groups):
        raise GraphError(f"Row {row.name!r}: groups must divide its {shape[2]} inputs and "
                         f"{row.channels} outputs, not be {row.groups}")
    match row.op:
        case "dense":
            return row.channels,
        case "mean":
            return 1, 1, shape[2]
        case "conv" | "pool":
            places = slid(row.name, shape, window(row, shape), (row.stride,) * 2, (row.pad,) * 4)
            return *places, row.channels or shape[2]
        case "concat":
            return *shape[:-1], sum(other[-1] for other in shapes)
    return shape

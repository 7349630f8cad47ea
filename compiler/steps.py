"""Steps of an integer graph: what the accelerator does, and what the host does around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler import golden
from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    MaxPool,
    Node,
    Requantize,
    Sum,
    TensorType,
    Threshold,
)


__all__ = ["Joining", "Layer", "Parts", "Pooling", "Step", "on_host"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layer:
    """One layer of the accelerator: integer sums, and what makes small integers of them.

    With an ``addend``, a tensor of the shape of the sums is added to them first: one of small
    integers, or of the sums that an earlier layer without an activation has left.
    """

    sums: Dense | Conv
    activation: Threshold | Requantize | None  # None: the sums are the result, or an addend
    input: str                                 # the tensor that it reads
    input_shape: tuple[int, ...]               # as it was made: a Dense may read a picture
    input_type: Binary | Fixed
    sum_type: Sum
    output_shape: tuple[int, ...]
    output_type: TensorType
    add: Add | None = None
    addend: str | None = None                  # the tensor that is added to the sums
    addend_type: Binary | Fixed | Sum | None = None

    @property
    def name(self) -> str:
        return self.sums.name

    @property
    def output(self) -> str:
        """Name of the tensor that the layer leaves."""
        return self.nodes[-1].name

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that it stands for."""
        return tuple(node for node in (self.sums, self.add, self.activation) if node)

    @property
    def on_array(self) -> bool:
        """Whether the XNOR-popcount array runs it, rather than the fixed-point unit."""
        return self.sums.bits == 1 and isinstance(self.input_type, Binary)


@dataclass(frozen=True)
class Pooling:
    """A maximum over windows of bits or small integers."""

    pool: MaxPool
    input: str
    input_shape: tuple[int, ...]
    input_type: Binary | Fixed
    output_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.pool.name

    @property
    def output(self) -> str:
        return self.pool.name

    @property
    def output_type(self) -> Binary | Fixed:
        return self.input_type

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.pool,


@dataclass(frozen=True)
class Joining:
    """Channels of tensors of one type, side by side."""

    concat: Concat
    inputs: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    input_type: Binary | Fixed
    output_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.concat.name

    @property
    def output(self) -> str:
        return self.concat.name

    @property
    def output_type(self) -> Binary | Fixed:
        return self.input_type

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.concat,


Step = Layer | Pooling | Joining


@dataclass(frozen=True)
class Parts:
    """An integer graph by who runs what. The Input is in none of the three."""

    prefix: tuple[Node, ...]
    body: tuple[Step, ...]
    suffix: tuple[Node, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The steps of the body that have weights."""
        return tuple(step for step in self.body if isinstance(step, Layer))


def on_host(nodes: tuple[Node, ...], x: Array) -> Array:
    """Run a prefix or a suffix on the batch ``x``."""
    for node in nodes:
        x = golden.evaluate(node, x)
    return x

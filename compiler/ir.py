"""The graph that every front end makes, and every pass takes and returns.

A node is one operation, and bears the name of the tensor that it makes. The same operations serve
before and after the passes; `compiler.stages` tells which forms of them are legal where.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from compiler.errors import UserError


__all__ = ["Affine", "ArgMax", "BatchNorm", "Binary", "Dense", "Fixed", "Flatten", "Graph",
           "GraphError", "HighestBit", "Input", "Node", "Quant", "Real", "Relu", "Requantize",
           "Result", "Sum", "TensorType", "Threshold", "value_range"]

Array = np.ndarray[Any, Any]


class GraphError(UserError):
    """A graph that cannot exist."""


# Types of tensors

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


# Operations. Channels are the last axis of every tensor.

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
class Dense(Node):
    """``(x @ weights.T) * scale + bias``.

    ``bits`` is the width of integer weights (1: they are -1 and +1), or None for real weights.
    """

    weights: Array                  # (outputs, inputs), integer where bits is not None
    bits: int | None = None
    scale: Array | float = 1.0      # scalar or (outputs,)
    bias: Array | None = None       # (outputs,)

    @property
    def fan_in(self) -> int:
        return int(self.weights.shape[1])

    @property
    def channels(self) -> int:
        return int(self.weights.shape[0])

    def result(self, *inputs: Result) -> Result:
        (shape, kind), = inputs
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise GraphError(f"Node {self.name!r}: weights must be (outputs, inputs) with at "
                             f"least one of each, not {self.weights.shape}")
        if shape != (self.fan_in,):
            raise GraphError(f"Node {self.name!r} must read ({self.fan_in},), as its weights "
                             f"have it, not {shape}")
        out = (self.channels,)
        self._per_channel(out, scale=self.scale)
        if self.bias is not None:
            self._per_channel(out, bias=self.bias)
        exact = (self.bits is not None and not isinstance(kind, Real)
                 and np.ndim(self.scale) == 0 and self.scale == 1
                 and (self.bias is None or self.bias.dtype.kind == "i"))
        if not exact:
            return out, Real()
        low, high = value_range(kind)
        weights = self.weights.astype(np.int64)
        ends = weights * low, weights * high
        bias = 0 if self.bias is None else self.bias
        return out, Sum(int((np.minimum(*ends).sum(1) + bias).min()),
                        int((np.maximum(*ends).sum(1) + bias).max()))


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


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, one input, one output. Building one checks it.

    ``meta`` is for people and hosts: ``classes`` (names), ``accuracy``, ``recipe``, ...
    """

    nodes: tuple[Node, ...]
    name: str = "net"
    meta: Mapping[str, Any] = field(default_factory=dict)
    _results: Mapping[str, Result] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise GraphError(f"Graph {self.name!r} must begin with an Input")
        made: dict[str, Result] = {}
        for node in self.nodes:
            if node.name in made:
                raise GraphError(f"Node {node.name!r} is defined twice")
            for name in node.inputs:
                if name not in made:
                    raise GraphError(
                        f"Node {node.name!r} reads {name!r}, which no earlier node makes"
                    )
            if isinstance(node, Input) != (node is self.nodes[0]):
                raise GraphError(f"Node {node.name!r} must be the only Input")
            made[node.name] = node.result(*(made[name] for name in node.inputs))
        object.__setattr__(self, "_results", made)


    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except KeyError:
            raise GraphError(f"Graph {self.name!r} has no node {name!r}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without the batch axis."""
        return self._results[name][0]

    def type(self, name: str) -> TensorType:
        """Type of a tensor."""
        return self._results[name][1]

    @property
    def input(self) -> Input:
        assert isinstance(self.nodes[0], Input)
        return self.nodes[0]

    @property
    def output(self) -> Node:
        return self.nodes[-1]

    def users(self, node: Node) -> list[Node]:
        return [user for user in self.nodes if node.name in user.inputs]

"""Decides how every tensor of a network is stored in C, and by which kernel each layer runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from compiler.errors import UserError
from compiler.ir import (
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Node,
    Requantize,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)
from compiler.stages import Layer, Parts, split


__all__ = ["CodegenError", "Form", "Kernel", "Plan", "Stage", "Tensor", "make_plan"]

INT32_MAX = (1 << 31) - 1
INT_BITS = 30  # of a Requantize in C, signed or not


class CodegenError(UserError):
    """A network that the C code cannot hold."""


class Form(Enum):
    """How a tensor lies in memory."""

    PLANES = "planes"    # 64 values a word, one plane for each bit of a value
    BYTES = "bytes"      # a byte each
    OUTPUTS = "outputs"  # net_output_t each


class Kernel(Enum):
    """What sums the products of a layer."""

    BINARY = "binary"                # XNOR-popcount
    INPUT_PLANES = "input planes"    # weights of 1 bit, inputs of several
    WEIGHT_PLANES = "weight planes"  # inputs of 1 bit, weights of several
    BYTES = "bytes"                  # both of several


@dataclass(frozen=True)
class Tensor:
    """A flat tensor of ``count`` values, as C stores it."""

    name: str
    count: int
    type: TensorType
    form: Form

    @property
    def words(self) -> int:
        """64-bit words in a plane."""
        return -(-self.count // 64)

    @property
    def planes(self) -> int:
        return self.type.bits if isinstance(self.type, Fixed) else 1

    @property
    def signed(self) -> bool:
        return value_range(self.type)[0] < 0

    @property
    def length(self) -> int:
        """Elements of the array in C."""
        return self.planes * self.words if self.form is Form.PLANES else self.count

    @property
    def ctype(self) -> str:
        """Type of the elements in C."""
        match self.form:
            case Form.PLANES:
                return "uint64_t"
            case Form.OUTPUTS if not isinstance(self.type, Binary):
                return "int32_t"
        return "int8_t" if self.signed and not isinstance(self.type, Binary) else "uint8_t"

    @property
    def bytes(self) -> int:
        return self.length * {"uint64_t": 8, "int32_t": 4}.get(self.ctype, 1)


@dataclass(frozen=True)
class Stage:
    """A function in C: takes ``input``, sums (where ``dense`` is given), activates, and stores."""

    input: Tensor
    output: Tensor
    activations: tuple[Threshold | Requantize, ...] = ()
    dense: Dense | None = None

    @property
    def kernel(self) -> Kernel | None:
        return _kernel(self.dense, self.input.type) if self.dense else None


@dataclass(frozen=True)
class Plan:
    """All of ``net.c``, and the nodes that are left to the host on both sides of it.

    ``stages`` begins with one that has no ``dense`` where the input of `net_run` must be changed
    ahead of the first layer. The others are the layers of the body.
    """

    graph: Graph
    host_prefix: tuple[Node, ...]
    stages: tuple[Stage, ...]
    suffix: tuple[Node, ...]

    @property
    def input(self) -> Tensor:
        return self.stages[0].input

    @property
    def output(self) -> Tensor:
        return self.stages[-1].output

    @property
    def layers(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.dense)

    @property
    def on_host(self) -> bool:
        """Whether the frames of the user become inputs of `net_run` on the host."""
        return bool(self.host_prefix) or isinstance(self.graph.input.type, Binary)


def make_plan(graph: Graph) -> Plan:
    """Cut an integer graph into stages.

    Raises StageError where it is not one, and CodegenError where C cannot hold it.
    """
    parts = split(graph)
    host_prefix, first = _prefix(graph, parts)
    stages = list(first)
    tensor = first[0].output if first else _given(graph, host_prefix, parts)
    layers = parts.layers
    for step in parts.body:
        if not isinstance(step, Layer) or isinstance(step.sums, Conv):
            raise CodegenError(f"Node {step.name!r} must be a Dense layer, as C has no others yet, "
                               f"not {type(step.nodes[0]).__name__}")
    for layer, following in zip(layers, (*layers[1:], None), strict=True):
        assert isinstance(layer.sums, Dense)
        _check_products(layer.sums, tensor)
        output = _tensor(graph, layer.output, following)
        stages.append(Stage(tensor, output, (layer.activation,) if layer.activation else (),
                            layer.sums))
        tensor = output
    return Plan(graph, host_prefix, tuple(stages), parts.suffix)


def _prefix(graph: Graph, parts: Parts) -> tuple[tuple[Node, ...], tuple[Stage, ...]]:
    """The nodes ahead of `net_run`, and the stage with those that C runs, where there is one."""
    steps = tuple(node for node in parts.prefix if not isinstance(node, Flatten))
    in_c = not parts.prefix or (
        _fits_byte(graph.input.type)
        and all(isinstance(node, Threshold)
                or isinstance(node, Requantize) and node.bits <= INT_BITS for node in steps))
    host = () if in_c else parts.prefix
    given = _given(graph, host, parts)
    wanted = _tensor(graph, parts.body[0].input, parts.layers[0])
    activations = tuple(node for node in steps if isinstance(node, Threshold | Requantize))
    if in_c and activations or given.form is not wanted.form:
        return host, (Stage(given, wanted, activations if in_c else ()),)
    return host, ()


def _given(graph: Graph, host_prefix: tuple[Node, ...], parts: Parts) -> Tensor:
    """The tensor that `net_run` takes."""
    name = parts.body[0].input if host_prefix else graph.input.name
    kind = graph.type(name)
    form = Form.PLANES if isinstance(kind, Binary) else Form.BYTES
    return Tensor(name, math.prod(graph.shape(name)), kind, form)


def _tensor(graph: Graph, name: str, reader: Layer | None) -> Tensor:
    """A tensor as ``reader`` wants it; None stands for the user, behind the last layer."""
    kind = graph.type(name)
    form = Form.OUTPUTS
    if reader:
        kernel = _kernel(reader.sums, kind)
        form = Form.BYTES if kernel is Kernel.BYTES else Form.PLANES
    return Tensor(name, math.prod(graph.shape(name)), kind, form)


def _kernel(dense: Weighted, kind: TensorType) -> Kernel:
    if dense.bits == 1:
        return Kernel.BINARY if isinstance(kind, Binary) else Kernel.INPUT_PLANES
    return Kernel.WEIGHT_PLANES if isinstance(kind, Binary) else Kernel.BYTES


def _fits_byte(kind: TensorType) -> bool:
    return isinstance(kind, Fixed) and kind.bits <= 8


def _check_products(dense: Dense, given: Tensor) -> None:
    """Every number on the way to a sum must fit int32_t, as the sums themselves do."""
    low, high = value_range(given.type)
    kernel = _kernel(dense, given.type)
    widest = dense.fan_in * max(-low, high) * max(int(np.abs(dense.weights).max()), 1)
    if kernel in (Kernel.INPUT_PLANES, Kernel.WEIGHT_PLANES):
        widest *= 2  # twice the sum over 0 and 1, ahead of what is taken from it
    if kernel is Kernel.WEIGHT_PLANES and dense.bias is not None:
        widest += int(np.abs(dense.bias).max())
    if widest > INT32_MAX:
        raise CodegenError(f"Dense {dense.name!r} must need numbers of at most {INT32_MAX} in C, "
                           f"not {widest}")

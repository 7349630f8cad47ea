"""Decides how every tensor of a network is stored in C, and by which kernel each layer runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from compiler.codegen.tensors import WORD, Form, Tensor, unit_bits
from compiler.errors import UserError
from compiler.ir import (
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Requantize,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)
from compiler.stages import Layer, Parts, Pooling, split


__all__ = ["INT32_MAX", "CodegenError", "Kernel", "Plan", "Stage", "Window", "choose_kernel",
           "make_plan"]

INT32_MAX = (1 << 31) - 1
INT_BITS = 30        # of a Requantize in C, signed or not
PLANES = 3           # bits of inputs up to which planes of them are faster than bytes
BYTES = 1 << 14      # of weights of 1 bit that may be stored as bytes


class CodegenError(UserError):
    """A network that the C code cannot hold."""


class Kernel(Enum):
    """What sums the products of a layer."""

    BINARY = "binary"                # XNOR-popcount
    INPUT_PLANES = "input planes"    # weights of 1 bit, inputs of several
    WEIGHT_PLANES = "weight planes"  # inputs of 1 bit, weights of several
    BYTES = "bytes"                  # both of several, or stored as such


@dataclass(frozen=True)
class Window:
    """What each output of a layer sees; a Dense layer sees all that there is."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1


@dataclass(frozen=True)
class Stage:
    """A function in C: takes ``input``, sums (where ``layer`` is given), activates, and stores.

    With a ``pool`` it stores the highest of several pixels. A stage may be a pool alone.
    """

    input: Tensor
    output: Tensor
    activations: tuple[Threshold | Requantize, ...] = ()
    layer: Weighted | None = None
    pool: MaxPool | None = None
    places: tuple[int, int] = (1, 1)  # pixels that it makes, ahead of the pool

    @property
    def kernel(self) -> Kernel | None:
        return choose_kernel(self.layer, self.input.type) if self.layer else None

    @property
    def window(self) -> Window:
        if isinstance(self.layer, Conv):
            conv = self.layer
            return Window(conv.kernel, conv.stride, conv.pads, conv.groups)
        return Window(self.input.picture[:2])

    @property
    def seen(self) -> int:
        """Channels of a pixel that an output sees."""
        return self.input.channels // self.window.groups

    @property
    def tap(self) -> int:
        """Bits in a window for the channels of a pixel."""
        unit = unit_bits(self.seen) if len(self.input.shape) == 3 else WORD
        return -(-self.seen // unit) * unit

    @property
    def window_words(self) -> int:
        """Words that hold a window."""
        return -(-self.window.kernel[0] * self.window.kernel[1] * self.tap // WORD)

    @property
    def gathers(self) -> bool:
        """Whether each window of bits is copied, rather than read where it lies."""
        return self.input.unit < WORD or self.window.groups > 1


@dataclass(frozen=True)
class Plan:
    """All of ``net.c``, and the nodes that are left to the host on both sides of it.

    ``stages`` begins with one that has no ``layer`` where the input of `net_run` must be changed
    ahead of the first layer. The others are the steps of the body.
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

    @cached_property
    def layers(self) -> tuple[Stage, ...]:
        """The stages of the body."""
        return tuple(stage for stage in self.stages if stage.layer or stage.pool)

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
    at = 0
    while at < len(parts.body):
        step = parts.body[at]
        pool = _fused_pool(parts, at)
        at += 2 if pool else 1
        form = _wanted(parts, at)
        output = _tensor(graph, pool.name if pool else step.output, form)
        if isinstance(step, Pooling):
            stages.append(Stage(tensor, output, pool=step.pool))
        else:
            _check_products(step.sums, tensor)
            made = step.output_shape
            stages.append(Stage(tensor, output, (step.activation,) if step.activation else (),
                                step.sums, pool, (made[0], made[1]) if len(made) == 3 else (1, 1)))
        tensor = output
    return Plan(graph, host_prefix, tuple(stages), parts.suffix)


def _fused_pool(parts: Parts, at: int) -> MaxPool | None:
    """The pool behind step ``at``, if the pixels of a layer can go there right away.

    They can where they are bits, and none of them is in two windows.
    """
    if at + 1 == len(parts.body):
        return None
    step, following = parts.body[at:at + 2]
    if not isinstance(step, Layer) or not isinstance(following, Pooling):
        return None
    pool = following.pool
    simple = pool.kernel == pool.stride and pool.pads[:2] == (0, 0)
    return pool if simple and isinstance(following.input_type, Binary) and (
        _wanted(parts, at + 2) is Form.PLANES) else None


def _prefix(graph: Graph, parts: Parts) -> tuple[tuple[Node, ...], tuple[Stage, ...]]:
    """The nodes ahead of `net_run`, and the stage with those that C runs, where there is one."""
    steps = tuple(node for node in parts.prefix if not isinstance(node, Flatten))
    in_c = not parts.prefix or (
        _fits_byte(graph.input.type)
        and all(isinstance(node, Threshold)
                or isinstance(node, Requantize) and node.bits <= INT_BITS for node in steps))
    host = () if in_c else parts.prefix
    given = _given(graph, host, parts)
    wanted = _tensor(graph, parts.body[0].input, _wanted(parts, 0))
    activations = tuple(node for node in steps if isinstance(node, Threshold | Requantize))
    if in_c and activations or given.form is not wanted.form:
        stage = Stage(given, wanted, activations if in_c else (), places=wanted.picture[:2])
        return host, (stage,)
    return host, ()


def _given(graph: Graph, host_prefix: tuple[Node, ...], parts: Parts) -> Tensor:
    """The tensor that `net_run` takes."""
    name = parts.body[0].input if host_prefix else graph.input.name
    kind = graph.type(name)
    form = Form.PLANES if isinstance(kind, Binary) else Form.BYTES
    return _tensor(graph, name, form)


def _wanted(parts: Parts, at: int) -> Form:
    """How the steps from ``at`` on want their input; the user, behind the last, has outputs."""
    for step in parts.body[at:]:
        if isinstance(step, Layer):
            bytes_ = choose_kernel(step.sums, step.input_type) is Kernel.BYTES
            return Form.BYTES if bytes_ else Form.PLANES
    return Form.OUTPUTS


def _tensor(graph: Graph, name: str, form: Form) -> Tensor:
    return Tensor(name, graph.shape(name), graph.type(name), form)


def choose_kernel(layer: Weighted, kind: TensorType) -> Kernel:
    """Return what runs a layer that reads a tensor of type ``kind``."""
    if layer.bits != 1:
        return Kernel.WEIGHT_PLANES if isinstance(kind, Binary) else Kernel.BYTES
    if isinstance(kind, Binary):
        return Kernel.BINARY
    assert isinstance(kind, Fixed)
    small = layer.weights.size <= BYTES and isinstance(layer, Conv)
    return Kernel.BYTES if small and kind.bits > PLANES else Kernel.INPUT_PLANES


def _fits_byte(kind: TensorType) -> bool:
    return isinstance(kind, Fixed) and kind.bits <= 8


def _check_products(layer: Dense | Conv, given: Tensor) -> None:
    """Every number on the way to a sum must fit int32_t, as the sums themselves do."""
    low, high = value_range(given.type)
    kernel = choose_kernel(layer, given.type)
    bias = 0 if layer.bias is None else int(np.abs(layer.bias).max())
    highest = max(int(np.abs(layer.weights.astype(np.int64)).max()), 1)
    widest = layer.fan_in * max(-low, high) * highest
    if kernel in (Kernel.INPUT_PLANES, Kernel.WEIGHT_PLANES):
        widest *= 2  # twice the sum over 0 and 1, ahead of what is taken from it
    if kernel is Kernel.BYTES:
        widest = layer.fan_in * highest * (high - low)
    if kernel is Kernel.WEIGHT_PLANES or kernel is Kernel.BYTES and low < 0:
        widest += bias
    if widest > INT32_MAX:
        raise CodegenError(f"{type(layer).__name__} {layer.name!r} must need numbers of at most "
                           f"{INT32_MAX} in C, not {widest}")

"""Decides how every tensor of a network is stored in C, and what the functions are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from compiler.codegen.stage import CodegenError, Kernel, Stage, check_products, wants_bytes
from compiler.codegen.tensors import Form, Tensor
from compiler.ir import (
    Binary,
    Fixed,
    Flatten,
    Graph,
    Node,
    Requantize,
    Sum,
    TensorType,
    Threshold,
)
from compiler.stages import Joining, Layer, Parts, Pooling, Step, split


__all__ = ["Plan", "make_plan"]

INT_BITS = 30  # of a Requantize in C, signed or not


@dataclass(frozen=True)
class Plan:
    """All of ``net.c``, and the nodes that are left to the host on both sides of it.

    ``stages`` are the steps of the body, with others in between that change how a tensor is
    stored; the first is such a one where the input of `net_run` must be changed.
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
        return tuple(stage for stage in self.stages if stage.is_step)

    @property
    def traced(self) -> tuple[Tensor, ...]:
        """The tensors that the stages of the body make."""
        return tuple(stage.output for stage in self.layers)

    @property
    def multiplications(self) -> int:
        """Products of a frame that need a multiplier."""
        return sum(math.prod(stage.places) * stage.layer.weights.size for stage in self.stages
                   if stage.layer and stage.kernel is Kernel.BYTES)

    @property
    def on_host(self) -> bool:
        """Whether the frames of the user become inputs of `net_run` on the host."""
        return bool(self.host_prefix) or isinstance(self.graph.input.type, Binary)


def make_plan(graph: Graph) -> Plan:
    """Cut an integer graph into stages.

    Raises StageError where it is not one, and CodegenError where C cannot hold it.
    """
    parts = split(graph)
    maker = _Maker(graph, parts)
    for step in parts.body:
        maker.add(step)
    return Plan(graph, maker.host_prefix, tuple(maker.stages), parts.suffix)


class _Maker:
    """The stages so far, and where each tensor is."""

    def __init__(self, graph: Graph, parts: Parts):
        self.graph, self.parts = graph, parts
        self.readers = _readers(graph, parts)
        self.forms = _forms(parts, self.readers)
        self.fused: set[str] = set()  # pools that are done with the layer ahead of them
        self.host_prefix, given, activations = _prefix(graph, parts)
        name = (parts.prefix[-1] if parts.prefix else graph.input).name
        wanted = self.tensor(name)
        self.stages = []
        if activations or given.form is not wanted.form:
            self.stages.append(Stage(given, wanted, activations, places=wanted.picture[:2]))
        else:
            wanted = given
        self.made = {name: wanted}

    def tensor(self, name: str) -> Tensor:
        """A tensor as most of its readers want it."""
        kind = self.graph.type(name)
        form = self.forms.get(name) or (Form.OUTPUTS if isinstance(kind, Sum) else Form.PLANES)
        return Tensor(name, self.graph.shape(name), kind, form)

    def find(self, name: str) -> Tensor:
        """A tensor that was made."""
        return self.made[_source(self.graph, name, self.made)]

    def add(self, step: Step) -> None:
        """Add what makes the tensor of ``step``."""
        if step.name in self.fused:
            return
        output = self.tensor(step.output)
        match step:
            case Layer():
                output = self.add_layer(step, output)
            case Pooling():
                given = self.find(step.input)
                if given.form is not output.form:
                    again = Tensor(given.name, given.shape, given.type, output.form)
                    self.stages.append(Stage(given, again, places=given.picture[:2]))
                    given = again
                self.stages.append(Stage(given, output, pool=step.pool))
            case Joining():
                first, *others = (self.find(name) for name in step.inputs)
                for tensor in (first, *others):
                    _check_picture(output.picture[:2], tensor, step.name)
                self.stages.append(Stage(first, output, concat=step.concat, others=tuple(others),
                                         places=output.picture[:2]))
        self.made[output.name] = output

    def add_layer(self, step: Layer, output: Tensor) -> Tensor:
        """Add a layer, with the pool behind it where that can be; return what they make."""
        given = self.find(step.input)
        check_products(step.sums, given)
        places = output.picture[:2]
        addend = self.find(step.addend) if step.addend else None
        if addend:
            _check_picture(places, addend, step.name)
        pool = None
        following = self.readers.get(step.output, [])
        if len(following) == 1 and isinstance(following[0], Pooling) and (
                self.can_fuse(following[0], output)):
            pool, output = following[0].pool, self.tensor(following[0].output)
            self.fused.add(pool.name)
        activations = (step.activation,) if step.activation else ()
        self.stages.append(Stage(given, output, activations, step.sums, pool, places, addend))
        return output

    def can_fuse(self, pooling: Pooling, given: Tensor) -> bool:
        """Whether pixels can go into their windows of a pool as they are made.

        They can where they are bits: the highest of a window is then any that is set. Pools that
        leave out pixels stay behind their layer, which would make these for nothing.
        """
        pool = pooling.pool
        forms = {given.form, self.tensor(pooling.output).form}
        return (isinstance(given.type, Binary) and forms == {Form.PLANES}
                and all(size >= hop for size, hop in zip(pool.kernel, pool.stride, strict=True)))


def _source(graph: Graph, name: str, known: dict[str, Tensor]) -> str:
    """The tensor that ``name`` is, but for its shape."""
    while name not in known:
        name = graph[name].inputs[0]
    return name


def _check_picture(places: tuple[int, int], tensor: Tensor, name: str) -> None:
    if tensor.picture[:2] != places:
        raise CodegenError(f"Node {name!r} must join tensors that are all pictures or all vectors "
                           f"in C, not {tensor.name!r} of shape {tensor.shape}")


def _readers(graph: Graph, parts: Parts) -> dict[str, list[Step]]:
    """The steps that read each tensor."""
    made = {step.output for step in parts.body} | {(parts.prefix or (graph.input,))[-1].name}
    readers: dict[str, list[Step]] = {name: [] for name in made}
    for step in parts.body:
        names = step.inputs if isinstance(step, Joining) else (step.input,)
        if isinstance(step, Layer) and step.addend:
            names = *names, step.addend
        for name in names:
            while name not in made:  # behind a Flatten
                name = graph[name].inputs[0]
            readers[name].append(step)
    return readers


def _forms(parts: Parts, readers: dict[str, list[Step]]) -> dict[str, Form]:
    """How tensors are stored that are not stored as planes, or sums."""
    forms = {}
    for step in parts.layers:
        if wants_bytes(step.sums, step.input_type):
            forms[step.input] = Form.BYTES
    pools = [step for step in parts.body if isinstance(step, Pooling)]
    for pool in reversed(pools):
        if forms.get(pool.output) and not isinstance(pool.input_type, Binary):
            forms[pool.input] = Form.BYTES
    for pool in pools:
        if forms.get(pool.input):
            forms[pool.output] = Form.BYTES
    last = parts.body[-1]
    forms[last.output] = Form.OUTPUTS
    for pool in reversed(pools):
        if forms.get(pool.output) is Form.OUTPUTS and len(readers[pool.input]) == 1:
            forms[pool.input] = Form.OUTPUTS
    return forms


def _prefix(graph: Graph, parts: Parts) -> tuple[tuple[Node, ...], Tensor,
                                                 tuple[Threshold | Requantize, ...]]:
    """The nodes ahead of `net_run`, what it takes, and what it does to that first."""
    steps = tuple(node for node in parts.prefix if not isinstance(node, Flatten))
    in_c = not parts.prefix or (
        _fits_byte(graph.input.type)
        and all(isinstance(node, Threshold)
                or isinstance(node, Requantize) and node.bits <= INT_BITS for node in steps))
    node = graph.input if in_c else parts.prefix[-1]
    kind = graph.type(node.name)
    form = Form.PLANES if isinstance(kind, Binary) else Form.BYTES
    given = Tensor(node.name, graph.shape(node.name), kind, form)
    activations = tuple(node for node in steps if isinstance(node, Threshold | Requantize))
    return (() if in_c else parts.prefix), given, (activations if in_c else ())


def _fits_byte(kind: TensorType) -> bool:
    return isinstance(kind, Fixed) and kind.bits <= 8

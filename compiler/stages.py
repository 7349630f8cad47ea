"""Which forms of the operations are legal where, before the passes and after them.

An *imported* graph is a chain of any operations with at least one Dense or Conv. An *integer* graph
is what the accelerator and the generated C take: a host prefix that ends in bits or small integers,
device layers in integers alone, and a host suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler import golden
from compiler.errors import UserError
from compiler.ir import (
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    MaxPool,
    Node,
    Quant,
    Relu,
    Requantize,
    Sum,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)


__all__ = ["LEGAL", "Layer", "Parts", "Pooling", "StageError", "Step", "check_stage", "on_host",
           "split"]

Array = np.ndarray[Any, Any]

SUM_BITS = 32         # of the accumulators, and of the logits
MAX_BITS = 8          # of weights and activations
SUM_LOW, SUM_HIGH = value_range(Fixed(SUM_BITS))


class StageError(UserError):
    """A node that has no place in this stage of the compiler."""


@dataclass(frozen=True)
class Layer:
    """One layer of the accelerator: integer sums, and what makes small integers of them."""

    sums: Dense | Conv
    activation: Threshold | Requantize | None  # None: the sums are the result (last layer only)
    input: str                                 # the tensor that it reads
    input_shape: tuple[int, ...]               # as it was made: a Dense may read a picture
    input_type: Binary | Fixed
    sum_type: Sum
    output_shape: tuple[int, ...]
    output_type: TensorType

    @property
    def name(self) -> str:
        return self.sums.name

    @property
    def output(self) -> str:
        """Name of the tensor that the layer leaves."""
        return (self.activation or self.sums).name

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that it stands for."""
        return (self.sums, self.activation) if self.activation else (self.sums,)

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


Step = Layer | Pooling


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


# The table. A place has its legal operations, each with what must hold; a rule yields what is
# wrong as (requirement, what it is not).

Wrong = tuple[str, object]
Rule = Callable[[Any, Graph], Iterator[Wrong]]


def anything(node: Node, graph: Graph) -> Iterator[Wrong]:
    yield from ()


def small_result(node: Node, graph: Graph) -> Iterator[Wrong]:
    kind = graph.type(node.name)
    if isinstance(kind, Fixed) and not 1 <= kind.bits <= MAX_BITS:
        yield f"make at most {MAX_BITS} bits", kind.bits


def integer_weights(node: Weighted, graph: Graph) -> Iterator[Wrong]:
    before = graph.type(node.inputs[0])
    if not isinstance(before, Binary | Fixed) or getattr(before, "bits", 1) > MAX_BITS:
        yield f"read bits or integers of at most {MAX_BITS} bits", spoken(before)
    if node.bits is None or node.weights.dtype.kind != "i":
        yield "have integer weights", "real ones"
        return
    if not 1 <= node.bits <= MAX_BITS:
        yield f"have weights of at most {MAX_BITS} bits", node.bits
    low, high = value_range(Binary() if node.bits == 1 else Fixed(node.bits))
    beyond = node.weights[(node.weights < low) | (node.weights > high)]
    if node.bits == 1:
        beyond = node.weights[np.abs(node.weights) != 1]
    if beyond.size:
        yield ("have weights of -1 and +1" if node.bits == 1 else
               f"have weights of {node.bits} bits"), int(beyond[0])
    if np.ndim(node.scale) or node.scale != 1:
        yield "have scale 1", node.scale
    if node.bias is not None and node.bias.dtype.kind != "i":
        yield "have an integer bias", node.bias.dtype
    kind = graph.type(node.name)
    if isinstance(kind, Sum):
        for end in kind.low, kind.high:
            if not SUM_LOW <= end <= SUM_HIGH:
                yield f"have sums of at most {SUM_BITS} bits", f"a sum of {end}"


def integer_levels(node: Threshold, graph: Graph) -> Iterator[Wrong]:
    yield from after_sum(node, graph)
    if node.levels.dtype.kind != "i":
        yield "have integer levels", node.levels.dtype
    elif not SUM_LOW <= node.levels.min() <= node.levels.max() <= SUM_HIGH:
        yield f"have levels of at most {SUM_BITS} bits", int(np.abs(node.levels).max())


def shift_right(node: Requantize, graph: Graph) -> Iterator[Wrong]:
    yield from after_sum(node, graph)
    yield from small_result(node, graph)
    if node.shift < 0:
        yield "shift to the right", node.shift


def after_sum(node: Node, graph: Graph) -> Iterator[Wrong]:
    if not isinstance(graph[node.inputs[0]], Weighted):
        yield "follow a Dense or a Conv", type(graph[node.inputs[0]]).__name__


def of_small(node: Node, graph: Graph) -> Iterator[Wrong]:
    kind = graph.type(node.inputs[0])
    if not isinstance(kind, Binary | Fixed):
        yield "read bits or small integers", spoken(kind)


LEGAL: dict[str, dict[str, dict[type[Node], Rule]]] = {
    "imported": {
        "graph": {
            Flatten:     anything,
            Dense:       anything,
            Conv:        anything,
            MaxPool:     anything,
            AveragePool: anything,
            Affine:      anything,
            BatchNorm:   anything,
            Relu:        anything,
            Threshold:   anything,
            Quant:       anything,
            Requantize:  anything,
            ArgMax:      anything,
            HighestBit:  anything,
        },
    },
    "integer": {
        "prefix": {
            Flatten:     anything,
            MaxPool:     anything,
            AveragePool: anything,
            Affine:      anything,
            BatchNorm:   anything,
            Relu:        anything,
            Threshold:   anything,
            Quant:       anything,
            Requantize:  anything,
        },
        "body": {
            Flatten:    anything,
            Dense:      integer_weights,
            Conv:       integer_weights,
            MaxPool:    of_small,
            Threshold:  integer_levels,
            Requantize: shift_right,
        },
        "suffix": {
            Flatten:     anything,
            MaxPool:     anything,
            AveragePool: anything,
            Affine:      anything,
            BatchNorm:   anything,
            Relu:        anything,
            ArgMax:      anything,
            HighestBit:  anything,
        },
    },
}


def check_stage(graph: Graph, stage: str) -> None:
    """Refuse a graph that has something illegal in ``stage``, "imported" or "integer".

    The error is a StageError of one sentence that names the node.
    """
    if stage not in LEGAL:
        raise ValueError(f"Stage must be one of {', '.join(LEGAL)}, not {stage!r}")
    check_chain(graph)
    for place, nodes in places(graph, stage).items():
        for node in nodes:
            kind = type(node).__name__
            rule = LEGAL[stage][place].get(type(node))
            if rule is None:
                legal = ", ".join(sorted(form.__name__ for form in LEGAL[stage][place]))
                raise StageError(f"Node {node.name!r} in the {place} of {graph.name!r} must be "
                                 f"one of {legal}, not {kind}")
            for requirement, found in rule(node, graph):
                raise StageError(f"{kind} {node.name!r} must {requirement}, not {found}")


def check_chain(graph: Graph) -> None:
    """Refuse a graph that is not one chain with a layer in it."""
    for before, node in zip(graph.nodes, graph.nodes[1:], strict=False):
        if node.inputs != (before.name,):
            raise StageError(f"Node {node.name!r} must read {before.name!r}, as the graph must "
                             f"be one chain, not {', '.join(map(repr, node.inputs))}")
    if not any(isinstance(node, Weighted) for node in graph.nodes):
        raise StageError(f"Graph {graph.name!r} must have at least one Dense or Conv layer, "
                         f"not none")


def spoken(kind: TensorType) -> str:
    """Name a type of tensors in a sentence."""
    match kind:
        case Binary():
            return "bits"
        case Fixed(bits=bits):
            return f"integers of {bits} bits"
        case Sum(low=low, high=high):
            return f"integers of {low} to {high}"
    return "real numbers"


def places(graph: Graph, stage: str) -> dict[str, tuple[Node, ...]]:
    """Cut the nodes behind the Input into the places of a stage."""
    if stage == "imported":
        return {"graph": graph.nodes[1:]}
    weighted = [at for at, node in enumerate(graph.nodes) if isinstance(node, Weighted)]
    first, end = weighted[0], weighted[-1] + 1
    if any(isinstance(node, Threshold | Requantize) for node in graph.nodes[end:end + 1]):
        end += 1
        while any(isinstance(node, MaxPool) for node in graph.nodes[end:end + 1]):
            end += 1
    body = graph.nodes[first:end]
    kind = graph.type(body[0].inputs[0])
    if not isinstance(kind, Binary | Fixed) or getattr(kind, "bits", 1) > MAX_BITS:
        raise StageError(f"{type(body[0]).__name__} {body[0].name!r} must read bits or integers "
                         f"of at most {MAX_BITS} bits (from the input, or a quantizer behind it), "
                         f"not {spoken(kind)}")
    for before, node in zip(body, body[1:], strict=False):
        if isinstance(before, Weighted) and not isinstance(node, Threshold | Requantize):
            raise StageError(f"{type(before).__name__} {before.name!r} must be followed by a "
                             f"Threshold or a Requantize, not {type(node).__name__} "
                             f"{node.name!r}")
    return {"prefix": graph.nodes[1:first], "body": body, "suffix": graph.nodes[end:]}


def split(graph: Graph) -> Parts:
    """Cut an integer graph into what the host and what the accelerator runs; checks it first."""
    check_stage(graph, "integer")
    cut = places(graph, "integer")
    nodes = [node for node in cut["body"] if not isinstance(node, Flatten)]
    source = cut["prefix"][-1] if cut["prefix"] else graph.input
    steps: list[Step] = []
    for at, node in enumerate(nodes):
        shape, kind = graph.shape(source.name), graph.type(source.name)
        if isinstance(node, Threshold | Requantize):
            continue
        assert isinstance(kind, Binary | Fixed)
        if isinstance(node, MaxPool):
            steps.append(Pooling(node, source.name, shape, kind, graph.shape(node.name)))
            source = node
            continue
        assert isinstance(node, Dense | Conv)
        follower = nodes[at + 1] if at + 1 < len(nodes) else None
        activation = follower if isinstance(follower, Threshold | Requantize) else None
        total = graph.type(node.name)
        assert isinstance(total, Sum)
        last = activation or node
        steps.append(Layer(node, activation, source.name, shape, kind, total,
                           graph.shape(last.name), graph.type(last.name)))
        source = last
    return Parts(cut["prefix"], tuple(steps), cut["suffix"])

"""Which forms of the operations are legal where, before the passes and after them.

An *imported* graph is any operations with at least one Dense or Conv. An *integer* graph is what
the accelerator and the generated C take: a host prefix (a chain) that ends in bits or small
integers, device layers in integers alone, which may fork and join, and a host suffix (a chain).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    MaxPool,
    Minifloat,
    Node,
    Quant,
    Real,
    Relu,
    Requantize,
    Sum,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)
from compiler.steps import Joining, Layer, Parts, Pooling, Step, on_host


__all__ = ["LEGAL", "MAX_BITS", "Joining", "Layer", "Parts", "Pooling", "StageError", "Step",
           "check_stage", "on_host", "split", "spoken"]

Array = np.ndarray[Any, Any]

SUM_BITS = 32         # of the accumulators, and of the logits
MAX_BITS = 8          # of weights and activations
SUM_LOW, SUM_HIGH = value_range(Fixed(SUM_BITS))


class StageError(UserError):
    """A node that has no place in this stage of the compiler."""


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
    if not 1 <= node.bits <= MAX_BITS + node.shifts:  # 2**7 needs a bit more, but no multiplier
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
    if not isinstance(graph[node.inputs[0]], Weighted | Add):
        yield "follow a Dense or a Conv", type(graph[node.inputs[0]]).__name__


def sums_of_a_layer(node: Add, graph: Graph) -> Iterator[Wrong]:
    if layer_of(node, graph) is None:
        yield "add to the sums of a layer that nothing else reads", " and ".join(
            f"{type(graph[name]).__name__} {name!r}" for name in node.inputs)
    for name in node.inputs:
        kind = graph.type(name)
        if isinstance(kind, Real):
            yield "add integers", spoken(kind)


def of_one_type(node: Concat, graph: Graph) -> Iterator[Wrong]:
    kinds = [graph.type(name) for name in node.inputs]
    for kind in kinds:
        if not isinstance(kind, Binary | Fixed):
            yield "join bits or small integers", spoken(kind)
        elif width_of(kind) != width_of(kinds[0]):
            yield "join tensors of one type", f"{spoken(kinds[0])} and {spoken(kind)}"


def width_of(kind: TensorType) -> tuple[int, bool]:
    """Return what two tensors of small integers must have in common to be stored alike."""
    return (kind.bits, kind.signed) if isinstance(kind, Fixed) else (0, False)


def layer_of(node: Add, graph: Graph) -> Dense | Conv | None:
    """Return the weights to whose sums ``node`` adds: of two, the later ones."""
    found = [made for name in node.inputs if isinstance(made := graph[name], Dense | Conv)
             and len(graph.users(made)) == node.inputs.count(name) == 1]
    return max(found, key=graph.nodes.index, default=None)


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
            Add:         anything,
            Concat:      anything,
            Affine:      anything,
            BatchNorm:   anything,
            Relu:        anything,
            Threshold:   anything,
            Quant:       anything,
            Minifloat:   anything,
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
            Add:        sums_of_a_layer,
            Concat:     of_one_type,
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
    if stage == "integer" and any(isinstance(node, Minifloat) for node in graph.nodes):
        raise StageError(f"Network {graph.name!r} must be of integers to run on the accelerator, "
                         f"not of minifloats, which run on golden and c")
    if not any(isinstance(node, Weighted) for node in graph.nodes):
        raise StageError(f"Graph {graph.name!r} must have at least one Dense or Conv layer, "
                         f"not none")
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
    first = _prefix(graph)
    end = _body_end(graph)
    body = graph.nodes[first:end]
    source = graph.nodes[first - 1]
    kind = graph.type(source.name)
    if not isinstance(kind, Binary | Fixed) or getattr(kind, "bits", 1) > MAX_BITS:
        raise StageError(f"{type(body[0]).__name__} {body[0].name!r} must read bits or integers "
                         f"of at most {MAX_BITS} bits (from the input, or a quantizer behind it), "
                         f"not {spoken(kind)}")
    _check_sums(graph, body)
    before = graph.nodes[end - 1]
    for node in graph.nodes[end:]:
        if node.inputs != (before.name,):
            raise StageError(f"Node {node.name!r} must read {before.name!r}, as what is behind "
                             f"the layers must be one chain, not "
                             f"{', '.join(map(repr, node.inputs))}")
        before = node
    made = {node.name for node in body} - {graph.nodes[end - 1].name}
    read = {name for node in body for name in node.inputs}
    for name in sorted(made - read):
        raise StageError(f"Node {name!r} must be read by a layer, not by none")
    return {"prefix": graph.nodes[1:first], "body": body, "suffix": graph.nodes[end:]}


def _prefix(graph: Graph) -> int:
    """Return how many nodes are ahead of the body: those in a row from the Input, up to weights,
    a fork or a join."""
    for at, node in enumerate(graph.nodes[1:], 1):
        before = graph.nodes[at - 1]
        if (isinstance(node, Weighted | Add | Concat) or node.inputs != (before.name,)
                or len(graph.users(before)) != 1):
            return at
    return len(graph.nodes)


def _body_end(graph: Graph) -> int:
    """Return where the suffix begins: behind the last weights, and what is of integers there."""
    end = max(at for at, node in enumerate(graph.nodes) if isinstance(node, Weighted)) + 1
    for node in graph.nodes[end:]:
        small = all(isinstance(graph.type(name), Binary | Fixed) for name in node.inputs)
        match node:
            case Threshold() | Requantize():
                legal = isinstance(graph[node.inputs[0]], Weighted | Add)
            case Add():
                legal = layer_of(node, graph) is not None
            case MaxPool() | Concat():
                legal = small
            case _:
                legal = False
        if not legal:
            break
        end += 1
    return end


def _check_sums(graph: Graph, body: tuple[Node, ...]) -> None:
    """Refuse sums that neither an activation nor an Add takes, but for the last ones."""
    for before in body[:-1]:
        users = graph.users(before)
        taken = (len(users) == 1 and isinstance(users[0], Threshold | Requantize)
                 or bool(users) and all(isinstance(user, Add) for user in users))
        if isinstance(before, Weighted | Add) and not taken:
            node = next((user for user in users if not isinstance(user, Add)), graph.output)
            raise StageError(f"{type(before).__name__} {before.name!r} must be followed by a "
                             f"Threshold or a Requantize, not {type(node).__name__} "
                             f"{node.name!r}")


def split(graph: Graph) -> Parts:
    """Cut an integer graph into what the host and what the accelerator runs; checks it first.

    A step comes where the last of its nodes is in the graph.
    """
    check_stage(graph, "integer")
    cut = places(graph, "integer")
    steps: list[Step] = []
    for node in cut["body"]:
        users = [user for user in graph.users(node) if user in cut["body"]]
        inner = (isinstance(node, Weighted | Add) and any(
            isinstance(user, Threshold | Requantize) for user in users)
            or any(isinstance(user, Add) and layer_of(user, graph) is node for user in users))
        if not inner and not isinstance(node, Flatten):
            steps.append(_step(graph, cut["body"], node))
    return Parts(cut["prefix"], tuple(steps), cut["suffix"])


def _step(graph: Graph, body: tuple[Node, ...], last: Node) -> Step:
    """Return the step that ends with the node ``last``."""
    def source(node: Node) -> str:
        before = graph[node.inputs[0]]
        return source(before) if isinstance(before, Flatten) and before in body else before.name

    shape = graph.shape(last.name)
    if isinstance(last, MaxPool | Concat):
        kind = graph.type(last.inputs[0])
        assert isinstance(kind, Binary | Fixed)
        if isinstance(last, MaxPool):
            return Pooling(last, last.inputs[0], graph.shape(last.inputs[0]), kind, shape)
        return Joining(last, last.inputs, tuple(map(graph.shape, last.inputs)), kind, shape)
    activation = last if isinstance(last, Threshold | Requantize) else None
    total = graph[last.inputs[0]] if activation else last
    add = total if isinstance(total, Add) else None
    sums = layer_of(total, graph) if isinstance(total, Add) else total
    assert isinstance(sums, Dense | Conv)
    addend: str | None = None
    addend_type: Binary | Fixed | Sum | None = None
    if add:
        addend, = (name for name in add.inputs if name != sums.name)
        added = graph.type(addend)
        assert not isinstance(added, Real)
        addend_type = added
    name = source(sums)
    kind, sum_type = graph.type(name), graph.type(total.name)
    assert isinstance(kind, Binary | Fixed)
    assert isinstance(sum_type, Sum)
    return Layer(sums, activation, name, graph.shape(name), kind, sum_type, shape,
                 graph.type(last.name), add, addend, addend_type)

"""What the passes share: changing nodes of a graph, following its tensors, changing weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from compiler.errors import UserError
from compiler.ir import (
    Affine,
    AveragePool,
    BatchNorm,
    Binary,
    Concat,
    Conv,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Node,
    TensorType,
    Weighted,
)


__all__ = ["PassError", "columns", "free_name", "host_run", "is_line", "is_small", "negate",
           "per_channel", "repeated", "rewrite", "run_ahead", "run_behind", "ungrouped",
           "with_weights"]

Array = np.ndarray[Any, Any]
N = TypeVar("N", bound=Node)
W = TypeVar("W", bound=Weighted)

MAX_BITS = 8


class PassError(UserError):
    """A network that has no exact form in integers."""


def rewrite(graph: Graph, changes: Mapping[str, Sequence[Node]],
            reads: Mapping[str, tuple[str, ...]] | None = None) -> Graph:
    """Return ``graph`` with a run of nodes for each that ``changes`` names; unread nodes go.

    The first of a run reads what its ``inputs`` name in ``graph``, or what the old node read if
    they are empty. Every other one reads the one before it, and whatever its further inputs name.
    Who read the old node reads the last of the run, or what the old node read if the run is empty.
    ``reads`` gives the inputs of new nodes by the names of new tensors instead.
    """
    if not changes:
        return graph
    now: dict[str, str] = {}  # by old name of a tensor, the name of what holds it
    made: list[Node] = []
    for old in graph.nodes:
        last: Node | None = None
        for node in changes.get(old.name, (old,)):
            if last:
                inputs = (last.name, *(now[name] for name in node.inputs[1:]))
            else:
                inputs = tuple(now[name] for name in node.inputs or old.inputs)
            inputs = (reads or {}).get(node.name, inputs)
            last = node if node.inputs == inputs else replace(node, inputs=inputs)
            made.append(last)
        now[old.name] = last.name if last else now[old.inputs[0]]
    needed = {now[graph.output.name]}
    kept: list[Node] = []
    for node in reversed(made):
        if node.name in needed or isinstance(node, Input):
            kept.append(node)
            needed.discard(node.name)
            needed.update(node.inputs)
    return Graph(tuple(reversed(kept)), graph.name, graph.meta)


def run_behind(graph: Graph, node: Node) -> list[Node]:
    """Return ``node`` and what follows it: up to the next weights, mean, join or fork."""
    run = [node]
    while len(users := graph.users(run[-1])) == 1:
        if isinstance(users[0], Weighted | AveragePool) or len(users[0].inputs) > 1:
            break
        run.append(users[0])
    return run


def host_run(graph: Graph) -> list[Node]:
    """Return the Input and what follows it in a row, up to the first weights, join or fork."""
    run: list[Node] = [graph.input]
    while len(users := graph.users(run[-1])) == 1:
        if isinstance(users[0], Weighted) or len(users[0].inputs) > 1:
            break
        run.append(users[0])
    return run


def run_ahead(graph: Graph, node: Node, *kinds: type[Node]) -> list[Node]:
    """Return the nodes of ``kinds`` that end in what ``node`` reads."""
    run: list[Node] = []
    while isinstance(before := graph[(run[0] if run else node).inputs[0]], kinds):
        run.insert(0, before)
    return run


def per_channel(node: N, channels: int) -> N:
    """Return ``node``, which stands behind a Flatten, as it would be ahead of it.

    Raises PassError where the places of one of the ``channels`` are not treated alike.
    """
    fields = {}
    for key, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.ndim and len(value) not in (1, channels):
            places = value.reshape(-1, channels, *value.shape[1:])
            if (places != places[0]).any():
                raise PassError(f"{type(node).__name__} {node.name!r} must treat all places of a "
                                f"channel of its picture alike, not have {key} that differ")
            fields[key] = places[0]
    return replace(node, **fields) if fields else node


def free_name(graph: Graph, stem: str, what: str) -> str:
    """Return a name of no node of ``graph``, for what a pass adds to the node ``stem``."""
    taken = {node.name for node in graph.nodes}
    name = f"{stem}.{what}"
    number = 1
    while name in taken:
        number += 1
        name = f"{stem}.{what}{number}"
    return name


def is_small(kind: TensorType) -> bool:
    """Whether the accelerator can read it: bits, or integers of at most 8 bits."""
    return isinstance(kind, Binary) or isinstance(kind, Fixed) and kind.bits <= MAX_BITS


def is_line(graph: Graph, node: Node) -> bool:
    """Whether a tensor is small integers, or a scale and an offset of them."""
    if is_small(graph.type(node.name)):
        return True
    return (isinstance(node, Affine | BatchNorm | Flatten | MaxPool | Concat | AveragePool)
            and all(is_line(graph, graph[name]) for name in node.inputs))


def columns(node: Weighted, values: Array) -> Array:
    """Return ``values``, one for each input channel, so that they broadcast over the weights."""
    if not isinstance(node, Conv):
        return values.reshape(1, -1)
    groups = values.reshape(node.groups, -1)
    return groups.repeat(node.channels // node.groups, 0)[:, None, None, :]


def negate(node: W, turn: Array) -> W:
    """Change the sign of the weights and the bias of each output whose ``turn`` is -1."""
    bias = None if node.bias is None else node.bias * turn
    return replace(with_weights(node, node.weights * node.rows(turn)), bias=bias)


def with_weights(node: W, weights: Array) -> W:
    """Return ``node`` with other integer weights, of as many bits more as these need."""
    assert node.bits is not None
    bits = node.bits
    if bits == 1 and (np.abs(weights) != 1).any():
        bits = 2
    while bits > 1 and (weights.max() >= 1 << bits - 1 or weights.min() < -(1 << bits - 1)):
        bits += 1
    if bits > max(MAX_BITS, node.bits):
        at = np.argwhere((weights >= 1 << MAX_BITS - 1) | (weights < -(1 << MAX_BITS - 1)))[0]
        kind = type(node).__name__
        if -node.weights[tuple(at)] == weights[tuple(at)]:
            raise PassError(f"{kind} {node.name!r} must have no weight below -127 where its sign "
                            f"has to change, not {node.weights[tuple(at)]} in channel {at[0]}")
        raise PassError(f"{kind} {node.name!r} must have weights of at most {MAX_BITS} bits once "
                        f"they make up for the scales of its inputs, not {weights[tuple(at)]}")
    return replace(node, weights=weights, bits=bits)


def repeated(name: str, factors: Array) -> Conv:
    """Return a layer that multiplies each channel by one of ``factors``."""
    node = Conv(name=name, weights=np.ones((len(factors), 1, 1, 1), np.int64), bits=2,
                groups=len(factors))
    return with_weights(node, factors.astype(np.int64).reshape(-1, 1, 1, 1))


def ungrouped(weights: Array, groups: int) -> Array:
    """Return the weights of a convolution of one group, with 0 for what was no input."""
    if groups == 1:
        return weights
    outputs, lines, columns, width = weights.shape
    full = np.zeros((outputs, lines, columns, groups, width), weights.dtype)
    for group, these in enumerate(np.split(np.arange(outputs), groups)):
        full[these, :, :, group] = weights[these]
    return full.reshape(outputs, lines, columns, groups * width)

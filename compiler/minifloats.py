"""Networks of minifloats: what is legal in them, and which part of them is whose.

They run on the golden model and in C. A host prefix (a chain) ends ahead of the first Minifloat; a
host suffix (a chain) begins behind the last weights. In between all data are minifloats, or sums of
products of these in binary32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    Graph,
    HighestBit,
    MaxPool,
    Minifloat,
    Node,
    Relu,
    Weighted,
)
from compiler.stages import StageError


__all__ = ["FloatParts", "check_minifloats", "has_minifloats", "split_minifloats"]

HOST = Flatten, MaxPool, AveragePool, Affine, BatchNorm, Relu
LEGAL = {
    "prefix": HOST,
    "body":   (Minifloat, Dense, Conv, MaxPool, Relu, Add, Concat, Flatten),
    "suffix": (*HOST, ArgMax, HighestBit),
}
KEEPS = MaxPool, Relu, Concat, Flatten  # what makes minifloats of minifloats


@dataclass(frozen=True)
class FloatParts:
    """A network of minifloats by who runs what. The Input is in none of the three."""

    prefix: tuple[Node, ...]
    body: tuple[Node, ...]
    suffix: tuple[Node, ...]


def has_minifloats(graph: Graph) -> bool:
    """Whether a network has data that are minifloats."""
    return any(isinstance(node, Minifloat) for node in graph.nodes)


def check_minifloats(graph: Graph) -> None:
    """Refuse what is no network of minifloats: a StageError of one sentence names the node."""
    split_minifloats(graph)


def split_minifloats(graph: Graph) -> FloatParts:
    """Cut a network of minifloats into what the host and what the C runs; checks it first."""
    first = next((at for at, node in enumerate(graph.nodes) if isinstance(node, Minifloat)), 0)
    last = max((at for at, node in enumerate(graph.nodes) if isinstance(node, Weighted)),
               default=0)
    if not 0 < first < last:
        raise StageError(f"Graph {graph.name!r} must have minifloats ahead of its weights, "
                         f"not none")
    parts = FloatParts(graph.nodes[1:first], graph.nodes[first:last + 1], graph.nodes[last + 1:])
    for place, nodes in vars(parts).items():
        for node in nodes:
            if not isinstance(node, LEGAL[place]):
                legal = ", ".join(sorted(kind.__name__ for kind in LEGAL[place]))
                raise StageError(f"Node {node.name!r} in the {place} of the minifloats of "
                                 f"{graph.name!r} must be one of {legal}, "
                                 f"not {type(node).__name__}")
    _check_chain(graph.nodes[:first + 1])
    _check_chain((graph.nodes[last], *parts.suffix))
    for node in parts.body:
        _check_data(graph, node)
    return parts


def _check_chain(nodes: tuple[Node, ...]) -> None:
    for before, node in zip(nodes, nodes[1:], strict=False):
        if node.inputs != (before.name,):
            raise StageError(f"Node {node.name!r} must read {before.name!r}, as what is around "
                             f"the minifloats must be a chain, not "
                             f"{', '.join(map(repr, node.inputs))}")


def _check_data(graph: Graph, node: Node) -> None:
    for name in node.inputs:
        if isinstance(node, Weighted | Add | MaxPool | Concat) and not _rounds(graph, name):
            made = graph[name]
            raise StageError(f"{type(node).__name__} {node.name!r} must read minifloats, not what "
                             f"{type(made).__name__} {name!r} makes: put a FloatQuant between")
    if isinstance(node, Weighted) and node.weights.dtype != np.float32:
        raise StageError(f"{type(node).__name__} {node.name!r} must have weights that are "
                         f"minifloats, not {node.weights.dtype}")


def _rounds(graph: Graph, name: str) -> bool:
    """Whether a tensor holds minifloats."""
    node = graph[name]
    if isinstance(node, KEEPS):
        return all(_rounds(graph, of) for of in node.inputs)
    return isinstance(node, Minifloat)

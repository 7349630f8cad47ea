"""Exact sums of one layer: those of its weights, and perhaps what an Add puts to them."""

from typing import Any

import numpy as np

from compiler.ir import Add, Conv, Graph, Node, Sum, Weighted, value_range
from compiler.passes.rewriting import free_name, is_small, negate, repeated


__all__ = ["are_sums", "change_sums", "sum_range", "sums_of"]

Array = np.ndarray[Any, Any]


def are_sums(graph: Graph, node: Node) -> bool:
    """Whether ``node`` makes exact sums of weights, or adds to such."""
    if isinstance(node, Weighted):
        return isinstance(graph.type(node.name), Sum)
    return (isinstance(node, Add) and any(isinstance(graph[name], Weighted) for name in node.inputs)
            and all(is_small(graph.type(name)) or are_sums(graph, graph[name])
                    for name in node.inputs))


def sums_of(graph: Graph, node: Node) -> Weighted:
    """Return the weights whose layer makes the sums ``node``: of two, the later ones."""
    if isinstance(node, Weighted):
        return node
    found = [made for name in node.inputs if isinstance(made := graph[name], Weighted)]
    return max(found, key=graph.nodes.index)


def sum_range(graph: Graph, node: Node) -> tuple[Array, Array]:
    """Return the lowest and the highest sum of each channel."""
    if isinstance(node, Weighted):
        return node.sum_range(graph.type(node.inputs[0]),
                              zero=isinstance(node, Conv) and node.padded)
    if not isinstance(node, Add) or is_small(graph.type(node.name)):
        channels = graph.shape(node.name)[-1]
        low, high = value_range(graph.type(node.name))
        return np.full(channels, low), np.full(channels, high)
    ends = [sum_range(graph, graph[name]) for name in node.inputs]
    return ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]


def change_sums(graph: Graph, node: Node, turn: Array, reads: dict[str, tuple[str, ...]]
                ) -> dict[str, list[Node]]:
    """Return changes that negate the sums ``node`` where ``turn`` is -1; they name its weights.

    Small integers that are added go through a layer of their own then; ``reads`` tells of it.
    """
    falls = bool((turn < 0).any())
    if isinstance(node, Weighted):
        return {node.name: [negate(node, turn) if falls else node]}
    changes: dict[str, list[Node]] = {}
    layers: list[Node] = []
    names = []
    for name in node.inputs:
        added = graph[name]
        if isinstance(added, Weighted | Add):
            changes |= change_sums(graph, added, turn, reads)
        elif falls:
            layers.append(repeated(free_name(graph, node.name, "turned"), turn))
            reads[layers[-1].name] = (name,)
            name = layers[-1].name
        names.append(name)
    if layers:
        reads[node.name] = (names[0], names[1])
    changes[node.name] = [*layers, node]
    return changes

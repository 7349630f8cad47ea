"""Moves integer biases into the levels that follow."""

from dataclasses import replace

from compiler.ir import Graph, Node, Threshold, Weighted
from compiler.passes.rewriting import rewrite


__all__ = ["fold_bias"]


def fold_bias(graph: Graph) -> Graph:
    """Drop the integer bias of each layer ahead of integer levels, and lower these by it."""
    changes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if not isinstance(node, Threshold) or node.levels.dtype.kind != "i":
            continue
        sums = graph[node.inputs[0]]
        if (isinstance(sums, Weighted) and sums.bias is not None and sums.bias.dtype.kind == "i"
                and len(graph.users(sums)) == 1):
            changes[sums.name] = [replace(sums, bias=None)]
            changes[node.name] = [replace(node, levels=node.levels - sums.bias[:, None])]
    return rewrite(graph, changes)

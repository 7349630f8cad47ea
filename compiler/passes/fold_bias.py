"""Moves integer biases into the levels that follow."""

from dataclasses import replace

from compiler.ir import Dense, Graph, Node, Threshold
from compiler.passes.chain import relink


__all__ = ["fold_bias"]


def fold_bias(graph: Graph) -> Graph:
    """Drop the integer bias of each Dense ahead of integer levels, and lower these by it."""
    nodes: list[Node] = []
    for node in graph.nodes:
        dense = nodes[-1] if nodes else None
        if (isinstance(node, Threshold) and isinstance(dense, Dense) and dense.bias is not None
                and node.levels.dtype.kind == dense.bias.dtype.kind == "i"):
            nodes[-1] = replace(dense, bias=None)
            node = replace(node, levels=node.levels - dense.bias[:, None])
        nodes.append(node)
    return relink(graph, nodes)

"""Moves integer biases into the levels that follow."""

from collections.abc import Iterator
from dataclasses import replace

from compiler.ir import Add, Graph, Node, Threshold, Weighted
from compiler.passes.rewriting import rewrite


__all__ = ["fold_bias"]


def fold_bias(graph: Graph) -> Graph:
    """Drop the integer bias of each layer ahead of integer levels, and lower these by it."""
    changes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if not isinstance(node, Threshold) or node.levels.dtype.kind != "i":
            continue
        levels = node.levels
        for sums in _biased(graph, graph[node.inputs[0]]):
            assert sums.bias is not None
            levels = levels - sums.bias[:, None]
            changes[sums.name] = [replace(sums, bias=None)]
        if levels is not node.levels:
            changes[node.name] = [replace(node, levels=levels)]
    return rewrite(graph, changes)


def _biased(graph: Graph, node: Node) -> Iterator[Weighted]:
    """Yield the weights with an integer bias whose sums are all that ``node`` is made of."""
    if len(graph.users(node)) > 1:
        return
    if isinstance(node, Add):
        for name in node.inputs:
            yield from _biased(graph, graph[name])
    elif isinstance(node, Weighted) and node.bias is not None and node.bias.dtype.kind == "i":
        yield node

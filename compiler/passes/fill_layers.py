"""Gives weights to activations that have none ahead of them."""

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Add,
    AveragePool,
    Concat,
    Graph,
    Input,
    Node,
    Requantize,
    Threshold,
    Weighted,
)
from compiler.passes.rewriting import free_name, host_run, is_line, is_small, repeated, rewrite


__all__ = ["fill_layers"]


def fill_layers(graph: Graph) -> Graph:
    """Put a layer that changes nothing ahead of each activation of shared small integers.

    Such an activation, of integers that others read too or that a Concat joins, cannot go into
    the layer that made them.
    """
    host = {node.name for node in host_run(graph)}
    changes: dict[str, list[Node]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        if (not isinstance(node, Threshold | Requantize) or node.name in host
                or not is_small(graph.type(node.name))):
            continue
        path = _path(graph, node)
        if not path:
            continue
        source = path[0].inputs[0]
        layer = repeated(free_name(graph, node.name, "sums"),
                         np.ones(graph.shape(source)[-1], np.int64))
        private = all(len(graph.users(step)) == 1 for step in path[:-1])
        ahead = path[:-1] if private else [
            replace(step, name=free_name(graph, step.name, f"of.{node.name}"))
            for step in path[:-1]]
        changes[node.name] = [layer, *ahead, node]
        reads[layer.name] = (source,)
    return rewrite(graph, changes, reads)


def _path(graph: Graph, quantizer: Node) -> list[Node]:
    """Return what leads from shared small integers to ``quantizer``, it included; else nothing."""
    path = [quantizer]
    shared = False
    while len(path[0].inputs) == 1:
        before = graph[path[0].inputs[0]]
        if isinstance(before, Weighted | Add | AveragePool):
            return []
        shared |= len(graph.users(before)) > 1 or isinstance(before, Concat | Input)
        if shared and (is_small(graph.type(before.name))
                       or isinstance(before, Concat) and is_line(graph, before)):
            return path
        path.insert(0, before)
    return []

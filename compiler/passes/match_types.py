"""Gives the tensors that a Concat joins one type."""

from dataclasses import replace

import numpy as np

from compiler import golden
from compiler.ir import (
    Concat,
    Fixed,
    Graph,
    MaxPool,
    Node,
    Requantize,
    Sum,
    Threshold,
    value_range,
)
from compiler.passes.rewriting import free_name, is_small, repeated, rewrite


__all__ = ["match_types"]


def match_types(graph: Graph) -> Graph:
    """Make all that a Concat joins as wide as the widest, and signed if one is.

    A Threshold gets levels that are never reached; other integers go through a layer that changes
    nothing else.
    """
    for node in graph.nodes:
        wide = graph.type(node.name)
        if not isinstance(node, Concat) or not isinstance(wide, Fixed) or not is_small(wide):
            continue
        for at, name in enumerate(node.inputs):
            kind = graph.type(name)
            assert isinstance(kind, Fixed)
            if (kind.bits, kind.signed) != (wide.bits, wide.signed):
                return match_types(_widened(graph, node, at, wide))
    return graph


def _widened(graph: Graph, node: Concat, at: int, kind: Fixed) -> Graph:
    """Return ``graph`` with the input number ``at`` of ``node`` made ``kind``."""
    made = graph[node.inputs[at]]
    while isinstance(made, MaxPool):
        made = graph[made.inputs[0]]
    total = graph.type(made.inputs[0])
    if isinstance(made, Requantize) and isinstance(total, Sum):
        low, high = value_range(graph.type(made.name))
        if low <= total.low >> made.shift and total.high >> made.shift < high:
            wide = replace(made, bits=kind.bits, signed=kind.signed)  # none of it is saturated
            return rewrite(graph, {made.name: [wide]})
    if isinstance(made, Requantize) and not kind.signed and isinstance(total, Sum):
        made = _as_threshold(made, total)
    if isinstance(made, Threshold) and not kind.signed and isinstance(total, Sum):
        never = max(int(made.levels.max()), total.high + 1)
        more = (1 << kind.bits) - 1 - made.count
        levels = np.pad(made.levels, ((0, 0), (0, more)), constant_values=never)
        return rewrite(graph, {made.name: [replace(made, levels=levels)]})
    source = node.inputs[at]
    layer = repeated(free_name(graph, node.name, f"of{at + 1}"),
                     np.ones(graph.shape(source)[-1], np.int64))
    small = Requantize(name=free_name(graph, node.name, f"as{at + 1}"), shift=0, bits=kind.bits,
                       signed=kind.signed, fl=kind.fl)
    names = (*node.inputs[:at], small.name, *node.inputs[at + 1:])
    run: list[Node] = [layer, small, node]
    return rewrite(graph, {node.name: run}, {layer.name: (source,), node.name: names})


def _as_threshold(node: Requantize, total: Sum) -> Threshold:
    """Return levels that make of sums ``total`` what the unsigned ``node`` does."""
    sums = np.arange(total.low, total.high + 1)
    made = golden.evaluate(node, sums)
    levels = total.low + np.searchsorted(made, np.arange(1, 1 << node.bits))
    return Threshold(name=node.name, inputs=node.inputs, levels=levels[None])

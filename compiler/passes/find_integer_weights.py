"""Finds weights that are integers times a scale, though nobody says so."""

from dataclasses import replace

import numpy as np

from compiler.ir import Graph, Weighted
from compiler.passes.rewriting import rewrite


__all__ = ["find_integer_weights"]

MAX_BITS = 8


def find_integer_weights(graph: Graph) -> Graph:
    """Give each Dense or Conv whose real weights are all +-1, or small integers, its width.

    Weights of one magnitude in each output other than 1 leave it behind as a scale.
    """
    found = {node.name: _as_integers(node) for node in graph.nodes
             if isinstance(node, Weighted) and node.bits is None}
    return rewrite(graph, {name: [node] for name, node in found.items() if node.bits})


def _as_integers(node: Weighted) -> Weighted:
    sizes = np.abs(node.weights)
    rows = sizes.reshape(node.channels, -1).max(1)
    largest = float(rows.max())
    if (rows > 0).all() and (sizes == node.rows(rows)).all():
        scale = largest if (rows == largest).all() else rows
        return replace(node, weights=np.sign(node.weights).astype(np.int64), bits=1,
                       scale=node.scale * scale)
    if largest > 1 << MAX_BITS - 1 or (node.weights != np.rint(node.weights)).any() or not largest:
        return node
    low, high = int(node.weights.min()), int(node.weights.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    if bits > MAX_BITS:
        return node
    return replace(node, weights=node.weights.astype(np.int64), bits=bits)

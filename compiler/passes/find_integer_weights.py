"""Finds weights that are integers times a scale, though nobody says so."""

from dataclasses import replace

import numpy as np

from compiler.ir import Dense, Graph, Node
from compiler.passes.chain import relink


__all__ = ["find_integer_weights"]


def find_integer_weights(graph: Graph) -> Graph:
    """Give each Dense whose real weights are all +-1, or small integers, its width in bits.

    Weights of one magnitude other than 1 leave it behind as a scale.
    """
    return relink(graph, map(_as_integers, graph.nodes))


def _as_integers(node: Node) -> Node:
    if not isinstance(node, Dense) or node.bits is not None:
        return node
    sizes = np.abs(node.weights)
    largest = sizes.max()
    if largest > 0 and (sizes == largest).all():
        return replace(node, weights=np.sign(node.weights).astype(np.int64), bits=1,
                       scale=node.scale * float(largest))
    if largest > 128 or (node.weights != np.rint(node.weights)).any() or not largest:
        return node
    low, high = int(node.weights.min()), int(node.weights.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    return node if bits > 8 else replace(node, weights=node.weights.astype(np.int64), bits=bits)

"""Drops what changes nothing."""

import numpy as np

from compiler.ir import Affine, Concat, Flatten, Graph, MaxPool, Node, Real, Relu, value_range
from compiler.passes.rewriting import rewrite


__all__ = ["drop_no_ops"]


def drop_no_ops(graph: Graph) -> Graph:
    """Drop each Affine by 1 and 0, Flatten of one axis, pool of one place, join of one tensor,
    and Relu of what is never negative."""
    return rewrite(graph, {node.name: [] for node in graph.nodes if _is_no_op(graph, node)})


def _is_no_op(graph: Graph, node: Node) -> bool:
    match node:
        case Affine():
            return bool(np.all(node.scale == 1) and np.all(node.offset == 0))
        case Flatten():
            return len(graph.shape(node.inputs[0])) == 1
        case MaxPool():
            return node.kernel == node.stride == (1, 1)
        case Concat():
            return len(node.inputs) == 1
        case Relu():
            kind = graph.type(node.inputs[0])
            return not isinstance(kind, Real) and value_range(kind)[0] >= 0
    return False

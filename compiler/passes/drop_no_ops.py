"""Drops what changes nothing."""

import numpy as np

from compiler.ir import Affine, Flatten, Graph, Node, Real, Relu, value_range
from compiler.passes.chain import relink


__all__ = ["drop_no_ops"]


def drop_no_ops(graph: Graph) -> Graph:
    """Drop each Affine by 1 and 0, Flatten of one axis, and Relu of what is never negative."""
    return relink(graph, (node for node in graph.nodes if not _is_no_op(graph, node)))


def _is_no_op(graph: Graph, node: Node) -> bool:
    match node:
        case Affine():
            return bool(np.all(node.scale == 1) and np.all(node.offset == 0))
        case Flatten():
            return len(graph.shape(node.inputs[0])) == 1
        case Relu():
            kind = graph.type(node.inputs[0])
            return not isinstance(kind, Real) and value_range(kind)[0] >= 0
    return False

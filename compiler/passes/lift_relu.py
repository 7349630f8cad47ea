"""Turns a Relu of integers into one that stays among them."""

from typing import Any

import numpy as np

from compiler.ir import Affine, Binary, Fixed, Graph, Node, Relu, Requantize, value_range
from compiler.passes.chain import is_small, relink


__all__ = ["lift_relu"]

Array = np.ndarray[Any, Any]


def lift_relu(graph: Graph) -> Graph:
    """Replace Relu behind small integers and positive scales by a Requantize ahead of the scales.

    Of -1 and +1 it makes 0 and 1, which is half of what they are plus 1. Offsets between the
    integers and the Relu keep it where it is, unless a later quantizer folds all of it.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(node)
        if not isinstance(node, Relu):
            continue
        start = len(nodes) - 1
        while isinstance(nodes[start - 1], Affine):
            start -= 1
        scales = nodes[start:-1]
        if is_small(graph.type(nodes[start - 1].name)) and all(map(_positive, scales)):
            nodes[start:] = [*_positive_part(graph, nodes[start - 1], node), *scales]
    return relink(graph, nodes)


def _positive(node: Node) -> bool:
    return isinstance(node, Affine) and bool(np.all(node.scale > 0) and np.all(node.offset == 0))


def _positive_part(graph: Graph, integers: Node, relu: Node) -> list[Node]:
    kind = graph.type(integers.name)
    if isinstance(kind, Binary):
        return [Affine(name=relu.name, scale=0.5, offset=0.5)]
    assert isinstance(kind, Fixed)
    low, high = value_range(kind)
    if low >= 0:
        return []
    return [Requantize(name=relu.name, shift=0, bits=max(high.bit_length(), 1), signed=False,
                       fl=kind.fl)]

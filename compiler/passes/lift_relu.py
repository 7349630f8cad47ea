"""Turns a Relu of integers into one that stays among them."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from compiler.ir import Affine, Binary, Graph, Node, Relu, Threshold, value_range
from compiler.passes.chain import free_name, is_small, relink
from compiler.stages import on_host


__all__ = ["lift_relu"]

Array = np.ndarray[Any, Any]


def lift_relu(graph: Graph) -> Graph:
    """Replace Relu behind small integers by a Threshold that counts from its zero.

    What is between the integers and the Relu must be Affine, rise, be the same for all channels,
    and be 0 at an integer; otherwise all stays as it is.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(node)
        if not isinstance(node, Relu):
            continue
        start = len(nodes) - 1
        while isinstance(nodes[start - 1], Affine):
            start -= 1
        integers, steps = nodes[start - 1], nodes[start:-1]
        if is_small(graph.type(integers.name)):
            nodes[start:] = _lifted(graph, integers, steps, node)
    return relink(graph, nodes)


def _lifted(graph: Graph, integers: Node, steps: list[Node], relu: Node) -> Iterator[Node]:
    kind = graph.type(integers.name)
    low, high = value_range(kind)
    integer = np.array([low, high] if isinstance(kind, Binary) else range(low, high + 1))
    values = on_host(tuple(steps), integer[:, None].astype(float))
    slope = np.diff(values[:2, 0])[0]
    if values.shape[1] > 1 or slope <= 0:
        yield from (*steps, relu)
    elif values.min() >= 0:
        yield from steps
    elif isinstance(kind, Binary):
        top = max(float(values.max()), 0.0)
        yield Affine(name=relu.name, scale=top / 2, offset=top / 2)
    else:
        yield from _counted(graph, integer, values, steps, relu)


def _counted(graph: Graph, integer: Array, values: Array, steps: list[Node],
             relu: Node) -> Iterator[Node]:
    """Yield a Threshold with a level for each positive value, and the Affine of its counts."""
    positive = values[:, 0] > 0
    levels = integer[positive] if positive.any() else integer[-1:] + 1
    scale = math.prod(float(np.max(step.scale)) for step in steps if isinstance(step, Affine))
    if (np.maximum(values[:, 0], 0) != scale * np.cumsum(positive)).any():
        yield from (*steps, relu)
        return
    yield Threshold(name=relu.name, levels=levels[None])
    half = len(levels) == 1
    yield Affine(name=free_name(graph, relu.name, "values"), scale=scale / 2 if half else scale,
                 offset=scale / 2 if half else 0.0)

"""Turns a Relu of integers into one that stays among them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    Binary,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Relu,
    Threshold,
    value_range,
)
from compiler.passes.rewriting import free_name, is_small, rewrite, run_ahead
from compiler.stages import on_host


__all__ = ["lift_relu"]

Array = np.ndarray[Any, Any]


def lift_relu(graph: Graph) -> Graph:
    """Replace Relu behind small integers by a Threshold that counts from its zero.

    What is between the integers and the Relu must be Affine (or a pool or Flatten, which go behind
    it), rise, be the same for all channels, and be 0 at an integer; otherwise all stays as it is.
    """
    changes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if not isinstance(node, Relu):
            continue
        ahead = run_ahead(graph, node, Affine, MaxPool, Flatten)
        steps = [step for step in ahead if isinstance(step, Affine)]
        moved = [step for step in ahead if not isinstance(step, Affine)]
        integers = graph[(ahead or [node])[0].inputs[0]]
        alike = all(np.size(step.scale) == np.size(step.offset) == 1 for step in steps)
        falls = any(np.any(np.asarray(step.scale) <= 0) for step in steps)
        forked = any(len(graph.users(step)) > 1 for step in moved)
        if alike and not falls and not forked and is_small(graph.type(integers.name)):
            lifted = _lifted(graph, integers, steps, node)
            if lifted:
                first = replace(lifted[0], inputs=(integers.name,))
                changes[node.name] = [first, *lifted[1:], *moved]
            elif lifted is not None:
                changes[node.name] = []
    return rewrite(graph, changes)


def _lifted(graph: Graph, integers: Node, steps: list[Affine], relu: Node) -> list[Node] | None:
    """Return what takes the place of ``steps`` and ``relu``; None if they have to stay."""
    kind = graph.type(integers.name)
    low, high = value_range(kind)
    integer = np.array([low, high] if isinstance(kind, Binary) else range(low, high + 1))
    values = on_host(tuple(steps), integer[:, None].astype(float))
    if values.min() >= 0:
        return []
    if isinstance(kind, Binary):
        top = max(float(values.max()), 0.0)
        return [Affine(name=relu.name, scale=top / 2, offset=top / 2)]
    return _counted(graph, integer, values, steps, relu)


def _counted(graph: Graph, integer: Array, values: Array, steps: list[Affine],
             relu: Node) -> list[Node] | None:
    """Return a Threshold with a level for each positive value, and the Affine of its counts."""
    positive = values[:, 0] > 0
    levels = integer[positive] if positive.any() else integer[-1:] + 1
    scale = math.prod(float(np.max(step.scale)) for step in steps)
    if (np.maximum(values[:, 0], 0) != scale * np.cumsum(positive)).any():
        return None
    half = scale / 2 if len(levels) == 1 else 0.0
    return [Threshold(name=relu.name, levels=levels[None]),
            Affine(name=free_name(graph, relu.name, "values"), scale=half or scale, offset=half)]

"""Moves scales and offsets of integer tensors through the layers that read them."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from compiler.ir import Conv, Graph, Node, Weighted
from compiler.passes.lines import Forms, Line
from compiler.passes.rewriting import PassError, columns, with_weights


__all__ = ["absorb", "push_affines"]

Array = np.ndarray[Any, Any]

MOST = 127  # times that a scale goes into another


def push_affines(graph: Graph) -> Graph:
    """Make each Dense or Conv read integers ``q`` where it reads ``scale * q + offset``.

    The offset, which may differ between channels, becomes a bias; the scale one of the sums. An
    output must read integers of one scale or of small multiples of one, which the weights make up
    for; so do they for signs. Both pass through flattening, pools and joins. Ahead of a border of
    zeros the integers must be 0 where their values are: where they have an offset, a layer that
    adds it comes between (`Forms.settle`).
    """
    forms = Forms(graph)
    for node in graph.nodes:
        if not isinstance(node, Weighted) or node.bits is None:
            continue
        form = forms.of(node.inputs[0], node)
        if form is None or form.plain and form.tensor == node.inputs[0]:
            continue
        ahead: tuple[Node, ...] = ()
        first = form.tensor
        if isinstance(node, Conv) and node.padded and np.any(form.offset):
            ahead, form = forms.settle(form, node)
        forms.changes[node.name] = [*ahead, absorb(node, (form.scale, form.offset))]
        forms.reads[forms.changes[node.name][0].name] = (first,)
    return forms.rewritten()


def absorb(node: Weighted, line: Line) -> Weighted:
    """Return a layer that makes of ``q`` what ``node`` makes of ``line``'s scale and offset."""
    width = node.weights.shape[-1] * (node.groups if isinstance(node, Conv) else 1)
    scale, offset = (np.broadcast_to(value, (width,)) for value in line)
    size = np.abs(scale)
    seen = columns(node, size)
    seen = seen.reshape(len(seen), -1)
    steps = np.where(seen > 0, seen, np.inf).min(1)
    steps[np.isinf(steps)] = 0
    factors = columns(node, scale) / node_rows(node, np.where(steps, steps, 1))
    factors, times = _whole(node, factors, size)
    steps = steps / times
    if (scale < 0).all():
        steps, factors = -steps, -factors
    bias = _bias(node, offset)
    made = node
    if (factors != 1).any() and steps.any():
        made = with_weights(node, node.weights * factors.astype(np.int64))
    step = float(steps[0]) if (steps == steps[0]).all() else steps
    whole = np.ndim(node.scale) == 0 and node.scale == 1 and bool(np.all(step == 1))
    if bias is not None and not whole:
        bias = bias * node.scale
    if node.bias is not None:
        bias = node.bias if bias is None else node.bias + bias
    return replace(made, scale=1.0 if whole else step * node.scale, bias=bias)


def _whole(node: Weighted, factors: Array, size: Array) -> tuple[Array, int]:
    """Return ``factors`` times the least number that makes them all whole, and that number."""
    values = np.unique(np.abs(factors))
    ratios = [Fraction(value).limit_denominator(MOST) for value in values]
    times = math.lcm(*(ratio.denominator for ratio in ratios))
    made = np.rint(factors * times)
    if times > MOST or (np.abs(made - factors * times) > 1e-12 * np.abs(made)).any():
        first = int(np.flatnonzero(size)[0])
        other = int(np.argmax((size != 0) & (size != size[first])))
        raise PassError(f"{type(node).__name__} {node.name!r} must read integers of one scale or "
                        f"of small multiples of one, not {size[first]:.6g} for channel {first} "
                        f"and {size[other]:.6g} for channel {other}")
    return made, times


def node_rows(node: Weighted, values: Array) -> Array:
    return values.reshape(-1, *[1] * (node.weights.ndim - 1))


def _bias(node: Weighted, offset: Array) -> Array | None:
    """Return what the offsets of the inputs add to the sums, or None for nothing."""
    if not offset.any():
        return None
    if (offset == np.rint(offset)).all():
        offset = offset.astype(np.int64)
    products = node.weights * columns(node, offset)
    return products.reshape(node.channels, -1).sum(1)

"""Folds what stands between integer sums and the next small integers into one activation."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    Binary,
    Dense,
    Fixed,
    Graph,
    Node,
    Requantize,
    Sum,
    TensorType,
    Threshold,
    value_range,
)
from compiler.passes.chain import free_name, is_small, negate, relink, segments
from compiler.passes.levels import Steps, measure
from compiler.stages import on_host


__all__ = ["fit_shift", "fold_activations", "is_folded", "offset_of", "ordinals", "quantizers",
           "threshold_of"]

Array = np.ndarray[Any, Any]

MAX_SHIFT = 31


def fold_activations(graph: Graph) -> Graph:
    """Give each Dense of integer sums one Threshold or Requantize instead of all up to its last.

    Everything in between is monotone, in floating point too: BatchNorm, Affine, Relu, quantizers.
    So as a function of the sum it is a staircase, whose steps are measured with the golden model
    on every sum that the channel can make (`levels.measure`): before and after agree on all of
    them, whatever the rounding. Where it falls, the channel's weights change sign. A staircase
    that a shift makes becomes a Requantize, with a bias in the Dense; any other a Threshold.
    """
    parts = segments(graph)
    folded = [parts[0], *(fold_part(graph, part) for part in parts[1:])]
    return relink(graph, (node for part in folded for node in part))


def fold_part(graph: Graph, part: list[Node]) -> list[Node]:
    """Fold one layer, the nodes from its Dense to the next."""
    dense = part[0]
    assert isinstance(dense, Dense)
    total = graph.type(dense.name)
    ends = quantizers(graph, part)
    if not ends or not isinstance(total, Sum) or is_folded(part, ends[-1]):
        return part
    chain, rest = tuple(part[1:ends[-1] + 1]), part[ends[-1] + 1:]
    kind = graph.type(chain[-1].name)
    steps = measure(lambda sums: ordinals(on_host(chain, sums), kind),
                    *sum_range(dense, graph.type(dense.inputs[0])),
                    binary=isinstance(kind, Binary))
    if (steps.turn < 0).any():
        dense = negate(dense, steps.turn[:, None])
    shifted = None
    if isinstance(chain[-1], Requantize):
        shifted = fit_shift(steps, chain[-1])
    if shifted:
        requantize, bias = shifted
        bias = bias if dense.bias is None else bias + dense.bias
        return [replace(dense, bias=bias if bias.any() else None), requantize, *rest]
    return [dense, replace(threshold_of(steps), name=chain[-1].name),
            *offset_of(graph, chain[-1], steps), *rest]


def quantizers(graph: Graph, part: list[Node]) -> list[int]:
    """Return where in ``part`` small integers are made."""
    return [at for at, node in enumerate(part) if isinstance(node, Threshold | Requantize)
            and is_small(graph.type(node.name))]


def is_folded(part: list[Node], end: int) -> bool:
    """Whether the quantizer at ``end`` follows its Dense (or the Input) in integers already."""
    activation = part[end]
    if end != 1:
        return False
    return (isinstance(activation, Requantize) and activation.shift >= 0
            or isinstance(activation, Threshold) and activation.levels.dtype.kind == "i")


def sum_range(dense: Dense, kind: TensorType) -> tuple[Array, Array]:
    """Return the lowest and the highest sum of each channel, of inputs of type ``kind``."""
    low, high = value_range(kind)
    ends = dense.weights.astype(np.int64) * low, dense.weights.astype(np.int64) * high
    bias = 0 if dense.bias is None else dense.bias
    return np.minimum(*ends).sum(1) + bias, np.maximum(*ends).sum(1) + bias


def ordinals(values: Array, kind: TensorType) -> Array:
    """Number the values of small integers without gaps: those of bits 0 and 1."""
    return (values + 1) // 2 if isinstance(kind, Binary) else values


def threshold_of(steps: Steps) -> Threshold:
    """Return a Threshold (as yet without a name) of the levels, in one row where all are equal."""
    levels = steps.levels.astype(np.int64)
    return Threshold(name="", levels=levels[:1] if (levels == levels[0]).all() else levels)


def offset_of(graph: Graph, node: Node, steps: Steps) -> Iterator[Affine]:
    """Yield the Affine that makes of a Threshold's result what ``node`` made, if it takes one."""
    if isinstance(graph.type(node.name), Binary):
        return
    name = free_name(graph, node.name, "counted")
    if steps.levels.shape[1] == 1:
        yield Affine(name=name, scale=0.5, offset=steps.first + 0.5)
    elif steps.first:
        yield Affine(name=name, offset=float(steps.first))


def fit_shift(steps: Steps, model: Requantize) -> tuple[Requantize, Array] | None:
    """Return the Requantize, and the integer bias ahead of it, that make exactly these steps.

    A shift by ``s`` reaches ``q`` at ``q * 2**s`` less a half step; half to even puts the half
    itself above for an even ``q``, below for an odd one. So one level that a sum can cross tells
    the bias of its channel for each ``s``, and the other levels tell whether it is so.
    """
    signed = steps.first < 0
    bits = max(steps.last.bit_length(), (-steps.first - 1).bit_length() if signed else 0) + signed
    bits = max(bits, 1)
    low, high = value_range(Fixed(bits, signed))
    values = np.arange(low + 1, high + 1)
    wanted = np.repeat(steps.low[:, None], len(values), 1)
    wanted[:, values > steps.last] = steps.high[:, None] + 1
    inside = (values > steps.first) & (values <= steps.last)
    wanted[:, inside] = steps.levels
    crossed = (wanted > steps.low[:, None]) & (wanted <= steps.high[:, None])
    if not crossed.any(1).all() or bits > model.bits + 1:
        return None
    at = crossed.argmax(1)
    for shift in range(MAX_SHIFT + 1):
        steps_up = (values << shift) - (1 << shift >> 1) + (values % 2 if shift else 0)
        bias = steps_up[at] - wanted[np.arange(len(at)), at]
        made = np.clip(steps_up - bias[:, None], steps.low[:, None], steps.high[:, None] + 1)
        if (made == wanted).all():
            return Requantize(name=model.name, shift=shift, bits=bits, signed=signed,
                              fl=model.fl), bias
    return None

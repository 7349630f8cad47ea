"""Folds what stands between integer sums and the next small integers into one activation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Add,
    Affine,
    Binary,
    Fixed,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Requantize,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)
from compiler.passes.levels import Steps, measure
from compiler.passes.rewriting import (
    PassError,
    free_name,
    is_small,
    per_channel,
    rewrite,
    run_behind,
)
from compiler.passes.sums import are_sums, change_sums, sum_range, sums_of
from compiler.stages import on_host


__all__ = ["directions", "fit_shift", "fold_activations", "is_folded", "offset_of", "ordinals",
           "quantizers", "threshold_of"]

Array = np.ndarray[Any, Any]

MAX_SHIFT = 31


def fold_activations(graph: Graph) -> Graph:
    """Give each layer of integer sums one Threshold or Requantize instead of all up to its last.

    Everything in between is monotone, in floating point too: BatchNorm, Affine, Relu, quantizers.
    So as a function of the sum it is a staircase, whose steps are measured with the golden model
    on every sum that the channel can make (`levels.measure`): before and after agree on all of
    them, whatever the rounding. Where it falls, the channel's weights change sign. A staircase
    that a shift makes becomes a Requantize, with a bias in the layer; any other a Threshold.

    A MaxPool in between comes behind the activation, since the highest of some sums is also the
    highest step of a staircase that rises. Where a channel falls behind the pool, the staircase is
    turned upside down instead: its highest step is the lowest of the other, and an Affine of scale
    -1 behind the pool turns it back.
    """
    changes: dict[str, list[Node]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    touched: set[str] = set()  # an Add of what changes has to wait for the next time
    for node in graph.nodes:
        waits = not isinstance(node, Weighted) and not touched.isdisjoint(node.inputs)
        if isinstance(node, Weighted | Add) and not waits:
            changes |= fold_run(graph, run_behind(graph, node), reads)
        if waits or node.name in changes:
            touched.add(node.name)
    return rewrite(graph, changes, reads)


def fold_run(graph: Graph, run: list[Node], reads: dict[str, tuple[str, ...]]
             ) -> dict[str, list[Node]]:
    """Fold one layer, the nodes from its sums on; return the changes, and add to ``reads``."""
    node = run[0]
    ends = quantizers(graph, run)
    if not ends or not are_sums(graph, node) or is_folded(run, ends[-1]):
        return {}
    low, high = sum_range(graph, node)
    chain = tuple(per_channel(step, len(low)) for step in run[1:ends[-1] + 1])
    last = run[ends[-1]]
    kind = graph.type(last.name)
    pointwise = tuple(step for step in chain if not isinstance(step, MaxPool | Flatten))
    moved = [step for step in run[1:ends[-1]] if isinstance(step, MaxPool | Flatten)]
    steps = measure(lambda sums: ordinals(on_host(pointwise, sums), kind), low, high,
                    binary=isinstance(kind, Binary))
    wanted = directions(chain, low, high)
    upside_down = (wanted != 0) & (wanted != steps.turn)
    steps = turned(steps, upside_down)
    changed = change_sums(graph, node, steps.turn, reads)
    shifted = fit_shift(steps, last) if isinstance(last, Requantize) else None
    activation: Node
    if shifted:
        activation, bias = shifted
        name = sums_of(graph, node).name
        changed[name] = [_biased(step, bias) if step.name == name else step
                         for step in changed[name]]
    else:
        activation = replace(threshold_of(steps), name=last.name)
    ahead = changed.pop(node.name)
    return changed | {last.name: [*ahead, activation, *moved,
                                  *offset_of(graph, last, steps, upside_down, bool(shifted))]}


def _biased(node: Node, bias: Array) -> Node:
    assert isinstance(node, Weighted)
    bias = bias if node.bias is None else bias + node.bias
    return replace(node, bias=bias if bias.any() else None)


def directions(chain: Sequence[Node], low: Array, high: Array) -> Array:
    """Return for each channel whether the pools in ``chain`` see it rise (1) or fall (-1).

    It is 0 where there are none, or where they see the same for every integer from ``low`` to
    ``high``. Raises PassError where one sees it rise and another sees it fall.
    """
    found = np.zeros(len(low), np.int64)
    ends = np.stack([low, high])
    for step in chain:
        if isinstance(step, MaxPool):
            seen = np.sign(ends[1] - ends[0]).astype(np.int64)
            if (found * seen < 0).any():
                raise PassError(f"MaxPool {step.name!r} and the one ahead of it must have nothing "
                                f"between that falls, not channel {(found * seen).argmin()}: "
                                f"train with positive scales")
            found = np.where(found, found, seen)
        elif not isinstance(step, Flatten):
            ends = on_host((step,), ends)
    return found


def turned(steps: Steps, upside_down: Array) -> Steps:
    """Return the steps of ``last - function + first`` for the channels that are ``upside_down``.

    A level is reached by ``x`` from it on; so by ``-x`` up to its negative, and from 1 behind that
    it is not.
    """
    rows = upside_down[:, None]
    return replace(
        steps, levels=np.where(rows, 1 - steps.levels[:, ::-1], steps.levels),
        turn=np.where(upside_down, -steps.turn, steps.turn),
        low=np.where(upside_down, -steps.high, steps.low),
        high=np.where(upside_down, -steps.low, steps.high))


def quantizers(graph: Graph, run: list[Node]) -> list[int]:
    """Return where in ``run`` small integers are made."""
    return [at for at, node in enumerate(run) if isinstance(node, Threshold | Requantize)
            and is_small(graph.type(node.name))]


def is_folded(run: list[Node], end: int) -> bool:
    """Whether the quantizer at ``end`` follows the sums (or the Input) in integers already."""
    activation = run[end]
    if end != 1:
        return False
    return (isinstance(activation, Requantize) and activation.shift >= 0
            or isinstance(activation, Threshold) and activation.levels.dtype.kind == "i")


def ordinals(values: Array, kind: TensorType) -> Array:
    """Number the values of small integers without gaps: those of bits 0 and 1."""
    return (values + 1) // 2 if isinstance(kind, Binary) else values


def threshold_of(steps: Steps) -> Threshold:
    """Return a Threshold (as yet without a name) of the levels, in one row where all are equal."""
    levels = steps.levels.astype(np.int64)
    return Threshold(name="", levels=levels[:1] if (levels == levels[0]).all() else levels)


def offset_of(graph: Graph, node: Node, steps: Steps, upside_down: Array | bool = False,
              shifted: bool = False) -> Iterator[Affine]:
    """Yield the Affine that makes what ``node`` made of a Threshold's result, if it takes one.

    Some channels may be ``upside_down``; the result may be that of a Requantize (``shifted``).
    """
    sign: Array | float = 1.0
    if np.any(upside_down):
        sign = np.where(upside_down, -1.0, 1.0)
    offset: Array | float
    if isinstance(graph.type(node.name), Binary):
        scale, offset = sign, 0.0
    elif shifted:
        scale, offset = sign, (1 - sign) / 2 * (steps.first + steps.last)
    elif steps.levels.shape[1] == 1:
        scale, offset = sign / 2, steps.first + 0.5
    else:
        scale, offset = sign, np.where(upside_down, steps.last, float(steps.first))
        offset = float(offset) if np.ndim(offset) == 0 else offset
    if np.any(scale != 1) or np.any(offset != 0):
        yield Affine(name=free_name(graph, node.name, "counted"), scale=scale, offset=offset)


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

"""Follows real tensors back to the small integers that they are a scale and an offset of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from compiler.ir import (
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Binary,
    Concat,
    Fixed,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Requantize,
    TensorType,
    Weighted,
    value_range,
)
from compiler.ir.layers import common_type
from compiler.passes.rewriting import PassError, free_name, is_small, repeated, rewrite


__all__ = ["Form", "Forms", "Line", "affine_of", "compose"]

Array = np.ndarray[Any, Any]
Line = tuple[Array | float, Array | float]  # scale and offset

MOST = 127  # of the smallest integers that an offset and a scale are in proportion to


@dataclass(frozen=True)
class Form:
    """``scale * tensor + offset``, of small integers."""

    tensor: str  # as the graph will have it
    type: TensorType
    scale: Array | float = 1.0
    offset: Array | float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is the integers themselves."""
        return bool(np.all(self.scale == 1) and np.all(self.offset == 0))


def affine_of(node: Affine | BatchNorm) -> Line:
    """Return scale and offset of a node, as real numbers."""
    if isinstance(node, Affine):
        return node.scale, node.offset
    scale = node.gamma / np.sqrt(node.variance + node.epsilon)
    return scale, node.beta - node.mean * scale


def compose(node: Node, line: Line, shape: tuple[int, ...]) -> Line:
    """Return what ``node`` makes of ``line``, given the shape that it reads."""
    if isinstance(node, Flatten):
        scale, offset = (value if np.ndim(value) == 0 else np.broadcast_to(value, shape).ravel()
                         for value in line)
        return scale, offset
    assert isinstance(node, Affine | BatchNorm)
    scale, offset = affine_of(node)
    return line[0] * scale, line[1] * scale + offset


class Forms:
    """The forms of a graph's tensors, and the changes that make their integers.

    ``changes`` and ``reads`` are for `rewrite`, which `rewritten` calls.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changes: dict[str, list[Node]] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        self._known: dict[str, Form | None] = {}

    def rewritten(self) -> Graph:
        return rewrite(self.graph, self.changes, self.reads)

    def of(self, name: str, reader: Node) -> Form | None:
        """Return the form of what ``reader`` reads, or None if no small integers lie ahead.

        Raises PassError if something else than an Affine, a BatchNorm, a Flatten, a MaxPool or a
        Concat is between.
        """
        if name not in self._known:
            self._known[name] = self._find(self.graph[name], reader)
        return self._known[name]

    def _find(self, node: Node, reader: Node) -> Form | None:
        kind = self.graph.type(node.name)
        if is_small(kind):
            return Form(node.name, kind)
        if isinstance(node, Weighted | Add | AveragePool):
            return None
        forms = [form for name in node.inputs if (form := self.of(name, reader))]
        if not forms or len(forms) < len(node.inputs):
            return None
        match node:
            case Affine() | BatchNorm() | Flatten():
                line = compose(node, (forms[0].scale, forms[0].offset),
                               self.graph.shape(node.inputs[0]))
                if isinstance(node, Flatten):
                    return self._joined(node, forms, forms[0].type, line)
                return Form(forms[0].tensor, forms[0].type, *line)
            case MaxPool():
                return self._pooled(node, forms[0])
            case Concat():
                return self._side_by_side(node, forms)
            case _:
                raise PassError(f"{type(reader).__name__} {reader.name!r} must read integers of "
                                f"one scale and offset, not what {type(node).__name__} "
                                f"{node.name!r} makes of them")

    def _joined(self, node: Node, forms: list[Form], kind: TensorType, line: Line,
                *ahead: Node) -> Form:
        """Let ``node`` read the integers, with ``ahead`` of them; who needs them gets reals."""
        if not ahead and all(form.plain and form.tensor == name
                             for form, name in zip(forms, node.inputs, strict=True)):
            return Form(node.name, kind)
        back = Affine(name=free_name(self.graph, node.name, "values"), scale=line[0],
                      offset=line[1])
        self.changes[node.name] = [*ahead, node, back]
        self.reads[(*ahead, node)[0].name] = tuple(form.tensor for form in forms)
        return Form(node.name, kind, *line)

    def _pooled(self, node: MaxPool, form: Form) -> Form:
        if np.all(np.asarray(form.scale) >= 0):
            return self._joined(node, [form], form.type, (form.scale, form.offset))
        ahead, moved = self.settle(form, node)
        return self._joined(node, [form], moved.type, (moved.scale, moved.offset), *ahead)

    def _side_by_side(self, node: Concat, forms: list[Form]) -> Form:
        ahead: list[Node] = []
        if len({isinstance(form.type, Binary) for form in forms}) > 1:
            counted = [self._counted(node, at, form) for at, form in enumerate(forms)]
            ahead = [step for steps, _ in counted for step in steps]
            forms = [form for _, form in counted]
        kind = self._common(node, {form.type for form in forms})
        widths = [self.graph.shape(name)[-1] for name in node.inputs]
        scale, offset = (
            np.concatenate([np.broadcast_to(value, width)
                            for value, width in zip(values, widths, strict=True)])
            for values in ([form.scale for form in forms], [form.offset for form in forms]))
        made = self._joined(node, forms, kind, (scale, offset))
        if ahead:
            self.changes[node.name][:0] = ahead
            self.reads[node.name] = tuple(form.tensor for form in forms)
        return made

    def _counted(self, node: Concat, at: int, form: Form) -> tuple[tuple[Node, ...], Form]:
        """Return a layer that makes 0 and 1 of bits, and the form of these."""
        if not isinstance(form.type, Binary):
            return (), form
        width = self.graph.shape(node.inputs[at])[-1]
        ones = np.ones(width, np.int64)
        layer = replace(repeated(free_name(self.graph, node.name, f"bits{at + 1}"), ones),
                        bias=ones.copy())
        small = Requantize(name=free_name(self.graph, node.name, f"counts{at + 1}"), shift=1,
                           bits=1, signed=False)
        self.reads[layer.name] = (form.tensor,)
        scale = np.asarray(form.scale)
        return (layer, small), Form(small.name, Fixed(1, signed=False), 2 * scale,
                                    form.offset - scale)

    def _common(self, node: Node, kinds: set[TensorType]) -> TensorType:
        """Return the type of what a Concat makes of integers of ``kinds``."""
        kind = common_type(tuple(kinds))
        if not is_small(kind):
            raise PassError(f"Concat {node.name!r} must join bits, or integers that have at most "
                            f"8 bits together, not {', '.join(sorted(map(str, kinds)))}")
        return kind

    def settle(self, form: Form, reader: Node) -> tuple[tuple[Node, ...], Form]:
        """Return a layer that reads the integers of ``form`` and makes ones of no offset and of
        positive scale, and the form of these.

        It is a convolution of one tap for each channel, and a bias.
        """
        width = self.graph.shape(reader.inputs[0])[-1]
        scale, offset = (np.broadcast_to(value, (width,)) for value in (form.scale, form.offset))
        size, sign = np.abs(scale), np.where(scale < 0, -1, 1)
        times, bias = np.ones(width, np.int64), np.zeros(width, np.int64)
        for at in np.flatnonzero(offset):
            ratio = Fraction(offset[at] / (size[at] or 1e-300)).limit_denominator(MOST)
            if abs(float(ratio) * size[at] - offset[at]) > 1e-9 * abs(offset[at]):
                raise PassError(f"{type(reader).__name__} {reader.name!r} must read integers that "
                                f"are 0 where its border is 0, not {scale[at]:.6g} * q + "
                                f"{offset[at]:.6g} in channel {at}: leave out the offset or the "
                                f"pads")
            times[at], bias[at] = ratio.denominator, ratio.numerator
        low, high = value_range(form.type)
        lows, highs = (np.where(sign > 0, *ends) * times + bias
                       for ends in ((low, -high), (high, -low)))
        odd = (times * sign + bias) % 2 != 0
        shift = int(isinstance(form.type, Binary) and not odd.any())
        bottom, top = int(lows.min()) >> shift, int(highs.max()) >> shift
        signed = bottom < 0
        bits = max(top.bit_length(), (-bottom - 1).bit_length() if signed else 0, 1 - signed)
        kind = Fixed(bits + signed, signed)
        if not is_small(kind):
            raise PassError(f"{type(reader).__name__} {reader.name!r} must read integers of at "
                            f"most 8 bits once they are counted from 0, not {bottom} to {top}")
        layer = replace(repeated(free_name(self.graph, reader.name, "moved"), times * sign),
                        bias=bias if bias.any() else None)
        small = Requantize(name=free_name(self.graph, reader.name, "counted"), shift=shift,
                           bits=kind.bits, signed=signed)
        return (layer, small), Form(small.name, kind, size / times * (1 << shift))


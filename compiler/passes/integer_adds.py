"""Makes each Add one of integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from compiler.ir import Add, Affine, Graph, MaxPool, Node, Sum, TensorType, Weighted
from compiler.passes.lines import Form, Forms, Line
from compiler.passes.rewriting import PassError, free_name, repeated, with_weights


__all__ = ["integer_adds"]

Array = np.ndarray[Any, Any]

MOST = 127  # times that a step goes into a scale


def integer_adds(graph: Graph) -> Graph:
    """Replace each Add of scales and offsets of integers by one of integers, and an Affine.

    The integers are sums of weights, or small ones. A layer of the accelerator can add either to
    its own sums. Where there are none of weights, one tensor goes through a convolution of one tap
    for each channel, which leaves it as it is. Scales must be whole multiples of one step; weights
    make up for the multiples.
    """
    forms = _Sums(graph)
    for node in graph.nodes:
        if not isinstance(node, Add) or _is_done(graph, node):
            continue
        found = [forms.of(name, node) for name in node.inputs]
        if all(found):
            _replace(forms, node, [form for form in found if form])
    return forms.rewritten()


def _is_done(graph: Graph, node: Add) -> bool:
    """Whether it adds integers to sums of weights already."""
    return isinstance(graph.type(node.name), Sum) and any(
        isinstance(graph[name], Weighted) for name in node.inputs)


class _Sums(Forms):
    """Forms of small integers, and of sums."""

    def _find(self, node: Node, reader: Node) -> Form | None:
        kind = self.graph.type(node.name)
        if isinstance(node, Weighted | Add):
            return Form(node.name, kind) if isinstance(kind, Sum) else None
        return super()._find(node, reader)

    def _joined(self, node: Node, forms: list[Form], kind: TensorType, line: Line,
                *ahead: Node) -> Form:
        if any(isinstance(form.type, Sum) for form in forms):
            raise PassError(f"{type(node).__name__} {node.name!r} ahead of an Add must read small "
                            f"integers, not sums: put a quantizer ahead of it")
        return super()._joined(node, forms, kind, line, *ahead)

    def _pooled(self, node: MaxPool, form: Form) -> Form:
        if isinstance(form.type, Sum):
            return self._joined(node, [form], form.type, (form.scale, form.offset))
        return super()._pooled(node, form)


def _replace(forms: Forms, node: Add, found: list[Form]) -> None:
    graph, width = forms.graph, forms.graph.shape(node.name)[-1]
    weighted, added = sorted(found, key=lambda form: _rank(graph, form))
    if _rank(graph, weighted) == 2:
        raise PassError(f"Add {node.name!r} must read a tensor that is no sum of an Add itself, "
                        f"not two: put a quantizer ahead of one")
    steps, times = _common_steps(node, weighted, added, width)
    run: list[Node] = []
    names = []
    for form, factors in zip((weighted, added), times, strict=True):
        source = graph[form.tensor]
        if isinstance(source, Weighted):
            if (factors != 1).any():
                weights = source.weights * source.rows(factors)
                bias = None if source.bias is None else source.bias * factors
                forms.changes[source.name] = [replace(with_weights(source, weights), bias=bias)]
            names.append(form.tensor)
        elif form is weighted or (factors != 1).any():
            if isinstance(form.type, Sum):
                raise PassError(f"Add {node.name!r} must read sums of the scale of its other "
                                f"tensor, not of {factors.max()} times that: put a quantizer "
                                f"ahead of it")
            layer = repeated(free_name(graph, node.name, f"of{len(names) + 1}"), factors)
            forms.reads[layer.name] = (form.tensor,)
            run.append(layer)
            names.append(layer.name)
        else:
            names.append(form.tensor)
    forms.reads[node.name] = (names[0], names[1])
    values = Affine(name=free_name(graph, node.name, "values"), scale=steps,
                    offset=np.broadcast_to(weighted.offset + added.offset, (width,)).copy())
    forms.changes[node.name] = [*run, node, values]


def _rank(graph: Graph, form: Form) -> int:
    """Order the tensors of an Add by how well they do as sums of the layer that adds."""
    if not isinstance(form.type, Sum):
        return 1
    return 0 if isinstance(graph[form.tensor], Weighted) else 2


def _common_steps(node: Add, first: Form, second: Form, width: int) -> tuple[Array, list[Array]]:
    """Return a step for each channel, and how many of it the scales of both tensors are."""
    scales = [np.broadcast_to(form.scale, (width,)).astype(float) for form in (first, second)]
    steps, times = np.ones(width), np.zeros((2, width), np.int64)
    for at, (one, other) in enumerate(zip(*scales, strict=True)):
        if not other:
            steps[at], times[:, at] = one or 1.0, (one != 0, 0)
            continue
        ratio = Fraction(one / other).limit_denominator(MOST)
        if abs(float(ratio) * other - one) > 1e-12 * abs(one) or abs(ratio) > MOST:
            raise PassError(f"Add {node.name!r} must read tensors of one scale, or of whole "
                            f"multiples of one, not of {one:.6g} and {other:.6g} in channel {at}: "
                            f"quantize both with one scale")
        steps[at], times[:, at] = other / ratio.denominator, (ratio.numerator, ratio.denominator)
    return steps, list(times)

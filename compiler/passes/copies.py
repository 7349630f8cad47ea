"""Layers that change nothing: they give a tensor another place, or another type."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir import Binary, Dense, Fixed, Graph, Node, Requantize, TensorType, Threshold
from compiler.passes.rewriting import free_name, repeated


__all__ = ["copied"]

Pair = tuple[int, int]


def copied(graph: Graph, stem: str, what: str, source: str, kind: TensorType | None = None,
           stride: Pair = (1, 1)) -> tuple[Node, Node]:
    """Return a layer and its activation, which make ``source`` again, of small integers.

    ``kind`` is its new type, which must hold the values of the old one. Of a picture every place
    is made, or those that ``stride`` picks out.
    """
    shape, kind = graph.shape(source), kind or graph.type(source)
    name, made = free_name(graph, stem, what), free_name(graph, stem, f"{what}.copy")
    layer: Node
    if len(shape) == 1:
        layer = Dense(name=name, weights=np.eye(shape[0], dtype=np.int64), bits=2)
    else:
        layer = replace(repeated(name, np.ones(shape[-1], np.int64)), stride=stride)
    if isinstance(kind, Binary):
        return layer, Threshold(name=made, levels=np.zeros((1, 1), np.int64))
    assert isinstance(kind, Fixed)
    return layer, Requantize(name=made, shift=0, bits=kind.bits, signed=kind.signed)

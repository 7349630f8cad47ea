"""Merges what is affine into the real weights around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import Affine, BatchNorm, Dense, Flatten, Graph, Node, Relu
from compiler.passes.chain import PassError, is_small, relink, segments
from compiler.passes.push_affines import Line, compose


__all__ = ["merge_floats"]

Array = np.ndarray[Any, Any]


def merge_floats(graph: Graph) -> Graph:
    """Leave one Dense, and perhaps one Relu, of each layer: merge Affine and BatchNorm into them.

    Those ahead of a Relu go into the Dense before it, those behind it into the next one. Behind
    the last Dense or Relu they stay, as they do ahead of the first Dense if the input is real.
    All weights become real numbers.
    """
    before, *layers = segments(graph)
    merged = [_real(part) for part in layers]
    if is_small(graph.type(before[0].name)) and not any(isinstance(n, Relu) for n in before):
        merged[0] = _columns(graph, before, merged[0])
        before = [node for node in before if isinstance(node, Flatten) or node is graph.input]
    for at, part in enumerate(merged):
        last = at + 1 == len(merged)
        relus = [i for i, node in enumerate(part) if isinstance(node, Relu)]
        if last and not relus:
            continue
        end = relus[0] if relus else len(part)
        dense = _rows(graph, part[:end])
        behind = part[end + 1:]
        if not last:
            merged[at + 1] = _columns(graph, behind, merged[at + 1])
            behind = []
        merged[at] = [dense, *part[end:end + 1], *behind]
    return relink(graph, (node for part in [before, *merged] for node in part))


def _real(part: list[Node]) -> list[Node]:
    """Return the layer with its scales, and perhaps its width in bits, in real weights."""
    dense, *rest = part
    assert isinstance(dense, Dense)
    scale = np.broadcast_to(dense.scale, (dense.channels,))
    bias = np.zeros(dense.channels) if dense.bias is None else dense.bias.astype(float)
    return [replace(dense, weights=dense.weights * scale[:, None], bits=None, scale=1.0,
                    bias=bias), *rest]


def _line(graph: Graph, nodes: list[Node], dense: Dense) -> Line:
    line: Line = (1.0, 0.0)
    for node in nodes:
        if not isinstance(node, Affine | BatchNorm | Flatten):
            raise PassError(f"Node {node.name!r} beside Dense {dense.name!r} must be an Affine, a "
                            f"BatchNorm or one Relu, not {type(node).__name__}")
        line = compose(node, line, graph.shape(node.inputs[0]))
    return line


def _rows(graph: Graph, part: list[Node]) -> Dense:
    """Return the Dense of ``part`` with all that follows it merged in."""
    dense = part[0]
    assert isinstance(dense, Dense)
    assert dense.bias is not None
    scale, offset = (np.broadcast_to(v, (dense.channels,))
                     for v in _line(graph, part[1:], dense))
    return replace(dense, weights=dense.weights * scale[:, None],
                   bias=dense.bias * scale + offset)


def _columns(graph: Graph, before: list[Node], part: list[Node]) -> list[Node]:
    """Return ``part`` with ``before`` merged into its Dense."""
    dense = part[0]
    assert isinstance(dense, Dense)
    nodes = [node for node in before if node is not graph.input]
    scale, offset = (np.broadcast_to(v, (dense.fan_in,)) for v in _line(graph, nodes, dense))
    return [replace(dense, weights=dense.weights * scale,
                    bias=dense.bias + dense.weights @ offset), *part[1:]]

"""Moves joins behind the quantizers that follow them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import AveragePool, Concat, Flatten, Graph, Node, Weighted
from compiler.passes.fold_activations import quantizers
from compiler.passes.rewriting import free_name, rewrite, run_behind


__all__ = ["sink_concats"]

Array = np.ndarray[Any, Any]


def sink_concats(graph: Graph) -> Graph:
    """Quantize what a Concat joins rather than what it makes, each part as its channels were.

    So a join is always one of small integers, and their activations stay with their sums.
    """
    for node in graph.nodes:
        if not isinstance(node, Concat):
            continue
        for user in graph.users(node):
            if len(user.inputs) > 1 or isinstance(user, Weighted | AveragePool):
                continue
            run = run_behind(graph, user)
            flat = [at for at, step in enumerate(run) if isinstance(step, Flatten)]
            ends = [end for end in quantizers(graph, run) if not flat or end < flat[0]]
            if ends:
                return sink_concats(_sunk(graph, node, run[:ends[-1] + 1]))
    return graph


def _sunk(graph: Graph, node: Concat, chain: list[Node]) -> Graph:
    changes: dict[str, list[Node]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    run: list[Node] = []
    ends = []
    start, total = 0, graph.shape(node.name)[-1]
    for part, source in enumerate(node.inputs):
        stop = start + graph.shape(source)[-1]
        names = [free_name(graph, step.name, f"part{part}") for step in chain]
        steps = [replace(_cut(step, start, stop, total), name=name)
                 for step, name in zip(chain, names, strict=True)]
        reads[names[0]] = (source,)
        run += steps
        ends.append(names[-1])
        start = stop
    last = chain[-1]
    reads[last.name] = tuple(ends)
    changes[last.name] = [*run, replace(node, name=last.name)]
    return rewrite(graph, changes, reads)


def _cut(node: Node, start: int, stop: int, total: int) -> Node:
    """Return ``node`` for the channels from ``start`` to ``stop`` of ``total``."""
    cut: dict[str, Any] = {}
    for key, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.ndim and len(value) == total > 1:
            cut[key] = value[start:stop].copy()
    return replace(node, **cut) if cut else node

"""Merges what is affine into the real weights around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Conv,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Real,
    Relu,
    TensorType,
    Weighted,
)
from compiler.passes.lines import Form, Forms, Line, compose
from compiler.passes.rewriting import (
    PassError,
    columns,
    is_small,
    rewrite,
    run_ahead,
    run_behind,
)


__all__ = ["leads_to_weights", "merge_floats", "prefix_end"]

Array = np.ndarray[Any, Any]


def merge_floats(graph: Graph) -> Graph:
    """Leave the weights, the Relus, pools and joins of a network: merge Affine and BatchNorm.

    Those right behind weights (or pools of these) go into them, others into the next ones. Behind
    the last weights they stay, as they do ahead of the first if the input is real. All weights
    become real numbers.
    """
    graph = rewrite(graph, {node.name: [_real(node)] for node in graph.nodes
                            if isinstance(node, Weighted)})
    changes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node, Weighted) and leads_to_weights(graph, node):
            changes |= _rows(graph, node)
    graph = rewrite(graph, changes)
    forms = _RealForms(graph)
    for node in graph.nodes:
        if not isinstance(node, Weighted):
            continue
        form = forms.of(node.inputs[0], node)
        if form and not (form.plain and form.tensor == node.inputs[0]):
            forms.changes[node.name] = [_columns(node, form)]
            forms.reads[node.name] = (form.tensor,)
    return forms.rewritten()


def leads_to_weights(graph: Graph, node: Node) -> bool:
    """Whether weights lie behind ``node``."""
    return any(isinstance(user, Weighted) or leads_to_weights(graph, user)
               for user in graph.users(node))


def prefix_end(graph: Graph) -> Node:
    """Return what makes the tensor that the network of real numbers begins with.

    It is an input of small integers, if what follows can go into weights; else the last node of
    all that follows the input in a row.
    """
    run = run_behind(graph, graph.input)
    if not is_small(graph.input.type) or not all(
            isinstance(node, Affine | BatchNorm | Flatten | MaxPool) for node in run[1:]):
        return run[-1]
    borders = any(isinstance(user, Conv | AveragePool) and any(user.pads)
                  for user in graph.users(run[-1]))
    line: Line = (1.0, 0.0)
    for node in run[1:]:
        if isinstance(node, MaxPool):
            if np.any(np.asarray(line[0]) < 0):
                return run[-1]
        else:
            line = compose(node, line, graph.shape(node.inputs[0]))
    return run[-1] if borders and np.any(line[1]) else graph.input


def _real(node: Weighted) -> Weighted:
    """Return the layer with its scales, and perhaps its width in bits, in real weights."""
    scale = np.broadcast_to(node.scale, (node.channels,))
    bias = np.zeros(node.channels) if node.bias is None else node.bias.astype(float)
    return replace(node, weights=node.weights * node.rows(scale), bits=None, scale=1.0, bias=bias)


def _rows(graph: Graph, node: Weighted) -> dict[str, list[Node]]:
    """Return the changes that merge what is affine behind ``node`` into it.

    Pools in between go behind it, as long as what is behind them rises.
    """
    pools: list[Node] = []
    total: Line = (1.0, 0.0)
    last: Node = node
    for step in run_behind(graph, node)[1:]:
        if isinstance(step, MaxPool):
            pools.append(step)
            continue
        if not isinstance(step, Affine | BatchNorm):
            break
        line = compose(step, (1.0, 0.0), (node.channels,))
        if pools and np.any(np.asarray(line[0]) < 0):
            break
        total = total[0] * line[0], total[1] * line[0] + line[1]
        last = step
    if last is node:
        return {}
    assert node.bias is not None
    scale, offset = (np.broadcast_to(value, (node.channels,)) for value in total)
    run = run_behind(graph, node)
    pools = [step for step in run[:run.index(last)] if isinstance(step, MaxPool)]
    return {last.name: [replace(node, weights=node.weights * node.rows(scale),
                                bias=node.bias * scale + offset), *pools]}


def _columns(node: Weighted, form: Form) -> Weighted:
    """Return a layer that makes of the tensor of ``form`` what ``node`` makes of its values."""
    width = node.weights.shape[-1] * (node.groups if isinstance(node, Conv) else 1)
    scale, offset = (np.broadcast_to(value, (width,)) for value in (form.scale, form.offset))
    if isinstance(node, Conv) and node.padded and offset.any():
        at = int(np.flatnonzero(offset)[0])
        raise PassError(f"Conv {node.name!r} must read no offset, as its border is 0, not "
                        f"{offset[at]:.6g} in channel {at}: leave out the offset or the pads")
    assert node.bias is not None
    added = (node.weights * columns(node, offset)).reshape(node.channels, -1).sum(1)
    return replace(node, weights=node.weights * columns(node, scale), bias=node.bias + added)


class _RealForms(Forms):
    """Forms on real tensors: those of the input, of weights and of Relus."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._first = prefix_end(graph)

    def _find(self, node: Node, reader: Node) -> Form | None:
        if node is self._first or isinstance(node, Weighted | Add):
            return Form(node.name, Real())
        if isinstance(node, Relu):
            ahead = run_ahead(self.graph, node, MaxPool)
            source = self.graph[(ahead or [node])[0].inputs[0]]
            if isinstance(source, Weighted | Add):
                return Form(node.name, Real())
            raise PassError(f"Relu {node.name!r} ahead of {type(reader).__name__} "
                            f"{reader.name!r} must follow weights, their BatchNorm or a pool, "
                            f"not {type(source).__name__} {source.name!r}")
        if isinstance(node, AveragePool):
            form = self.of(node.inputs[0], reader)
            assert form is not None
            if any(node.pads) and np.any(form.offset):
                raise PassError(f"AveragePool {node.name!r} must read no offset, as its border "
                                f"is 0: leave out the offset or the pads")
            return self._joined(node, [form], Real(), (form.scale, form.offset))
        return super()._find(node, reader)

    def _pooled(self, node: MaxPool, form: Form) -> Form:
        if np.any(np.asarray(form.scale) < 0):
            raise PassError(f"MaxPool {node.name!r} must read what rises with the sums ahead of "
                            f"it, not what a negative scale turns: put the pool ahead of it")
        return self._joined(node, [form], form.type, (form.scale, form.offset))

    def _common(self, node: Node, kinds: set[TensorType]) -> TensorType:
        return Real()

"""Makes minifloats of a network of real numbers, and reads one that was stored."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from compiler import golden
from compiler.ir import (
    Add,
    Affine,
    AveragePool,
    Graph,
    Minifloat,
    Node,
    Real,
    Relu,
    Weighted,
)
from compiler.minifloats import check_minifloats
from compiler.passes.average_pools import ones
from compiler.passes.merge_floats import leads_to_weights, merge_floats, prefix_end
from compiler.passes.quantize_floats import calibrated, room
from compiler.passes.rewriting import PassError, free_name, rewrite, run_behind


__all__ = ["exponent_bits", "quantize_minifloats", "to_minifloats"]

Array = np.ndarray[Any, Any]

FEWEST_EXPONENT_BITS = 4
MOST_BITS = 16


def quantize_minifloats(graph: Graph, calibration: Array | None, bits: int) -> Graph:
    """Quantize weights, biases and data of a network to minifloats of ``bits`` bits.

    Ristretto's ``minifloat`` (P. Gysel, arXiv:1605.06402): all have one form, whose exponent holds
    the largest of the data that ``calibration`` (batch, ...) gives. Sums are binary32
    (`compiler.golden`), and those of the last layer stay as they are. A mean is a layer, whose
    weights are one divided by their number.

    Raises PassError.
    """
    x = calibrated(graph, calibration)
    changes: dict[str, list[Node]] = {
        node.name: _mean(graph, node) for node in graph.nodes
        if isinstance(node, AveragePool) and leads_to_weights(graph, node)}
    # A scale of integers stays ahead of them: weights times 1/255 would be below the least number.
    changes[graph.input.name] = [replace(graph.input, type=Real())]
    graph = merge_floats(rewrite(graph, changes))
    end = prefix_end(graph)
    stored = [end.name, *(_stored(graph, node) for node in graph.nodes
                          if isinstance(node, Weighted | Add))]
    largest = max(float(np.abs(values).max()) for node, values
                  in golden.trace(graph, x[:room(graph)]) if node.name in stored)
    exponent = exponent_bits(largest)
    if not exponent + 2 <= bits <= MOST_BITS:
        raise PassError(f"Network {graph.name!r} must have minifloats of {exponent + 2} to "
                        f"{MOST_BITS} bits, as its data come up to {largest:.6g}, not of {bits}")
    form = Minifloat(name="form", exponent=exponent, mantissa=bits - 1 - exponent)
    changes = {}
    for node in graph.nodes:
        run: list[Node] = [_rounded(node, form) if isinstance(node, Weighted) else node]
        if node.name in stored and leads_to_weights(graph, node):
            run.append(replace(form, name=free_name(graph, node.name, "minifloat")))
        if run != [node]:
            changes[node.name] = run
    return rewrite(graph, changes)


def exponent_bits(largest: float) -> int:
    """Return bits of exponent by which minifloats hold numbers up to ``largest``."""
    if largest <= 4:
        return FEWEST_EXPONENT_BITS
    return max(FEWEST_EXPONENT_BITS, math.ceil(math.log2(math.log2(largest) - 1) + 1))


def to_minifloats(graph: Graph) -> Graph:
    """Return a network of minifloats, as a front end made it, in the form that can be run.

    Weights and biases become float32, where they are exact. Raises a UserError of one sentence
    for what is no network of minifloats.
    """
    graph = rewrite(graph, {node.name: [_float32(node)] for node in graph.nodes
                            if isinstance(node, Weighted)})
    check_minifloats(graph)
    return graph


def _mean(graph: Graph, pool: AveragePool) -> list[Node]:
    count = pool.kernel[0] * pool.kernel[1]
    sums = ones(pool, graph.shape(pool.name)[-1])
    return [sums, Affine(name=free_name(graph, pool.name, "mean"), scale=1 / count)]


def _stored(graph: Graph, node: Node) -> str:
    """Return the tensor that is stored of what ``node`` makes: behind its Relu, if it has one."""
    relus = [step for step in run_behind(graph, node) if isinstance(step, Relu)]
    return relus[0].name if relus else node.name


def _rounded(node: Weighted, form: Minifloat) -> Weighted:
    assert node.bias is not None
    return replace(node, weights=golden.minifloat(node.weights, form),
                   bias=golden.minifloat(node.bias, form))


def _float32(node: Weighted) -> Weighted:
    scale = node.rows(np.broadcast_to(node.scale, (node.channels,)))
    bias = np.zeros(node.channels) if node.bias is None else node.bias
    made = replace(node, weights=(node.weights * scale).astype(np.float32), bits=None, scale=1.0,
                   bias=bias.astype(np.float32))
    for now, before in (made.weights, node.weights * scale), (made.bias, bias):
        assert now is not None
        if (now != before).any():
            raise PassError(f"{type(node).__name__} {node.name!r} must have weights and a bias "
                            f"that are minifloats, not {float(before[now != before][0])!r}")
    return made

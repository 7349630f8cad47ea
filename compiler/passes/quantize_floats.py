"""Quantizes a network of real numbers by dynamic precision.

A fractional length for each tensor, as in J. Qiu et al., "Going Deeper with Embedded FPGA Platform
for Convolutional Neural Network", FPGA 2016, section 5: those of weights and of biases by the
least sum of absolute errors around the one that does not overflow; those of data likewise, layer
by layer, with all earlier layers already quantized.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    Dense,
    Fixed,
    Graph,
    Node,
    Quant,
    Requantize,
    Threshold,
    value_range,
)
from compiler.passes.chain import PassError, free_name, is_small, relink, segments
from compiler.passes.merge_floats import merge_floats
from compiler.stages import on_host
from hdl.fixed import rescale


__all__ = ["best_length", "quantize_floats"]

Array = np.ndarray[Any, Any]

SEARCH = (0, 1, -1, 2, 3, 4)  # from the fractional length that just does not overflow


def quantize_floats(graph: Graph, calibration: Array | None, bits: int) -> Graph:
    """Quantize weights, biases and data of a network that has no quantizers to ``bits`` bits.

    Parameters
    ----------
    calibration
        Inputs (batch, ...) from which to learn how large the data are; some hundred will do.
    bits
        Of weights, biases and data, 2 to 8. Data behind a Relu, and inputs that are never
        negative, are unsigned.

    The sums of the last layer stay as they are. A network with quantizers, or of one layer that is
    integer already, is returned as it is.
    """
    if any(isinstance(node, Quant | Threshold | Requantize) for node in graph.nodes):
        return graph
    before, *layers = segments(graph)
    first = layers[0][0]
    assert isinstance(first, Dense)
    if len(layers) == 1 and first.bits and is_small(graph.type(graph.input.name)):
        return graph
    if not 2 <= bits <= 8:
        raise PassError(f"A network can be quantized to 2 to 8 bits, not {bits}")
    if calibration is None or not len(calibration):
        raise PassError(f"Network {graph.name!r} must have quantizers, or inputs to learn its "
                        f"ranges from (give some with --data), not neither")
    return _quantize(merge_floats(graph), calibration, bits)


def _quantize(graph: Graph, calibration: Array, bits: int) -> Graph:
    before, *layers = segments(graph)
    x = on_host(tuple(before), calibration)  # data of the network in real numbers
    q, length = x, 0                         # data of the quantized one, q * 2**-length
    nodes = list(before)
    if is_small(graph.type(before[-1].name)):
        q = x.astype(np.int64)
    else:
        length = _data_length(x, bits, bool(x.min() < 0))
        made = _input_quantizer(graph, before[-1], length, bits, bool(x.min() < 0))
        q = on_host(made, x)
        nodes += made
    for part in layers[:-1]:
        x = on_host(tuple(part), x)
        dense, sum_length = _integer_dense(part[0], length, bits)
        sums = on_host((dense,), q)
        name = part[1].name if part[1:] else free_name(graph, dense.name, "fixed")
        activation = _activation(name, x, sums, sum_length, Fixed(bits, signed=not part[1:]))
        length = activation.fl
        q = on_host((activation,), sums)
        nodes += dense, activation
    dense, length = _integer_dense(layers[-1][0], length, bits)
    values = Affine(name=free_name(graph, dense.name, "values"), scale=2.0 ** -length)
    return relink(graph, (*nodes, dense, values, *layers[-1][1:]))


def _data_length(x: Array, bits: int, signed: bool) -> int:
    low, high = value_range(Fixed(bits, signed))
    return best_length(x, high, lambda length: np.rint(x * 2.0 ** length).clip(low, high)
                       * 2.0 ** -length)


def _input_quantizer(graph: Graph, last: Node, length: int, bits: int,
                     signed: bool) -> tuple[Node, ...]:
    return (Affine(name=free_name(graph, last.name, "steps"), scale=2.0 ** length),
            Requantize(name=free_name(graph, last.name, "fixed"), shift=0, bits=bits,
                       signed=signed, fl=length))


def _integer_dense(dense: Node, length: int, bits: int) -> tuple[Dense, int]:
    """Return a Dense in integers for data of fractional ``length``, and that of its sums."""
    assert isinstance(dense, Dense)
    assert dense.bias is not None
    low, high = value_range(Fixed(bits))

    def integers(values: Array, length: int) -> Array:
        return np.rint(values * 2.0 ** length).clip(low, high).astype(np.int64)

    def nearest(values: Array, limit: int | None = None) -> int:
        return best_length(values, high, lambda length: integers(values, length) * 2.0 ** -length,
                           limit)

    weight_length = nearest(dense.weights)
    total = weight_length + length
    bias = None
    if dense.bias.any():
        bias_length = nearest(dense.bias, total)
        bias = integers(dense.bias, bias_length) << total - bias_length
    return replace(dense, weights=integers(dense.weights, weight_length), bits=bits,
                   bias=bias), total


def _activation(name: str, x: Array, sums: Array, sum_length: int, kind: Fixed) -> Requantize:
    """Return the Requantize of ``sums`` to ``kind`` that comes nearest to the real ``x``."""
    low, high = value_range(kind)
    length = best_length(x, high, lambda length: rescale(sums, sum_length - length, low, high)
                         * 2.0 ** -length, sum_length)
    return Requantize(name=name, shift=sum_length - length, bits=kind.bits, signed=kind.signed,
                      fl=length)


def best_length(target: Array, high: int, quantized: Callable[[int], Array],
                limit: int | None = None) -> int:
    """Return the fractional length, at most ``limit``, whose ``quantized`` values are nearest.

    Nearest is the least sum of absolute differences from ``target``. The search is around the
    greatest length at which the largest of ``target`` is not beyond the integer ``high``.
    """
    largest = float(np.abs(target).max(initial=0))
    start = math.floor(math.log2(high / largest)) if largest else 0
    if limit is not None:
        start = min(start, limit)
    lengths = [start + step for step in SEARCH if limit is None or start + step <= limit]
    return min(lengths, key=lambda length: float(np.abs(target - quantized(length)).sum()))

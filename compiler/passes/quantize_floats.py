"""Quantizes a network of real numbers by dynamic precision.

A fractional length for each tensor, as in J. Qiu et al., "Going Deeper with Embedded FPGA Platform
for Convolutional Neural Network", FPGA 2016, section 5: those of weights and of biases by the
least sum of absolute errors around the one that does not overflow; those of data likewise, layer
by layer, with all earlier layers already quantized.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler import golden
from compiler.ir import (
    Add,
    Affine,
    AveragePool,
    Concat,
    Fixed,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Quant,
    Relu,
    Requantize,
    Threshold,
    Weighted,
    value_range,
)
from compiler.passes.average_pools import ones
from compiler.passes.merge_floats import leads_to_weights, merge_floats, prefix_end
from compiler.passes.rewriting import (
    PassError,
    columns,
    free_name,
    is_small,
    rewrite,
    run_behind,
)
from compiler.stages import on_host
from hdl.fixed import rescale


__all__ = ["best_length", "quantize_floats"]

Array = np.ndarray[Any, Any]

MOST_VALUES = 1 << 25  # of one tensor of calibration data

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
    weighted = [node for node in graph.nodes if isinstance(node, Weighted)]
    if len(weighted) == 1 and weighted[0].bits and is_small(graph.input.type):
        return graph
    if not 2 <= bits <= 8:
        raise PassError(f"A network can be quantized to 2 to 8 bits, not {bits}")
    if calibration is None or not len(calibration):
        raise PassError(f"Network {graph.name!r} must have quantizers, or inputs to learn its "
                        f"ranges from (give some with --data), not neither")
    graph = merge_floats(graph)
    return _Quantizing(graph, bits).run(calibration[:_room(graph)])


def _room(graph: Graph) -> int:
    """Return how many inputs can be looked at, given the memory that the largest layer takes."""
    largest = max(math.prod(graph.shape(node.name)[:-1]) * node.fan_in
                  if isinstance(node, Weighted) else math.prod(graph.shape(node.name))
                  for node in graph.nodes)
    return max(1, MOST_VALUES // largest)


@dataclass
class _Data:
    """A tensor of the network: its real values ``x``, and integers ``q`` that stand for them.

    The values of these are ``q * 2**-length * factor``; ``name`` is theirs in the new graph.
    """

    name: str
    x: Array
    q: Array
    length: int
    factor: Array | float = 1.0


class _Quantizing:
    """Takes the calibration data through a network, and quantizes it node by node."""

    def __init__(self, graph: Graph, bits: int) -> None:
        self.graph = graph
        self.bits = bits
        self.changes: dict[str, list[Node]] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        self.data: dict[str, _Data] = {}

    def run(self, calibration: Array) -> Graph:
        self._begin(calibration)
        for at, node in enumerate(self.graph.nodes):
            if all(name in self.data for name in node.inputs) and node.inputs:
                self._take(node)
            later = {name for user in self.graph.nodes[at + 1:] for name in user.inputs}
            self.data = {name: data for name, data in self.data.items() if name in later}
        return rewrite(self.graph, self.changes, self.reads)

    def _begin(self, calibration: Array) -> None:
        """Quantize what the first layers read."""
        graph, end = self.graph, prefix_end(self.graph)
        x = calibration
        for node in graph.nodes[:graph.nodes.index(end) + 1]:
            x = golden.evaluate(node, x)
        if is_small(graph.type(end.name)):
            self.data[end.name] = _Data(end.name, x, x.astype(np.int64), 0)
            return
        signed = bool(x.min() < 0)
        length = _data_length(x, self.bits, signed)
        made = _input_quantizer(graph, end, length, self.bits, signed)
        self.changes[end.name] = [end, *made]
        self.data[end.name] = _Data(made[-1].name, x, on_host(made, x), length)

    def _take(self, node: Node) -> None:
        read = [self.data[name] for name in node.inputs]
        match node:
            case Weighted() if leads_to_weights(self.graph, node):
                self.data[node.name] = self._layer(node, read[0])
            case Weighted():
                sums, length = _integer_layer(node, read[0], self.bits)
                values = Affine(name=free_name(self.graph, node.name, "values"),
                                scale=2.0 ** -length)
                self.changes[node.name] = [sums, values]
            case AveragePool() if leads_to_weights(self.graph, node):
                self.data[node.name] = self._mean(node, read[0])
            case MaxPool() | Flatten():
                factor = read[0].factor
                if isinstance(node, Flatten) and np.ndim(factor):
                    factor = np.broadcast_to(factor, read[0].x.shape[1:]).ravel()
                self.data[node.name] = _Data(
                    node.name, golden.evaluate(node, read[0].x),
                    golden.evaluate(node, read[0].q), read[0].length, factor)
            case Relu():
                self.changes[node.name] = []
                self.data[node.name] = read[0]
            case Concat():
                self.data[node.name] = self._joined(node, read)
            case Add():
                self.data[node.name] = self._added(node, read)
            case _:
                raise PassError(f"{type(node).__name__} {node.name!r} must stand at the end of a "
                                f"network without quantizers, not ahead of weights")

    def _layer(self, node: Weighted, read: _Data) -> _Data:
        relus = [step for step in run_behind(self.graph, node) if isinstance(step, Relu)]
        sums, length = _integer_layer(node, read, self.bits)
        x = golden.evaluate(node, read.x)
        if relus:
            x = golden.evaluate(relus[0], x)
        name = relus[0].name if relus else free_name(self.graph, node.name, "fixed")
        return self._settled(sums, name, x, golden.evaluate(sums, read.q), length,
                             signed=not relus)

    def _mean(self, node: AveragePool, read: _Data) -> _Data:
        """Quantize sums, and leave the division by how many they are of to the next layer."""
        count = node.kernel[0] * node.kernel[1]
        sums = ones(node, self.graph.shape(node.name)[-1])
        made = self._settled(sums, free_name(self.graph, node.name, "fixed"),
                             golden.evaluate(node, read.x) * count / read.factor,
                             golden.evaluate(sums, read.q), read.length,
                             signed=bool(read.q.min() < 0))
        return replace(made, x=made.x * read.factor / count, factor=read.factor / count)

    def _settled(self, sums: Weighted, name: str, x: Array, totals: Array, length: int, *,
                 signed: bool) -> _Data:
        activation = _activation(name, x, totals, length, Fixed(self.bits, signed))
        self.changes[sums.name] = [sums, activation]
        return _Data(name, x, golden.evaluate(activation, totals), activation.fl)

    def _joined(self, node: Concat, read: list[_Data]) -> _Data:
        """Join integers of several lengths, and leave what they differ by to the next layer."""
        length = max(data.length for data in read)
        factor = np.concatenate([
            np.broadcast_to(data.factor * 2.0 ** (length - data.length), data.q.shape[-1])
            for data in read])
        return _Data(node.name, golden.evaluate(node, *(data.x for data in read)),
                     golden.evaluate(node, *(data.q for data in read)), length,
                     1.0 if (factor == 1).all() else factor)

    def _added(self, node: Add, read: list[_Data]) -> _Data:
        """Quantize a sum of values; `integer_adds` makes it one of integers."""
        relus = [step for step in run_behind(self.graph, node) if isinstance(step, Relu)]
        x = golden.evaluate(node, *(data.x for data in read))
        x = golden.evaluate(relus[0], x) if relus else x
        name = relus[0].name if relus else free_name(self.graph, node.name, "fixed")
        length = _data_length(x, self.bits, signed=not relus)
        values = [Affine(name=free_name(self.graph, node.name, f"values{at}"),
                         scale=2.0 ** -data.length * data.factor) for at, data in enumerate(read)]
        steps = Affine(name=free_name(self.graph, node.name, "steps"), scale=2.0 ** length)
        made = Requantize(name=name, shift=0, bits=self.bits, signed=not relus, fl=length)
        self.changes[node.name] = [*values, node, steps, made]
        self.reads |= {value.name: (data.name,) for value, data in zip(values, read, strict=True)}
        self.reads[node.name] = (values[0].name, values[1].name)
        one, other = (golden.evaluate(value, data.q)
                      for value, data in zip(values, read, strict=True))
        return _Data(name, x, on_host((steps, made), one + other), length)


def _data_length(x: Array, bits: int, signed: bool) -> int:
    low, high = value_range(Fixed(bits, signed))
    return best_length(x, high, lambda length: np.rint(x * 2.0 ** length).clip(low, high)
                       * 2.0 ** -length)


def _input_quantizer(graph: Graph, last: Node, length: int, bits: int,
                     signed: bool) -> tuple[Node, ...]:
    return (Affine(name=free_name(graph, last.name, "steps"), scale=2.0 ** length),
            Requantize(name=free_name(graph, last.name, "fixed"), shift=0, bits=bits,
                       signed=signed, fl=length))


def _integer_layer(node: Weighted, read: _Data, bits: int) -> tuple[Weighted, int]:
    """Return a layer in integers for the data that it reads, and the length of its sums."""
    assert node.bias is not None
    low, high = value_range(Fixed(bits))

    def integers(values: Array, length: int) -> Array:
        return np.rint(values * 2.0 ** length).clip(low, high).astype(np.int64)

    def nearest(values: Array, limit: int | None = None) -> int:
        return best_length(values, high, lambda length: integers(values, length) * 2.0 ** -length,
                           limit)

    weights = node.weights
    if np.ndim(read.factor):
        weights = weights * columns(node, np.asarray(read.factor))
    elif read.factor != 1:
        weights = weights * read.factor
    weight_length = nearest(weights)
    total = weight_length + read.length
    bias = None
    if node.bias.any():
        bias_length = nearest(node.bias, total)
        bias = integers(node.bias, bias_length) << total - bias_length
    return replace(node, weights=integers(weights, weight_length), bits=bits, bias=bias), total


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

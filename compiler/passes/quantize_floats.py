"""Quantizes a network of real numbers to integers, each tensor with a fractional length.

The lengths of dynamic precision are those of J. Qiu et al., "Going Deeper with Embedded FPGA
Platform for Convolutional Neural Network", FPGA 2016, section 5: those of weights and of biases by
the least sum of absolute errors around the one that does not overflow; those of data likewise,
layer by layer, with all earlier layers already quantized. `compiler.passes.precision` has other
choices.
"""

from __future__ import annotations

import math
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
    Minifloat,
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
from compiler.passes.precision import Dynamic, PowerOfTwo, Static, Widths, fitting_length
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


__all__ = ["MODES", "calibrated", "is_quantized", "quantize_floats", "quantized", "room"]

Array = np.ndarray[Any, Any]

MOST_VALUES = 1 << 25  # of one tensor of calibration data

MODES = "dynamic", "static", "power-of-two"  # what `quantized` may do
MOST_BITS = 8  # of what the fixed-point unit multiplies


def quantize_floats(graph: Graph, calibration: Array | None, bits: int) -> Graph:
    """Quantize a network that has no quantizers to ``bits`` bits by dynamic precision.

    As `quantized` does. A network with quantizers, or of one layer that is integer already, is
    returned as it is.
    """
    if is_quantized(graph):
        return graph
    return quantized(graph, calibration, Widths.of(bits))


def is_quantized(graph: Graph) -> bool:
    """Whether a network has quantizers, or needs none since its only layer is integer."""
    if any(isinstance(node, Quant | Threshold | Requantize | Minifloat) for node in graph.nodes):
        return True
    weighted = [node for node in graph.nodes if isinstance(node, Weighted)]
    return len(weighted) == 1 and bool(weighted[0].bits) and is_small(graph.input.type)


def quantized(graph: Graph, calibration: Array | None, widths: Widths,
              mode: str = "dynamic") -> Graph:
    """Quantize weights, biases and data of a network that has no quantizers.

    Parameters
    ----------
    calibration
        Inputs (batch, ...) from which to learn how large the data are; some hundred will do.
    widths
        2 to 8 bits each. Data behind a Relu, and inputs that are never negative, are unsigned.
    mode
        One of `MODES`. "dynamic": a length for each tensor. "static": one for all weights and
        biases, and one for all data, answers among them, at which the largest does not overflow.
        "power-of-two": weights that need no multiplier, whatever the widths of weights are
        (`compiler.passes.precision.PowerOfTwo`).

    The sums of the last layer stay as they are. Raises PassError.
    """
    if mode not in MODES:
        raise ValueError(f"Mode must be one of {', '.join(MODES)}, not {mode!r}")
    for bits in (widths.conv, widths.dense, widths.data):
        if not 2 <= bits <= MOST_BITS:
            raise PassError(f"A network can be quantized to 2 to {MOST_BITS} bits, not {bits}")
    x = calibrated(graph, calibration)
    graph = merge_floats(graph)
    x = x[:room(graph)]
    if mode == "power-of-two":
        return _Quantizing(graph, PowerOfTwo(widths)).run(x)
    dynamic = _Quantizing(graph, Dynamic(widths))
    made = dynamic.run(x)
    if mode == "dynamic":
        return made
    return _Quantizing(graph, Static(widths, _common_length(graph, widths),
                                     min(dynamic.fitting))).run(x)


def calibrated(graph: Graph, calibration: Array | None) -> Array:
    """Return the inputs to learn from. Raises PassError where there are none."""
    if calibration is None or not len(calibration):
        raise PassError(f"Network {graph.name!r} must have quantizers, or inputs to learn its "
                        f"ranges from (give some with --data), not neither")
    if not np.isfinite(calibration).all():
        raise PassError("Inputs to learn ranges from must be finite, not infinite or NaN")
    return calibration


def _common_length(graph: Graph, widths: Widths) -> int:
    """Return the length at which no weight or bias overflows."""
    return min(fitting_length(values, value_range(Fixed(widths.weights(node)))[1])
               for node in graph.nodes if isinstance(node, Weighted)
               for values in (node.weights, node.bias) if values is not None and values.any())


def room(graph: Graph) -> int:
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

    def __init__(self, graph: Graph, precision: Dynamic) -> None:
        self.graph = graph
        self.precision = precision
        self.bits = precision.widths.data
        self.fitting: list[int] = []  # lengths of data, answers among them, without overflow
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
        length = self._data_length(x, signed)
        made = _input_quantizer(graph, end, length, self.bits, signed)
        self.changes[end.name] = [end, *made]
        self.data[end.name] = _Data(made[-1].name, x, on_host(made, x), length)

    def _take(self, node: Node) -> None:
        read = [self.data[name] for name in node.inputs]
        match node:
            case Weighted() if leads_to_weights(self.graph, node):
                self.data[node.name] = self._layer(node, read[0])
            case Weighted():
                sums, length = _integer_layer(node, read[0], self.precision)
                _, high = value_range(Fixed(self.bits))
                self.fitting.append(fitting_length(golden.evaluate(node, read[0].x), high))
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
        sums, length = _integer_layer(node, read, self.precision)
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
        activation = self._activation(name, x, totals, length, Fixed(self.bits, signed))
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
        length = self._data_length(x, signed=not relus)
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

    def _data_length(self, x: Array, signed: bool) -> int:
        low, high = value_range(Fixed(self.bits, signed))
        self.fitting.append(fitting_length(x, high))
        return self.precision.data(x, high, lambda length: np.rint(x * 2.0 ** length).clip(
            low, high) * 2.0 ** -length)

    def _activation(self, name: str, x: Array, sums: Array, total: int,
                    kind: Fixed) -> Requantize:
        """Return the Requantize to ``kind`` of ``sums``, of length ``total``, for the real ``x``.
        """
        low, high = value_range(kind)
        self.fitting.append(fitting_length(x, high))
        length = self.precision.data(x, high, lambda length: (
            rescale(sums, total - length, low, high) * 2.0 ** -length), total)
        return Requantize(name=name, shift=total - length, bits=kind.bits, signed=kind.signed,
                          fl=length)


def _input_quantizer(graph: Graph, last: Node, length: int, bits: int,
                     signed: bool) -> tuple[Node, ...]:
    return (Affine(name=free_name(graph, last.name, "steps"), scale=2.0 ** length),
            Requantize(name=free_name(graph, last.name, "fixed"), shift=0, bits=bits,
                       signed=signed, fl=length))


def _integer_layer(node: Weighted, read: _Data, precision: Dynamic) -> tuple[Weighted, int]:
    """Return a layer in integers for the data that it reads, and the length of its sums."""
    assert node.bias is not None
    weights = node.weights
    if np.ndim(read.factor):
        weights = weights * columns(node, np.asarray(read.factor))
    elif read.factor != 1:
        weights = weights * read.factor
    made = precision.weights(node, weights)
    total = made.length + read.length
    bias = precision.bias(node, total) if node.bias.any() else None
    return replace(node, weights=made.values, bits=made.bits, bias=bias), total

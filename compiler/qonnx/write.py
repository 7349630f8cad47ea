"""Writes a quantized graph as QONNX, value by value the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.errors import UserError
from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Binary,
    Concat,
    Conv,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Minifloat,
    Node,
    Pool,
    Relu,
    Requantize,
    TensorType,
    Weighted,
)
from compiler.qonnx.nodes import DOMAIN, Nodes


__all__ = ["write"]

Array = np.ndarray[Any, Any]


def write(graph: Graph, path: Path, facts: Mapping[str, Any]) -> None:
    """Write ``graph`` to ``path``; `compiler.frontends.load` makes the same answers of it.

    It is as `compiler.passes.quantize_floats` leaves it. Pictures come with their channels first,
    as ONNX has them. Integers of our graph become the values that they stand for: a tensor of
    ONNX is ours times a power of two. ``facts`` become the model's properties.

    Raises UserError for an operation that QONNX does not have, and for a path that cannot be
    written.
    """
    writer = _Writer(graph)
    for node in graph.nodes:
        writer.take(node)
    output = writer.plain(graph.output.name)
    classes = isinstance(graph.output, ArgMax)
    writer.nodes.save(
        path, given=(graph.input.name, [1, *_sizes(graph.input.shape)], _note(graph.input.type)),
        made=(output, [1, *_sizes(graph.shape(graph.output.name))],
              TensorProto.INT64 if classes else TensorProto.FLOAT), facts=facts)


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that ONNX has for ours."""
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


def _note(kind: TensorType) -> str | None:
    match kind:
        case Binary():
            return "BIPOLAR"
        case Fixed(bits=bits, signed=signed):
            return f"{'' if signed else 'U'}INT{bits}"
    return None


class _Writer:
    """The ONNX graph so far.

    ``tensors`` has, by our name, that of ONNX and a *length*: ours is ONNX's ``* 2**length``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = Nodes()
        self.tensors: dict[str, tuple[str, int]] = {}
        self.taken = {node.name for node in graph.nodes}

    def take(self, node: Node) -> None:
        """Add what ``node`` is in ONNX."""
        if isinstance(node, Input):
            self.tensors[node.name] = node.name, 0
            return
        x, length = self.tensors[node.inputs[0]]
        if isinstance(node, Affine) and (power := _power(node)) is not None:
            self.tensors[node.name] = x, length + power
            return
        match node:
            case Weighted():
                length = self._sums(node, x, length)
            case Requantize():
                x, length = self.plain(node.inputs[0], node.fl + node.shift), node.fl
                self.nodes.quant(x, node.name, node.bits, 2.0 ** -length, signed=node.signed)
            case Minifloat():
                self.nodes.float_quant(self.plain(node.inputs[0]), node.name, node.exponent,
                                       node.mantissa, node.most)
                length = 0
            case Flatten():
                if len(self.graph.shape(node.inputs[0])) == 3:
                    x = self.nodes.add("Transpose", [x], self.free(node.name, "rows"),
                                       perm=[0, 2, 3, 1])
                self.nodes.add("Flatten", [x], node.name, axis=1)
            case Pool():
                self._pool(node, x)
            case Relu():
                self.nodes.add("Relu", [x], node.name)
            case ArgMax():
                self.nodes.add("ArgMax", [x], node.name, axis=1, keepdims=0)
                length = 0
            case Add() | Concat():
                length = self._joined(node)
            case Affine():
                self._affine(node, self.plain(node.inputs[0]))
                length = 0
            case BatchNorm():
                values = [self.nodes.constant(f"{node.name}.{key}", self._row(node, value))
                          for key, value in (("gamma", node.gamma), ("beta", node.beta),
                                             ("mean", node.mean), ("variance", node.variance))]
                self.nodes.add("BatchNormalization", [self.plain(node.inputs[0]), *values],
                               node.name, epsilon=node.epsilon)
                length = 0
            case _:
                raise UserError(f"{type(node).__name__} {node.name!r} must be an operation of "
                                f"QONNX to be written, not one of ours alone")
        self.tensors[node.name] = node.name, length

    def plain(self, name: str, length: int = 0) -> str:
        """Return ONNX's tensor of which ours is ``* 2**length``."""
        x, own = self.tensors[name]
        if own == length:
            return x
        return self.nodes.add("Mul", [x, self.nodes.number(2.0 ** (own - length))],
                              self.free(name, "scaled"))

    def free(self, stem: str, what: str) -> str:
        name, number = f"{stem}.{what}", 1
        while name in self.taken:
            number += 1
            name = f"{stem}.{what}{number}"
        self.taken.add(name)
        return name

    def _sums(self, node: Weighted, x: str, length: int) -> int:
        """Add a layer; return the length of its sums."""
        if node.bits is None:
            x, length = self.plain(node.inputs[0]), 0
            total = 0
        else:
            total = self._total(node, length)
        values = node.weights * 2.0 ** (length - total)
        if isinstance(node, Conv):
            values = values.transpose(0, 3, 1, 2)
        weights = self._weights(node, values, total - length)
        inputs = [x, weights]
        if node.bias is not None:
            inputs.append(self.nodes.constant(self.free(node.name, "bias"),
                                              node.bias * 2.0 ** -total))
        if isinstance(node, Conv):
            self.nodes.add("Conv", inputs, node.name, strides=node.stride, pads=node.pads,
                           group=node.groups)
        else:
            self.nodes.add("Gemm", inputs, node.name, transB=1)
        return total

    def _total(self, node: Weighted, length: int) -> int:
        """Return the length of sums by which what follows comes out in its own."""
        user = next(iter(self.graph.users(node)), None)
        if isinstance(user, Requantize):
            return user.fl + user.shift
        power = _power(user) if isinstance(user, Affine) else None
        return length if power is None else -power

    def _weights(self, node: Weighted, values: Array, length: int) -> str:
        """Add weights, integers of which are ``* 2**length``, through the quantizer for them."""
        made = self.nodes.constant(self.free(node.name, "weights"), values)
        name, step = self.free(node.name, "integers"), 2.0 ** -length
        match node.bits:
            case None:
                form = self._minifloat()
                return made if form is None else self.nodes.float_quant(
                    made, name, form.exponent, form.mantissa, form.most)
            case 1:
                return self.nodes.add("BipolarQuant", [made, self.nodes.number(step)], name,
                                      domain=DOMAIN)
        return self.nodes.quant(made, name, node.bits, step, signed=True)

    def _minifloat(self) -> Minifloat | None:
        """The form of all minifloats, which weights have, too."""
        return next((node for node in self.graph.nodes if isinstance(node, Minifloat)), None)

    def _pool(self, node: Pool, x: str) -> None:
        kind, more = "MaxPool", {}
        if isinstance(node, AveragePool):
            kind, more = "AveragePool", {"count_include_pad": 1}
        assert isinstance(node, MaxPool | AveragePool)
        self.nodes.add(kind, [x], node.name, kernel_shape=node.kernel, strides=node.stride,
                       pads=node.pads, **more)

    def _joined(self, node: Add | Concat) -> int:
        length = max(self.tensors[name][1] for name in node.inputs)
        inputs = [self.plain(name, length) for name in node.inputs]
        if isinstance(node, Add):
            self.nodes.add("Add", inputs, node.name)
        else:
            self.nodes.add("Concat", inputs, node.name, axis=1)
        return length

    def _affine(self, node: Affine, x: str) -> None:
        parts = [("Mul", "scale", node.scale), ("Add", "offset", node.offset)]
        parts = [part for part in parts if np.any(part[2] != (part[0] == "Mul"))]
        for at, (kind, what, value) in enumerate(parts or [("Mul", "scale", 1.0)]):
            last = at == max(len(parts) - 1, 0)
            name = node.name if last else self.free(node.name, "product")
            x = self.nodes.add(kind, [x, self.nodes.constant(
                self.free(node.name, what), self._spread(node, value))], name)

    def _row(self, node: Node, value: Array | float) -> Array:
        return np.broadcast_to(value, self.graph.shape(node.name)[-1:])

    def _spread(self, node: Node, value: Array | float) -> Array:
        """Return one value for each channel so that it broadcasts over ONNX's tensor."""
        axes = len(self.graph.shape(node.name)) - 1
        return self._row(node, value).reshape(1, -1, *[1] * axes)


def _power(node: Affine) -> int | None:
    """Return the exponent of two that an Affine multiplies by, if that is all it does."""
    if np.ndim(node.scale) or np.any(node.offset) or not node.scale > 0:
        return None
    mantissa, exponent = math.frexp(float(node.scale))
    return exponent - 1 if mantissa == 0.5 else None

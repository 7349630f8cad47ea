"""What every operation means, in NumPy. Hardware, C code and passes are all held to it.

Tensors carry a batch axis first and channels last. Integers are exact: products of integers run
in float64, which holds every integer below 2**53, and come back as int64. Minifloats are float32
(binary32 of IEEE 754), and so are sums of them, to which product after product is added in the
order of the weights; the bias comes last.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    Graph,
    HighestBit,
    Input,
    MaxPool,
    Minifloat,
    Node,
    Pool,
    Quant,
    Relu,
    Requantize,
    Threshold,
    Weighted,
)
from hdl.fixed import rescale


__all__ = ["evaluate", "run", "trace"]

Array = np.ndarray[Any, Any]


def evaluate(node: Node, *inputs: Array) -> Array:
    """Apply one operation to a batch."""
    x = inputs[0]
    match node:
        case Input():
            x = x.reshape(len(x), *node.shape)
            return x.astype(np.int64) if x.dtype.kind in "iu" else x
        case Flatten():
            return x.reshape(len(x), -1)
        case Dense():
            return weighted(x, node)
        case Conv():
            return convolution(x, node)
        case MaxPool():
            return windows(x, node, lowest(x)).max((-2, -1))
        case AveragePool():
            return windows(x, node, 0).mean((-2, -1))
        case Add():
            return x + inputs[1]
        case Concat():
            return np.concatenate(inputs, -1)
        case Affine():
            return wide(x) * node.scale + node.offset
        case BatchNorm():
            deviation = np.sqrt(node.variance + node.epsilon)
            return (wide(x) - node.mean) / deviation * node.gamma + node.beta
        case Relu():
            return np.maximum(x, 0)
        case Threshold():
            return threshold(x, node.levels)
        case Quant():
            return quantize(x, node)
        case Minifloat():
            return minifloat(x, node)
        case Requantize():
            low = -(1 << node.bits - 1) if node.signed else 0
            high = low + (1 << node.bits) - 1
            if x.dtype.kind == "f":
                return np.rint(x * 2.0 ** -node.shift).clip(low, high).astype(np.int64)
            return rescale(x, node.shift, low, high)
        case ArgMax():
            return x.argmax(-1)
        case HighestBit():
            last = x.shape[-1] - 1 - (x[..., ::-1] > 0).argmax(-1)
            return np.where((x > 0).any(-1), last, 0)
    raise TypeError(f"{type(node).__name__} has no golden model")


def weighted(x: Array, node: Weighted) -> Array:
    """``(x @ weights.T) * scale + bias``, for inputs (..., fan_in) in the order of the weights."""
    return finished(products(x, node.weights.reshape(node.channels, -1)), node)


def products(x: Array, weights: Array) -> Array:
    """``x @ weights.T``; int64 where all of it is integer, float32 where the weights are."""
    if weights.dtype == np.float32:
        return sums_in_order(x, weights)
    made = x.astype(np.float64) @ weights.T.astype(np.float64)
    if x.dtype.kind in "iu" and weights.dtype.kind in "iu":
        made = made.astype(np.int64)
    return made


def sums_in_order(x: Array, weights: Array) -> Array:
    """Add product after product in binary32, each rounded, as each sum is."""
    inputs = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T, np.float32)
    sums = np.zeros((len(weights), inputs.shape[1]), np.float32)
    for values, factors in zip(inputs, weights.T, strict=True):
        sums += factors[:, None] * values
    return sums.T.reshape(*x.shape[:-1], len(weights))


def wide(x: Array) -> Array:
    """Return real numbers as float64, in which the host works."""
    return x.astype(np.float64) if x.dtype == np.float32 else x


def minifloat(x: Array, node: Minifloat) -> Array:
    """The nearest minifloat of each number, as float32."""
    with np.errstate(over="ignore"):
        values = x.astype(np.float32).astype(np.float64).clip(-node.most, node.most)
    _, exponents = np.frexp(values)
    steps = np.ldexp(1.0, np.maximum(exponents - 1, node.lowest) - node.mantissa)
    near = (np.rint(values / steps) * steps).clip(-node.most, node.most)
    return np.where(np.abs(near) < node.least, 0, near).astype(np.float32)


def finished(sums: Array, node: Weighted) -> Array:
    """Scale the sums of a node, and add its bias."""
    if np.ndim(node.scale) or node.scale != 1:
        sums = sums * node.scale
    return sums if node.bias is None else sums + node.bias


def convolution(x: Array, node: Conv) -> Array:
    """A convolution of (batch, height, width, channels), a group at a time, by im2col."""
    seen = windows(x, node, 0).transpose(0, 1, 2, 4, 5, 3)  # batch, y, x, ky, kx, channel
    width, outputs = node.weights.shape[3], node.channels // node.groups
    sums = []
    for group in range(node.groups):
        columns = seen[..., group * width:(group + 1) * width]
        weights = node.weights[group * outputs:(group + 1) * outputs]
        sums.append(products(columns.reshape(*columns.shape[:3], -1),
                             weights.reshape(outputs, -1)))
    return finished(np.concatenate(sums, -1), node)


def windows(x: Array, node: Conv | Pool, outside: float) -> Array:
    """Return what each place of a window sees: (batch, y, x, channels, ky, kx)."""
    top, left, bottom, right = node.pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=outside)
    every = sliding_window_view(padded, node.kernel, (1, 2))
    return every[:, ::node.stride[0], ::node.stride[1]]


def lowest(x: Array) -> float:
    """A value that no other is below."""
    return np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf


def threshold(x: Array, levels: Array) -> Array:
    """-1 or +1 for one level, else the number of levels that ``x`` has reached."""
    if levels.shape[1] == 1:
        return np.where(x >= levels[:, 0], 1, -1)
    passed = np.zeros(x.shape, np.int64)
    for level in levels.T:
        passed += x >= level
    return passed


def quantize(x: Array, node: Quant) -> Array:
    """QONNX `Quant` with ``rounding_mode`` ROUND."""
    low = -(1 << node.bits - 1) + node.narrow if node.signed else 0
    high = (1 << node.bits - 1) - 1 if node.signed else (1 << node.bits) - 1 - node.narrow
    q = np.clip(np.rint(x / node.scale + node.zero_point), low, high)
    return (q - node.zero_point) * node.scale


def trace(graph: Graph, x: Array) -> Iterator[tuple[Node, Array]]:
    """Yield each node with the tensor that it makes of the batch ``x``."""
    tensors: dict[str, Array] = {}
    for node in graph.nodes:
        inputs = [tensors[name] for name in node.inputs] or [x]
        tensors[node.name] = evaluate(node, *inputs)
        yield node, tensors[node.name]


def run(graph: Graph, x: Array) -> Array:
    """Run a graph on a batch, and return what its last node makes."""
    *_, (_, result) = trace(graph, x)
    return result

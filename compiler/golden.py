"""What every operation means, in NumPy. Hardware, C code and passes are all held to it.

Tensors carry a batch axis first and channels last. Integers are exact: products of integers run
in float64, which holds every integer below 2**53, and come back as int64.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Dense,
    Flatten,
    Graph,
    HighestBit,
    Input,
    Node,
    Quant,
    Relu,
    Requantize,
    Threshold,
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
            return dense(x, node)
        case Affine():
            return x * node.scale + node.offset
        case BatchNorm():
            deviation = np.sqrt(node.variance + node.epsilon)
            return (x - node.mean) / deviation * node.gamma + node.beta
        case Relu():
            return np.maximum(x, 0)
        case Threshold():
            return threshold(x, node.levels)
        case Quant():
            return quantize(x, node)
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


def dense(x: Array, node: Dense) -> Array:
    """``(x @ weights.T) * scale + bias``; int64 where all of it is integer."""
    product = x.astype(np.float64) @ node.weights.T.astype(np.float64)
    if x.dtype.kind in "iu" and node.weights.dtype.kind in "iu":
        product = product.astype(np.int64)
    if np.ndim(node.scale) or node.scale != 1:
        product = product * node.scale
    return product if node.bias is None else product + node.bias


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

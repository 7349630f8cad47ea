"""ONNX operations on each element or channel, and those that end a network."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.frontends.onnx_compare import number
from compiler.frontends.onnx_file import ELEMENT_LIMIT
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Clipped, Constant, Operand, Tensor, Truth
from compiler.frontends.refusal import quoted
from compiler.ir import Affine, ArgMax, BatchNorm, Relu


__all__ = ["add", "argmax", "batch_normalization", "cast", "clip", "div", "dropout", "identity",
           "mul", "neg", "relu", "softmax", "sub", "top_k"]

Array = np.ndarray[Any, Any]

_FLOATS = (1, 10, 11, 16)           # TensorProto.FLOAT, FLOAT16, DOUBLE, BFLOAT16
_INTEGERS = (2, 3, 4, 5, 6, 7, 12)  # UINT8, INT8, UINT16, INT16, INT32, INT64, UINT32


# Arithmetic with a constant

def add(site: Site) -> Operand:
    return _arithmetic(site, np.add, lambda c: (1.0, c), lambda c: (1.0, c))


def sub(site: Site) -> Operand:
    return _arithmetic(site, np.subtract, lambda c: (1.0, -c), lambda c: (-1.0, c))


def mul(site: Site) -> Operand:
    return _arithmetic(site, np.multiply, lambda c: (c, 0.0), lambda c: (c, 0.0))


def div(site: Site) -> Operand:
    if isinstance(site.operand(1), Constant) and (site.constant(1).values == 0).any():
        raise site.refusal("must divide by numbers other than 0")
    return _arithmetic(site, _divide, lambda c: (1.0 / c, 0.0), None)


def _divide(a: Array, b: Array) -> Array:
    """Division of integers drops the fraction."""
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return a / b
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


Line = Callable[[Array], tuple[Array | float, Array | float]]  # constant to scale and offset


def _arithmetic(site: Site, fold: Callable[[Array, Array], Array], line: Line,
                swapped: Line | None) -> Operand:
    """Fold two constants; or make the Affine ``line`` of a tensor and a constant."""
    left, right = site.operand(0), site.operand(1)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return _fold(site, fold, left.values, right.values)
    if isinstance(left, Tensor) and isinstance(right, Constant):
        return _affine(site, left, *line(right.values.astype(np.float64)))
    if isinstance(left, Constant) and isinstance(right, Tensor):
        if swapped is None:
            raise site.refusal("must divide by a constant, not by a tensor")
        return _affine(site, right, *swapped(left.values.astype(np.float64)))
    raise site.refusal(f"must have one constant among its inputs, not the two tensors "
                       f"{quoted(site.proto.input[0])} and {quoted(site.proto.input[1])}: "
                       f"only Add and Concat join tensors")


def _fold(site: Site, function: Callable[[Array, Array], Array], a: Array, b: Array) -> Constant:
    try:
        size = math.prod(np.broadcast_shapes(a.shape, b.shape))
        if size > ELEMENT_LIMIT:
            raise ValueError(f"{size} elements")
    except ValueError as error:
        raise site.refusal(f"must have constants that fit: {error}") from error
    return Constant(site.finite(np.asarray(function(a, b))))


def _affine(site: Site, of: Tensor, scale: Array | float, offset: Array | float) -> Tensor:
    """Scale and offset are numbers, or constants of ONNX's shape with the batch axis."""
    numbers = []
    for value, what in (scale, "factor"), (offset, "summand"):
        values = site.finite(np.asarray(value, np.float64))
        if values.ndim > of.index.ndim and values.shape[0] == 1:
            values = values[0]
        numbers.append(site.spread(of, values, what))
    if all(np.ndim(number) == 0 for number in numbers) and numbers == [1.0, 0.0]:
        return of
    return site.emit(Affine, of, scale=numbers[0], offset=numbers[1])


def neg(site: Site) -> Operand:
    operand = site.operand(0)
    if isinstance(operand, Constant):
        return Constant(-operand.values, operand.step, operand.bits)
    return _affine(site, operand, -1.0, 0.0)


def batch_normalization(site: Site) -> Operand:
    tensor = site.tensor(0)
    if site.integer("training_mode", 0) or not site.integer("spatial", 1):
        raise site.refusal("must be exported for inference, with one mean for each channel")
    fields: dict[str, Any] = {}
    for at, what in enumerate(("gamma", "beta", "mean", "variance"), 1):
        values = site.along_channels(tensor, at, what).astype(np.float64)
        values = values.reshape(-1, *[1] * (tensor.index.ndim - 1))
        channels = site.builder.channels(tensor)
        fields[what] = np.array(np.broadcast_to(site.spread(tensor, values, what), channels))
    epsilon = site.number("epsilon", 1e-5)
    if (fields["variance"] < 0).any() or (fields["variance"] + epsilon <= 0).any():
        raise site.refusal(f"must have variances that are not negative, "
                           f"not {fields['variance'].min()}")
    return site.emit(BatchNorm, tensor, epsilon=epsilon, **fields)


def relu(site: Site) -> Operand:
    return site.emit(Relu, site.tensor(0))


def clip(site: Site) -> Operand:
    """ReLU, or nothing where the readers cannot tell."""
    tensor = site.tensor(0)
    low = site.scalar(1, "minimum") if site.has(1) else site.number("min", -math.inf)
    high = site.scalar(2, "maximum") if site.has(2) else site.number("max", math.inf)
    if not low < high:
        raise site.refusal(f"must have a minimum below its maximum, not {low} and {high}")
    if low == 0 and high >= float(np.finfo(np.float32).max):
        return site.emit(Relu, tensor)
    return Clipped(tensor.name, tensor.index, low, high)


# What changes nothing

def identity(site: Site) -> Operand:
    return site.operand(0)


def dropout(site: Site) -> Operand:
    if site.has(2) and site.constant(2).values.any():
        raise site.refusal("must be exported for inference, not for training")
    return site.operand(0)


def cast(site: Site) -> Operand:
    operand, kind = site.operand(0), site.integer("to", 0)
    if kind not in _FLOATS + _INTEGERS:
        raise site.refusal(f"must make numbers, not element type {kind}")
    if isinstance(operand, Truth):
        return number(site, operand)
    if isinstance(operand, Constant):
        if kind in _FLOATS:
            return Constant(operand.values.astype(np.float64), operand.step, operand.bits)
        if operand.values.size and np.abs(operand.values).max() >= 2.0 ** 62:
            raise site.refusal("must make integers that fit 64 bits")
        return Constant(np.trunc(operand.values).astype(np.int64))
    if kind in _INTEGERS and not isinstance(site.builder.nodes[-1], ArgMax):
        raise site.refusal("must make floating point, unless it follows the ArgMax at the end")
    return operand


# Ends

def softmax(site: Site) -> Operand:
    """Left out: it keeps the order of the classes."""
    tensor = site.tensor(0)
    readers = {reader.op_type for reader in site.builder.readers(site.output)}
    if not readers <= {"ArgMax", "TopK"} or _feature_axis(site, tensor, -1) is None:
        raise site.refusal("must be at the end of the model, over the classes")
    return tensor


def _feature_axis(site: Site, tensor: Tensor, default: int) -> int | None:
    """The axis attribute if it means the last of the two axes of ``tensor``, else None."""
    axis = site.integer("axis", default)
    return axis if tensor.index.ndim == 1 and axis in (1, -1) else None


def argmax(site: Site) -> Operand:
    if site.integer("select_last_index", 0):
        raise site.refusal("must take the first of equals")
    shape = (1,) if site.integer("keepdims", 1) else ()
    return _argmax(site, 0, shape)


def top_k(site: Site) -> tuple[Operand | None, ...]:
    count = site.numbers(1) if site.has(1) else [site.integer("k", 0)]
    if count != [1] or not site.integer("largest", 1):
        raise site.refusal(f"must take the 1 largest, not k = {count}")
    values, *indices = site.proto.output
    if not indices or site.builder.is_used(values):
        raise site.refusal("must be used for the index of the largest, not for its value")
    return None, _argmax(site, -1, (1,))


def _argmax(site: Site, default_axis: int, shape: tuple[int, ...]) -> Tensor:
    tensor = site.tensor(0)
    if _feature_axis(site, tensor, default_axis) is None or not tensor.in_order:
        raise site.refusal("must take the largest of the channels of a dense layer")
    name = site.builder.free(site.proto.output[-1])
    return site.builder.add(ArgMax(name=name, inputs=(tensor.name,)),
                            np.zeros(shape, np.int64))

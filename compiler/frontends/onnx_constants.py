"""ONNX operations that exporters compute shapes and scales of weights with; constants only."""

import math

import numpy as np

from compiler.frontends.onnx_file import ELEMENT_LIMIT, read_tensor
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant, Tensor


__all__ = ["absolute", "concat", "constant", "constant_of_shape", "gather", "reduce_mean", "shape",
           "slice_"]


def constant(site: Site) -> Constant:
    is_tensor, value = site.constant_attribute()
    if is_tensor:
        return Constant(read_tensor(value, site.builder.folder))
    values = np.array(value)
    if values.size and not np.isfinite(values).all():
        raise site.refusal("must be finite")
    return Constant(values.astype(np.int64 if values.dtype.kind == "i" else np.float64))


def constant_of_shape(site: Site) -> Constant:
    sizes = site.numbers(0)
    if min(sizes, default=1) < 0 or math.prod(sizes) > ELEMENT_LIMIT:
        raise site.refusal(f"must make a tensor of at most {ELEMENT_LIMIT} elements, not {sizes}")
    value = constant(site).values if site.proto.attribute else np.zeros(1)
    if value.size != 1:
        raise site.refusal(f"must have one value, not {value.size}")
    return Constant(np.full(sizes, value.reshape(-1)[0]))


def slice_(site: Site) -> Constant:
    values = site.constant(0).values
    starts, ends = (site.numbers(at) if site.has(at) else site.integers(name) or []
                    for at, name in ((1, "starts"), (2, "ends")))
    axes = (site.numbers(3) if site.has(3) else site.integers("axes")) or list(range(len(starts)))
    steps = site.numbers(4) if site.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise site.refusal(f"must have a start, an end, an axis and a step other than 0 for each "
                           f"slice, not {starts}, {ends}, {axes} and {steps}")
    where = [slice(None)] * values.ndim
    for axis, *bounds in zip(axes, starts, ends, steps, strict=True):
        if not -values.ndim <= axis < values.ndim:
            raise site.refusal(f"must have axes of {values.ndim}, not {axis}")
        where[axis] = slice(*bounds)
    return Constant(values[tuple(where)])


def shape(site: Site) -> Constant:
    if site.integer("start", 0) or site.integer("end", 0):
        raise site.refusal("must give the whole shape")
    operand = site.operand(0)
    sizes = ((site.builder.batch, *operand.index.shape) if isinstance(operand, Tensor)
             else operand.values.shape)
    return Constant(np.array(sizes, np.int64))


def gather(site: Site) -> Constant:
    values, places = site.constant(0).values, site.constant(1).values
    axis = site.integer("axis", 0)
    try:
        if places.dtype.kind != "i" or places.size > max(values.size, 1):
            raise ValueError("indices that are not few integers")
        return Constant(np.take(values, places, axis))
    except (IndexError, ValueError) as error:
        raise site.refusal(f"must take what is there, not {error}") from error


def concat(site: Site) -> Constant:
    count = len(site.proto.input)
    parts = [site.constant(at).values for at in range(count)]
    if sum(part.size for part in parts) > ELEMENT_LIMIT:
        raise site.refusal(f"must join at most {ELEMENT_LIMIT} elements")
    try:
        return Constant(np.concatenate(parts, site.integer("axis", 0)))
    except ValueError as error:
        raise site.refusal(f"must join constants that fit: {error}") from error


def absolute(site: Site) -> Constant:
    return Constant(np.abs(site.constant(0).values))


def reduce_mean(site: Site) -> Constant:
    values, axes = site.constant(0).values, site.axes()
    if not axes and site.integer("noop_with_empty_axes", 0):
        return Constant(values)
    if values.size == 0:
        raise site.refusal("must have numbers to take the mean of")
    try:
        mean = values.mean(axes or None, keepdims=bool(site.integer("keepdims", 1)))
    except ValueError as error:
        raise site.refusal(f"must have axes that fit {values.shape}: {error}") from error
    return Constant(np.asarray(mean, np.float64))

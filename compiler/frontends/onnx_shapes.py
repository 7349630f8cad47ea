"""ONNX operations that move elements about, and those that exporters compute shapes with."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.frontends.onnx_file import ELEMENT_LIMIT, read_tensor
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant, Operand, Tensor, apply


__all__ = ["concat", "constant", "flatten", "gather", "reshape", "shape", "squeeze", "transpose",
           "unsqueeze"]

Array = np.ndarray[Any, Any]

MAX_AXES = 8  # of any tensor


def _move(site: Site, function: Callable[[Array], Array]) -> Operand:
    """Apply ``function`` to the first input; `apply` tells what it may do."""
    try:
        return apply(function, site.operand(0), site.builder.batch)
    except ValueError as error:
        raise site.refusal(f"must fit the shape of what it reads and keep its batch axis: "
                           f"{error}") from error


def reshape(site: Site) -> Operand:
    target = site.numbers(1)
    keep = not site.integer("allowzero", 0)

    if min(target, default=0) < -1:
        raise site.refusal(f"must reshape to sizes of at least -1, not {min(target)}")

    def function(values: Array) -> Array:
        sizes = [values.shape[at] if keep and size == 0 and at < values.ndim else size
                 for at, size in enumerate(target)]
        return values.reshape(sizes)
    return _move(site, function)


def flatten(site: Site) -> Operand:
    axis = site.integer("axis", 1)

    def function(values: Array) -> Array:
        if not -values.ndim <= axis <= values.ndim:
            raise ValueError(f"axis {axis} of {values.ndim}")
        rows = math.prod(values.shape[:axis if axis >= 0 else axis + values.ndim])
        return values.reshape(rows, values.size // max(rows, 1))
    return _move(site, function)


def transpose(site: Site) -> Operand:
    perm = site.integers("perm")
    return _move(site, lambda values: values.transpose(perm))


def _axes(site: Site) -> tuple[int, ...] | None:
    """Axes are an input from opset 13 on, before that an attribute."""
    axes = site.numbers(1) if site.has(1) else site.integers("axes")
    if axes is not None and any(abs(axis) > MAX_AXES for axis in axes):
        raise site.refusal(f"must have axes of up to {MAX_AXES}, not {axes}")
    return None if axes is None else tuple(axes)


def squeeze(site: Site) -> Operand:
    axes = _axes(site)
    return _move(site, lambda values: values.squeeze(axes))


def unsqueeze(site: Site) -> Operand:
    axes = _axes(site)
    if axes is None:
        raise site.refusal("must have axes")
    return _move(site, lambda values: np.expand_dims(values, axes))


# Constants only

def constant(site: Site) -> Constant:
    is_tensor, value = site.constant_attribute()
    if is_tensor:
        return Constant(read_tensor(value, site.builder.folder))
    values = np.array(value)
    if values.size and not np.isfinite(values).all():
        raise site.refusal("must be finite")
    return Constant(values.astype(np.int64 if values.dtype.kind == "i" else np.float64))


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
    if any(isinstance(site.operand(at), Tensor) for at in range(count)):
        raise site.refusal("must join constants only: joining tensors is not supported yet")
    parts = [site.constant(at).values for at in range(count)]
    if sum(part.size for part in parts) > ELEMENT_LIMIT:
        raise site.refusal(f"must join at most {ELEMENT_LIMIT} elements")
    try:
        return Constant(np.concatenate(parts, site.integer("axis", 0)))
    except ValueError as error:
        raise site.refusal(f"must join constants that fit: {error}") from error

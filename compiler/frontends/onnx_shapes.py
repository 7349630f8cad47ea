"""ONNX operations that move elements about."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Operand, Tensor, apply


__all__ = ["flatten", "reshape", "squeeze", "transpose", "unsqueeze"]

Array = np.ndarray[Any, Any]


def _move(site: Site, function: Callable[[Array], Array]) -> Operand:
    """Apply ``function`` to the first input; `apply` tells what it may do."""
    try:
        moved = apply(function, site.operand(0), site.builder.batch)
    except ValueError as error:
        raise site.refusal(f"must fit the shape of what it reads and keep its batch axis: "
                           f"{error}") from error
    if isinstance(moved, Tensor) and moved.index.ndim == 1:
        flat = site.builder.flat(moved)  # each element may now be treated as a channel
        return replace(moved, name=flat.name)
    return moved


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


def squeeze(site: Site) -> Operand:
    axes = site.axes()
    return _move(site, lambda values: values.squeeze(axes))


def unsqueeze(site: Site) -> Operand:
    axes = site.axes()
    if axes is None:
        raise site.refusal("must have axes")
    return _move(site, lambda values: np.expand_dims(values, axes))

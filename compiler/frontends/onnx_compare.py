"""Comparisons in ONNX, and the choices and casts that make numbers of them: signs in disguise."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.frontends.onnx_quant import threshold
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant, Operand, Tensor, Truth
from compiler.ir import Affine


__all__ = ["greater", "greater_or_equal", "less", "less_or_equal", "number", "where"]

Array = np.ndarray[Any, Any]


def greater(site: Site) -> Operand:
    return _compare(site, np.greater, (True, 1), (False, -1))


def greater_or_equal(site: Site) -> Operand:
    return _compare(site, np.greater_equal, (False, 1), (True, -1))


def less(site: Site) -> Operand:
    return _compare(site, np.less, (False, -1), (True, 1))


def less_or_equal(site: Site) -> Operand:
    return _compare(site, np.less_equal, (True, -1), (False, 1))


Way = tuple[bool, int]  # whether equals lie below the level, and what our tensor is for true


def _compare(site: Site, fold: Callable[[Array, Array], Array], way: Way,
             swapped: Way) -> Operand:
    """Compare a tensor with a constant, the constant first where ``swapped``."""
    left, right = site.operand(0), site.operand(1)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return _folded(site, fold, left.values, right.values)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        raise site.refusal("must compare a tensor with a constant, not with another tensor")
    tensor, values = (site.tensor(0), site.constant(1).values) if isinstance(left, Tensor) else (
        site.tensor(1), site.constant(0).values)
    above, when = way if isinstance(left, Tensor) else swapped
    levels = np.atleast_1d(site.spread(tensor, _sample(tensor, values), "level"))
    levels = levels.astype(np.float64)
    if above:  # x > c says the same as x >= the next number after c
        levels = np.nextafter(levels, math.inf)
    made = threshold(site, tensor, levels.reshape(-1, 1), "_level")
    return Truth(made.name, made.index, when)


def _folded(site: Site, function: Callable[..., Array], *values: Array) -> Constant:
    try:
        return Constant(np.asarray(function(*values)) * 1)
    except ValueError as error:
        raise site.refusal(f"must have constants that fit: {error}") from error


def _sample(tensor: Tensor, values: Array) -> Array:
    """Drop the batch axis of a constant."""
    return values[0] if values.ndim > tensor.index.ndim and len(values) == 1 else values


def where(site: Site) -> Operand:
    """One constant or another; with a comparison that is an Affine of -1 and +1."""
    condition = site.operand(0)
    yes, no = site.constant(1).values, site.constant(2).values
    if isinstance(condition, Constant):
        return _folded(site, np.where, condition.values, yes, no)
    if not isinstance(condition, Truth):
        raise site.refusal("must choose by a comparison (Greater, Less, ...)")
    high, low = (site.spread(condition, _sample(condition, values), "number")
                 for values in (yes, no))
    return _numbers(site, condition, high, low)


def number(site: Site, truth: Truth) -> Operand:
    """1 for true, 0 for false."""
    return _numbers(site, truth, 1.0, 0.0)


def _numbers(site: Site, truth: Truth, yes: Array | float, no: Array | float) -> Tensor:
    scale = site.finite((yes - no) * 0.5 * truth.when)
    offset = site.finite((yes + no) * 0.5)
    if np.all(scale == 1) and np.all(offset == 0):
        return Tensor(truth.name, truth.index)
    return site.emit(Affine, truth, scale=scale, offset=offset)

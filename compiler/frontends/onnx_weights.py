"""Constant weights in ONNX: the integers in them, and biases."""

from typing import Any

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant


__all__ = ["bias_of", "integer_weights"]

Array = np.ndarray[Any, Any]

INTEGER_LIMIT = 127  # integers up to here are taken for 8-bit weights without a quantizer


def bias_of(site: Site, bias: Array, outputs: int, *, exact: bool) -> Array | None:
    """One value for each output, integer if those of an ``exact`` layer can be; None for zeros."""
    try:
        values = np.array(np.broadcast_to(bias, (1, outputs))[0])
    except ValueError:
        raise site.refusal(f"must have a bias for each of its {outputs} outputs, "
                           f"not shape {bias.shape}") from None
    if not values.any():
        return None
    site.finite(values)
    if exact and (values == np.rint(values)).all() and np.abs(values).max() < 2.0 ** 53:
        return values.astype(np.int64)
    return values.astype(np.float64)


def integer_weights(site: Site, weights: Constant) -> tuple[Array, Array | float, int | None]:
    """Return weights, scale and width as `compiler.ir.Weighted` has them; outputs come first.

    Integers come from the quantizer that made the weights, or else are seen: weights of -a, 0
    and +a with an a for each output, or integers of at most 8 bits. Other weights stay real.
    """
    values = weights.values
    if weights.step is not None:
        step = np.broadcast_to(weights.step, values.shape)
        step = step.reshape(len(step), -1)
        if (step != step[:, :1]).any():
            raise site.refusal("must have weights quantized with one scale, or one for each "
                               "output, not for each input")
        integers = weights.integers
        bits = 1 if (np.abs(integers) == 1).all() else max(weights.bits, 2)
        return integers, _one_or_all(step[:, 0]), bits

    sizes = np.abs(values).astype(np.float64)
    rows = sizes.reshape(len(sizes), -1)
    largest = rows.max(1)
    if ((rows == largest[:, None]) | (rows == 0)).all():
        integers = np.sign(values).astype(np.int64)
        scale = np.where(largest > 0, largest, 1.0)
        return integers, _one_or_all(scale), 1 if integers.all() else 2
    if sizes.max() <= INTEGER_LIMIT and (values == np.rint(values)).all():
        return values.astype(np.int64), 1.0, int(sizes.max()).bit_length() + 1
    return values.astype(np.float64), 1.0, None


def _one_or_all(scale: Array) -> Array | float:
    return float(scale[0]) if (scale == scale[0]).all() else np.array(scale, np.float64)

"""Dense layers in ONNX: `Gemm` and `MatMul` with constant weights."""

from typing import Any

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant, Operand, Tensor, apply
from compiler.ir import Dense


__all__ = ["gemm", "integer_weights", "matmul"]

Array = np.ndarray[Any, Any]

INTEGER_LIMIT = 127  # integers up to here are taken for 8-bit weights without a quantizer


def gemm(site: Site) -> Operand:
    if site.integer("transA", 0):
        raise site.refusal("must have transA = 0, not 1")
    alpha, beta = site.number("alpha", 1.0), site.number("beta", 1.0)
    if alpha <= 0:
        raise site.refusal(f"must have a positive alpha, not {alpha}")
    weights = site.constant(1)
    if not site.integer("transB", 0):
        weights = _transposed(weights)
    bias = site.constant(2).values * beta if site.has(2) else None
    return _layer(site, site.tensor(0), weights, alpha, bias)


def matmul(site: Site) -> Operand:
    if isinstance(site.operand(1), Tensor):
        raise site.refusal("must have a tensor as its first input and constant weights as its "
                           "second")
    return _layer(site, site.tensor(0), _transposed(site.constant(1)), 1.0, None)


def _transposed(weights: Constant) -> Constant:
    moved = apply(lambda values: values.T, weights, 1)
    assert isinstance(moved, Constant)
    return moved


def _layer(site: Site, of: Tensor, weights: Constant, alpha: float,
           bias: Array | None) -> Tensor:
    """Add a Dense; ``weights`` are (outputs, inputs)."""
    shape = weights.values.shape
    lead = of.index.shape[:-1]
    if len(shape) != 2 or 0 in shape or of.index.shape[-1:] != shape[1:] or any(
            size != 1 for size in lead):
        raise site.refusal(f"must have weights of (inputs, outputs) = ({of.features}, ...), "
                           f"as it reads {of.index.shape}, not {shape[::-1]}")
    integers, scale, bits = integer_weights(site, weights)
    placed = np.empty_like(integers)
    placed[:, of.index.reshape(-1)] = integers
    scale = site.finite(scale * alpha)
    if bias is not None:
        bias = _bias(site, bias, shape[0], bits is not None and np.ndim(scale) == 0 and scale == 1)
    node = Dense(name=site.builder.free(site.output), inputs=(of.name,), weights=placed,
                 bits=bits, scale=scale, bias=bias)
    return site.builder.add(node, np.arange(shape[0]).reshape(*lead, shape[0]))


def _bias(site: Site, bias: Array, outputs: int, exact: bool) -> Array | None:
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
    """Return weights, scale and width as `compiler.ir.Dense` has them.

    Integers come from the quantizer that made the weights, or else are seen: weights of -a, 0
    and +a with an a for each output, or integers of at most 8 bits. Other weights stay real.
    """
    values = weights.values
    if weights.step is not None:
        step = np.broadcast_to(weights.step, values.shape)
        if (step != step[:, :1]).any():
            raise site.refusal("must have weights quantized with one scale, or one for each "
                               "output, not for each input")
        integers = weights.integers
        bits = 1 if (np.abs(integers) == 1).all() else max(weights.bits, 2)
        return integers, _one_or_all(step[:, 0]), bits

    sizes = np.abs(values).astype(np.float64)
    largest = sizes.max(1)
    if ((sizes == largest[:, None]) | (sizes == 0)).all():
        integers = np.sign(values).astype(np.int64)
        scale = np.where(largest > 0, largest, 1.0)
        return integers, _one_or_all(scale), 1 if integers.all() else 2
    if sizes.max() <= INTEGER_LIMIT and (values == np.rint(values)).all():
        return values.astype(np.int64), 1.0, int(sizes.max()).bit_length() + 1
    return values.astype(np.float64), 1.0, None


def _one_or_all(scale: Array) -> Array | float:
    return float(scale[0]) if (scale == scale[0]).all() else np.array(scale, np.float64)

"""Dense layers in ONNX: `Gemm` and `MatMul` with constant weights."""

from typing import Any

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Constant, Operand, Tensor, apply
from compiler.frontends.onnx_weights import bias_of, integer_weights
from compiler.ir import Dense


__all__ = ["gemm", "matmul"]

Array = np.ndarray[Any, Any]


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
    of = site.builder.flat(of)
    integers, scale, bits = integer_weights(site, weights)
    placed = np.empty_like(integers)
    placed[:, of.index.reshape(-1)] = integers
    scale = site.finite(scale * alpha)
    if bias is not None:
        bias = bias_of(site, bias, shape[0],
                       exact=bits is not None and bool(np.all(scale == 1)))
    node = Dense(name=site.builder.free(site.output), inputs=(of.name,), weights=placed,
                 bits=bits, scale=scale, bias=bias)
    return site.builder.add(node, np.arange(shape[0]).reshape(*lead, shape[0]))

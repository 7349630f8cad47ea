"""Convolutions in ONNX: `Conv` with constant weights."""

import numpy as np

from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Operand
from compiler.frontends.onnx_weights import bias_of, integer_weights
from compiler.frontends.onnx_windows import picture, window
from compiler.ir import Conv


__all__ = ["conv"]


def conv(site: Site) -> Operand:
    """Weights are (outputs, inputs of a group, height, width) in ONNX."""
    of, weights = picture(site), site.constant(1)
    shape = weights.values.shape
    groups, channels = site.integer("group", 1), site.builder.channels(of)
    if (len(shape) != 4 or 0 in shape or groups < 1 or shape[1] * groups != channels
            or shape[0] % groups):
        raise site.refusal(f"must have weights of (outputs, inputs, height, width), where its "
                           f"{groups} groups divide the outputs and together have the {channels} "
                           f"channels that it reads, not {shape}")
    kernel = shape[2], shape[3]
    if site.pair("kernel_shape", kernel) != kernel:
        raise site.refusal(f"must have a kernel_shape of {kernel}, as its weights have it, "
                           f"not {site.pair('kernel_shape')}")
    slides = window(site, of, kernel)
    integers, scale, bits = integer_weights(site, weights)
    bias = None
    if site.has(2):
        bias = bias_of(site, site.constant(2).values, shape[0],
                       exact=bits is not None and bool(np.all(scale == 1)))
    node = Conv(name=site.builder.free(site.output), inputs=(of.name,), bits=bits, bias=bias,
                weights=np.ascontiguousarray(integers.transpose(0, 2, 3, 1)),
                scale=site.finite(scale), stride=slides.stride, pads=slides.pads, groups=groups)
    return site.builder.add(node)

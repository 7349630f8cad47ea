"""`Add` and `Concat` in ONNX, of tensors and of constants."""

import numpy as np

from compiler.frontends import onnx_constants, onnx_elementwise
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Operand, Tensor
from compiler.ir import Add, Concat


__all__ = ["add", "concat"]


def add(site: Site) -> Operand:
    """The sum of two tensors that lie alike, as behind a residual; or a constant added to one."""
    left, right = site.operand(0), site.operand(1)
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return onnx_elementwise.add(site)
    if not np.array_equal(left.index, right.index):
        raise site.refusal(f"must add tensors of one shape, with their elements in one order, "
                           f"not {left.index.shape} and {right.index.shape}")
    node = Add(name=site.builder.free(site.output), inputs=(left.name, right.name))
    return site.builder.add(node, left.index)


def concat(site: Site) -> Operand:
    """Channels of tensors side by side, or constants."""
    parts = [site.operand(at) for at in range(len(site.proto.input))]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors:
        return onnx_constants.concat(site)
    builder = site.builder
    if len(tensors) < len(parts):
        raise site.refusal("must join tensors or constants, not one with the other")
    rank = tensors[0].index.ndim + 1
    if site.integer("axis", 1) not in (1, 1 - rank):
        raise site.refusal(f"must join channels, along axis 1, not {site.integer('axis', 1)}")
    node = Concat(name=builder.free(site.output), inputs=tuple(part.name for part in tensors))
    if all(builder.is_picture(part) for part in tensors):
        return builder.add(node)
    if any(part.index.ndim != 1 or len(builder.shape(part)) != 1 for part in tensors):
        raise site.refusal("must join pictures as the model's input or layers have them, or flat "
                           "tensors, not others")
    starts = np.cumsum([0] + [part.features for part in tensors])
    index = [part.index + start for part, start in zip(tensors, starts, strict=False)]
    return builder.add(node, np.concatenate(index))

"""Moves scales and offsets of integer tensors through the Dense layers that read them."""

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import Affine, BatchNorm, Dense, Flatten, Graph, Node
from compiler.passes.chain import PassError, is_small, negate, relink, segments


__all__ = ["affine_of", "push_affines"]

Array = np.ndarray[Any, Any]
Line = tuple[Array | float, Array | float]  # scale and offset


def push_affines(graph: Graph) -> Graph:
    """Make each Dense read integers ``q`` where it reads ``scale * q + offset``.

    The offset, which may differ between channels, becomes a bias; the scale one of the sums. It
    must have one magnitude; where its sign changes, so does that of weights.
    """
    parts = segments(graph)
    for before, after in zip(parts, parts[1:], strict=False):
        dense = after[0]
        assert isinstance(dense, Dense)
        if dense.bits is None:
            continue
        reals = trailing_reals(graph, before)
        if reals:
            line: Line = (1, 0)
            for node in reals:
                if not isinstance(node, Affine | BatchNorm | Flatten):
                    raise PassError(f"Dense {dense.name!r} must read integers of one scale and "
                                    f"offset, not what {type(node).__name__} {node.name!r} "
                                    f"makes of them")
                line = compose(node, line, graph.shape(node.inputs[0]))
            after[0] = absorb(dense, line, dense.fan_in)
            before[-len(reals):] = [node for node in reals if isinstance(node, Flatten)]
    return relink(graph, (node for part in parts for node in part))


def trailing_reals(graph: Graph, part: list[Node]) -> list[Node]:
    """Return what stands behind the last tensor of small integers in a part, if there is one."""
    for at in range(len(part) - 1, -1, -1):
        if is_small(graph.type(part[at].name)):
            return part[at + 1:]
    return []


def affine_of(node: Affine | BatchNorm) -> Line:
    """Return scale and offset of a node, as real numbers."""
    if isinstance(node, Affine):
        return node.scale, node.offset
    scale = node.gamma / np.sqrt(node.variance + node.epsilon)
    return scale, node.beta - node.mean * scale


def compose(node: Node, line: Line, shape: tuple[int, ...]) -> Line:
    """Return what ``node`` makes of ``line``, given the shape that it reads."""
    if isinstance(node, Flatten):
        scale, offset = (value if np.ndim(value) == 0 else np.broadcast_to(value, shape).ravel()
                         for value in line)
        return scale, offset
    assert isinstance(node, Affine | BatchNorm)
    scale, offset = affine_of(node)
    return line[0] * scale, line[1] * scale + offset


def absorb(dense: Dense, line: Line, width: int) -> Dense:
    """Return a Dense that makes of ``q`` what ``dense`` makes of ``line``'s scale and offset."""
    scale, offset = (np.broadcast_to(value, (width,)) for value in line)
    size = np.abs(scale)
    if (size != size[0]).any():
        other = int(np.argmax(size != size[0]))
        raise PassError(f"Dense {dense.name!r} must read integers of one scale, not "
                        f"{size[0]} for channel 0 and {size[other]} for channel {other}")
    sign = np.where(scale < 0, -1, 1)
    step = scale[0] if (sign == sign[0]).all() else size[0]
    if step != scale.min():
        dense, offset = negate(dense, sign), offset * sign
    bias: Array | None = None
    if offset.any():
        weights = dense.weights
        if (offset == np.rint(offset)).all():
            offset = offset.astype(np.int64)
        bias = weights @ offset
    whole = np.ndim(dense.scale) == 0 and dense.scale == 1 and step == 1
    if bias is not None and not whole:
        bias = bias * dense.scale
    if dense.bias is not None:
        bias = dense.bias if bias is None else dense.bias + bias
    return replace(dense, scale=1.0 if whole else step * dense.scale, bias=bias)

"""Weights, biases and levels in the order in which the kernels read them, as text in C."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.codegen.plan import Kernel, Stage
from compiler.ir import Requantize, TensorType, Threshold, value_range


__all__ = ["BLOCK", "LANES", "bias", "format_table", "levels", "padded", "weights"]

Array = np.ndarray[Any, Any]

BLOCK = 64  # channels that a kernel sums together: NET_BLOCK in kernels.h
LANES = 8   # what the channels of a block are rounded up to: NET_LANES
WIDTH = 98  # columns of a line of numbers


def padded(channels: int) -> int:
    """Channels with the unused lanes of the last block."""
    return -(-channels // LANES) * LANES


def weights(stage: Stage) -> Array:
    """Weights of a layer: words of 64 bits, or bytes for `Kernel.BYTES`."""
    dense = stage.dense
    assert dense is not None
    match stage.kernel:
        case Kernel.BYTES:
            return dense.weights.astype(np.int8).reshape(-1)
        case Kernel.WEIGHT_PLANES:
            assert dense.bits is not None
            raw = dense.weights.astype(np.int64)
            return np.concatenate([_lanes(raw >> plane & 1) for plane in range(dense.bits)])
    return _lanes(dense.weights > 0)


def _lanes(bits: Array) -> Array:
    """Pack (channels, inputs) of bits; in each block of channels, word by word, then by lane."""
    channels, inputs = bits.shape
    rows = np.zeros((padded(channels), -(-inputs // 64) * 64), np.uint8)
    rows[:channels, :inputs] = bits
    words = np.packbits(rows, axis=1, bitorder="little").view("<u8")
    blocks = [words[first:first + BLOCK].T.reshape(-1) for first in range(0, len(words), BLOCK)]
    return np.concatenate(blocks)


def bias(stage: Stage) -> Array | None:
    """What is added to each sum of a layer, or None.

    Planes of weights are counted as bits of 0 and 1: ``sum(w * x) = 2 * sum(w * b) - sum(w)``
    for ``x = 2 * b - 1``. The last term is known here.
    """
    dense = stage.dense
    assert dense is not None
    added = None if dense.bias is None else np.broadcast_to(dense.bias, dense.channels)
    if stage.kernel is Kernel.WEIGHT_PLANES:
        sums = dense.weights.astype(np.int64).sum(1)
        return -sums if added is None else added - sums
    return added


def levels(node: Threshold, kind: TensorType, shape: tuple[int, ...]) -> Array:
    """Integer levels for a flat tensor of ``shape``: (1 where all share them, else values; count).

    ``x >= level`` is ``x >= ceil(level)`` for integers. A level that every value reaches, or
    none, is brought to the nearest such level.
    """
    low, high = value_range(kind)
    rounded = np.clip(np.ceil(node.levels), low, high + 1).astype(np.int64)
    if (rounded == rounded[0]).all():
        return rounded[:1]
    return np.broadcast_to(rounded, (*shape, node.count)).reshape(-1, node.count)


def requantize_shift(node: Requantize) -> int:
    """The shift, or one that gives the same for every int32_t and fits the kernel."""
    return min(max(node.shift, -31), 33)


def format_table(name: str, values: Array) -> str:
    """Return the definition of a constant array."""
    kind = {"u": "uint64_t", "i": f"int{8 * values.itemsize}_t"}[values.dtype.kind]
    show = "0x{:016x}".format if kind == "uint64_t" else str
    texts = [show(value) for value in values.reshape(-1).tolist()]
    each = max(WIDTH // (max(map(len, texts)) + 2), 1)
    lines = [", ".join(texts[at:at + each]) for at in range(0, len(texts), each)]
    body = ",\n    ".join(lines)
    return (f"static const {kind} {name}[{len(texts)}] NET_ALIGNED = {{\n    {body}\n}};\n")

"""Weights, biases and levels in the order in which the kernels read them, as text in C."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.codegen.stage import INT32_MAX, Kernel, Stage
from compiler.codegen.tensors import WORD
from compiler.ir import Conv, Requantize, TensorType, Threshold, value_range


__all__ = ["BLOCK", "LANES", "LINEAR", "band_row", "bias", "block_stride", "by_byte", "byte_kernel",
           "format_table", "level_table", "levels", "most_lanes", "padded", "requantize_shift",
           "row_bytes", "weights", "window_bytes"]

Array = np.ndarray[Any, Any]

BLOCK = 64   # channels that a kernel sums together: NET_BLOCK in kernels.h
LANES = 16   # what the channels of a block are rounded up to: NET_LANES
LINEAR = 31  # levels up to which counting those that are reached is as fast as halving
NARROW = 64  # weights of bytes up to which the sum of two products fits 16 bits
SHORT = 128  # sum of the weights of a channel, in magnitude, up to which all sums do
WIDTH = 98   # columns of a line of numbers


def padded(channels: int) -> int:
    """Channels with the unused lanes of the last block."""
    return -(-channels // LANES) * LANES


def most_lanes(channels: int) -> int:
    """Lanes of the first block of so many channels."""
    return min(padded(channels), BLOCK)


# Weights

def row_bytes(stage: Stage) -> int:
    """Bytes of a row of a window, with what fills them up to fours."""
    rows = stage.window.kernel[0] if isinstance(stage.layer, Conv) else 1
    assert stage.layer is not None
    return -(-stage.layer.fan_in // rows // 4) * 4


def window_bytes(stage: Stage) -> int:
    """Bytes of a window, in such rows."""
    return row_bytes(stage) * (stage.window.kernel[0] if isinstance(stage.layer, Conv) else 1)


def band_row(stage: Stage) -> int:
    """Bytes of a line of the picture with its border, as the windows of a row of pixels see it."""
    columns = (stage.covered[1] - 1) * stage.window.stride[1] + stage.window.kernel[1]
    return columns * stage.seen


def block_stride(stage: Stage) -> int:
    """Elements of the weight table between two channels, as the first of a block has it."""
    in_bytes = stage.kernel in (Kernel.BYTES, Kernel.SHIFTS)
    return window_bytes(stage) if in_bytes else stage.window_words


def weights(stage: Stage) -> Array:
    """Weights of a layer: words of 64 bits, or bytes for `Kernel.BYTES` and
    `Kernel.SHIFTS`; a group at a time."""
    layer = stage.layer
    assert layer is not None
    groups = np.split(layer.weights.astype(np.int64), stage.window.groups)
    if stage.kernel is Kernel.BYTES:
        return np.concatenate([_quads(group, stage) for group in groups])
    if stage.kernel is Kernel.SHIFTS:
        return np.concatenate([_codes(group, stage) for group in groups])
    if stage.kernel is Kernel.WEIGHT_PLANES:
        assert layer.bits is not None
        return np.concatenate([_lanes(_taps(group >> plane & 1, stage))
                               for plane in range(layer.bits) for group in groups])
    return np.concatenate([_lanes(_taps(group > 0, stage)) for group in groups])


def _taps(bits: Array, stage: Stage) -> Array:
    """Spread (channels, ...) of bits, channels of a pixel last, over what they have in a window."""
    seen = bits.reshape(len(bits), -1, stage.seen)
    rows = np.zeros((*seen.shape[:2], stage.tap), np.uint8)
    rows[..., :stage.seen] = seen
    return rows.reshape(len(bits), -1)


def _lanes(bits: Array) -> Array:
    """Pack (channels, bits of a window); in each block of channels, word by word, then by lane.

    In each 16 lanes, those of even numbers come first.
    """
    channels, inputs = bits.shape
    rows = np.zeros((padded(channels), -(-inputs // WORD) * WORD), np.uint8)
    rows[:channels, :inputs] = bits
    words = np.packbits(rows, axis=1, bitorder="little").view("<u8")
    words = words.reshape(-1, LANES // 2, 2, words.shape[1]).swapaxes(1, 2).reshape(words.shape)
    return np.concatenate([words[first:first + BLOCK].T.reshape(-1)
                           for first in range(0, len(words), BLOCK)])


def by_byte(words: Array, stage: Stage) -> Array:
    """Reorder `weights` of a layer that makes several pixels at once: byte by byte, then by
    lane, as words again."""
    length, made = stage.window_words, []
    for block in np.split(words, range(BLOCK * length, len(words), BLOCK * length)):
        lanes = block.reshape(length, -1, 2, LANES // 2).swapaxes(2, 3).reshape(length, -1)
        octets = lanes.astype("<u8").view(np.uint8).reshape(length, -1, WORD // 8).swapaxes(1, 2)
        made.append(np.ascontiguousarray(octets).reshape(-1).view("<u8"))
    return np.concatenate(made)


def _quads(group: Array, stage: Stage) -> Array:
    """Bytes of (channels, ...); in each block of channels, four of a row, then by lane."""
    fours = _rows(group, stage).reshape(padded(len(group)), -1, 4)
    return np.concatenate([fours[first:first + BLOCK].swapaxes(0, 1).reshape(-1)
                           for first in range(0, len(fours), BLOCK)])


def _codes(group: Array, stage: Stage) -> Array:
    """Codes of (channels, ...) as shifts.h has them; in each block of channels, by input."""
    exponents = np.log2(np.abs(group)).astype(np.int64)
    rows = _rows(exponents | (group < 0) << 3, stage).reshape(padded(len(group)), -1)
    return np.concatenate([rows[first:first + BLOCK].T.reshape(-1)
                           for first in range(0, len(rows), BLOCK)])


def _rows(group: Array, stage: Stage) -> Array:
    """Fill (channels, ...) up to whole lanes, and each row of a window up to fours."""
    each = row_bytes(stage)
    rows = group.reshape(len(group), window_bytes(stage) // each, -1)
    filled = np.zeros((padded(len(rows)), rows.shape[1], each), np.int8)
    filled[:len(rows), :, :rows.shape[2]] = rows
    return filled


def byte_kernel(stage: Stage) -> str:
    """Name of the kernels that sum products of bytes, by what fits 16 bits."""
    assert stage.layer is not None
    sizes = np.abs(stage.layer.weights.astype(np.int64))
    if sizes.max() > NARROW:
        return "byte"
    short = sizes.reshape(len(sizes), -1).sum(1).max() <= SHORT
    return "short_byte" if short else "narrow_byte"


def bias(stage: Stage) -> Array | None:
    """What is added to each sum of a layer, or None.

    Planes of weights are counted as bits of 0 and 1: ``sum(w * x) = 2 * sum(w * b) - sum(w)``
    for ``x = 2 * b - 1``. Bytes with a sign are read 128 too high. Either term is known here.
    """
    layer = stage.layer
    assert layer is not None
    added = None if layer.bias is None else np.broadcast_to(layer.bias, layer.channels)
    excess = 1 if stage.kernel is Kernel.WEIGHT_PLANES else 0
    if stage.kernel is Kernel.BYTES:
        excess = 128 if stage.input.signed else 0
    if excess:
        sums = excess * layer.weights.astype(np.int64).reshape(layer.channels, -1).sum(1)
        return -sums if added is None else added - sums
    return added


# Activations

def levels(node: Threshold, kind: TensorType, shape: tuple[int, ...]) -> Array:
    """Integer levels for a tensor of ``shape``: (1 where all channels share them, else channels;
    count).

    ``x >= level`` is ``x >= ceil(level)`` for integers. A level that every value reaches, or
    none, is brought to the nearest such level.
    """
    low, high = value_range(kind)
    rounded = np.clip(np.ceil(node.levels), low, min(high + 1, INT32_MAX)).astype(np.int64)
    if (rounded == rounded[0]).all():
        return rounded[:1]
    return np.broadcast_to(rounded, (*shape, node.count)).reshape(-1, node.count)


def level_table(rows: Array) -> Array:
    """Order the levels of channels as the kernels read them: by level where they are few."""
    if len(rows) == 1 or rows.shape[1] > LINEAR:
        return rows
    filled = np.zeros((padded(len(rows)), rows.shape[1]), np.int64)
    filled[:len(rows)] = rows
    return filled.T


def requantize_shift(node: Requantize) -> int:
    """The shift, or one that gives the same for every int32_t and fits the kernel."""
    return min(max(node.shift, -31), 33)


# Text

def format_table(name: str, values: Array) -> str:
    """Return the definition of a constant array."""
    kind = {"u": "uint64_t", "i": f"int{8 * values.itemsize}_t"}[values.dtype.kind]
    show = "0x{:016x}".format if kind == "uint64_t" else str
    texts = [show(value) for value in values.reshape(-1).tolist()]
    each = max(WIDTH // (max(map(len, texts)) + 2), 1)
    lines = [", ".join(texts[at:at + each]) for at in range(0, len(texts), each)]
    body = ",\n    ".join(lines)
    return (f"static const {kind} {name}[{len(texts)}] NET_ALIGNED = {{\n    {body}\n}};\n")

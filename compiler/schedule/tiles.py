"""The tiles of a layer: the levels and the weight words of a few channels at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir import Threshold
from compiler.passes.rewriting import ungrouped
from compiler.schedule.layout import flipped
from compiler.schedule.lower import Lowered
from hdl.config import Config
from hdl.isa import SERIAL, Activation, Feed


__all__ = ["Tile", "heap", "tiles"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tile:
    """What a unit needs for a few channels."""

    levels: Array   # int64
    weights: Array  # uint8, (words, octets of a word)


def tiles(lowered: Lowered, config: Config) -> Iterator[Tile]:
    """Yield the tiles of a layer, channels in order."""
    kernel = kernel_words(lowered, config)
    levels = channel_levels(lowered, kernel, config)
    if lowered.signs:
        # Half a sum is compared; beyond the greatest one nothing changes.
        most = 1 << config.binary_width - 1
        levels = np.clip(levels >> 1, -most, most)
    elif lowered.planes > 1:
        levels[:, 0] = by_planes(levels[:, 0], lowered.planes, config)
    words = kernel.astype(np.int8).view(np.uint8) if lowered.fixed else np.packbits(
        kernel > 0, axis=-1, bitorder="little")
    if lowered.source.feed is Feed.PLANES:
        words = np.tile(words, (1, lowered.planes, 1))  # each plane needs them
    size = lowered.channels
    for at in range(0, lowered.made, size * lowered.parts):
        parts = [tile_words(words[part:part + size], lowered.fixed, config)
                 for part in range(at, at + size * lowered.parts, size)]
        yield Tile(levels[at:at + size * lowered.parts].ravel(), np.concatenate(parts))


def kernel_words(lowered: Lowered, config: Config) -> Array:
    """Return the weights of every channel in the order of its words: (made, words, lanes).

    Lanes without a weight are 0 in the fixed-point unit. In the array they are -1; where words
    are left out at a border, +1 and -1 in turn, so that they add nothing to any word.
    """
    task, lanes = lowered.task, lowered.source.lanes
    weights = task.layer.sums.weights
    conv, channels = task.conv, task.layer.sums.channels
    lines, columns = lowered.kernel if lowered.source.feed is not Feed.PLANES else (1, 1)
    padded = np.zeros((lowered.made, lines, columns, lowered.depth, lanes), np.int64)
    if not lowered.fixed:
        padded -= 1
    if conv is None and len(lowered.source.shape) == 1:
        padded.reshape(lowered.made, -1)[:channels, lowered.source.lane_of] = weights
    elif lowered.source.lead is not None:
        rows = padded.reshape(lowered.made, lines, -1)
        rows[:channels, :, :weights[0, 0].size] = weights.reshape(channels, lines, -1)
    elif lowered.diagonal:
        every, deep = np.arange(channels), lowered.source.deep
        taps = padded.reshape(lowered.made, lines, -1, deep, lanes)
        taps[every, :, :, every // lanes % deep, every % lanes] = weights[..., 0]
    else:
        depth = lowered.source.shape[2]
        if not lowered.fixed and conv is not None and conv.padded and not lowered.serial:
            padded[..., 1::2] = 1
        given = (weights.reshape(channels, lines, columns, depth) if conv is None else
                 ungrouped(weights, conv.groups))
        real = lowered.source.spread(np.ones(depth, bool))
        padded[:channels, ..., real] = lowered.source.spread(given)[..., real]
    return padded.transpose(0, 1, 3, 2, 4).reshape(lowered.made, -1, lanes)


def tile_words(words: Array, fixed: bool, config: Config) -> Array:
    """Bring the words of a pass's channels side by side: (words, octets of a weight word)."""
    places = config.fixed_pe if fixed else config.pe
    side = np.zeros((words.shape[1], places, words.shape[2]), np.uint8)
    side[:, :len(words)] = words.transpose(1, 0, 2)
    return side.reshape(len(side), -1)


def channel_levels(lowered: Lowered, kernel: Array, config: Config) -> Array:
    """Levels of every channel as the drain adds them: int64 of shape (made, stride).

    The first holds the bias and all that makes the sum of the unit differ from the layer's: lanes
    without a weight, octets that are kept less 128, and the constant of bit planes: bits of 0 and
    1 are summed as -1 and +1, so planes sum to twice the layer's sum less ``2**planes - 1`` times
    the sum of the weights.
    """
    layer, channels = lowered.task.layer, lowered.task.layer.sums.channels
    sums, double = layer.sum_type, 1 + lowered.serial
    all_weights = kernel.sum((1, 2))
    offset = np.zeros(channels, np.int64)
    if layer.sums.bias is not None:
        offset += double * layer.sums.bias.astype(np.int64)
    if lowered.serial:
        offset += ((1 << lowered.planes) - 1) * all_weights[:channels]
    elif lowered.fixed:
        offset += 128 * flipped(layer.input_type) * all_weights[:channels]
    else:
        # Lanes without a weight hold a bit of 0, that is -1.
        real = layer.sums.weights.reshape(channels, -1).astype(np.int64).sum(1)
        offset += all_weights[:channels] - real

    levels = np.zeros((lowered.made, lowered.stride), np.int64)
    levels[:channels, 0] = offset
    if isinstance(layer.activation, Threshold):
        # Sums lie between low and high, so a level beyond them may move to their edge.
        wanted = np.full((channels, lowered.stride), sums.high + 1, np.int64)
        count = layer.activation.count
        wanted[:, :count] = np.clip(layer.activation.levels, sums.low, sums.high + 1)
        levels[:channels] -= double * heap(wanted)
    if lowered.activation is not Activation.SUM:
        # What only fills a word up is 0, also on the array, where its weights are all -1.
        most = 0 if lowered.fixed else ((1 << lowered.planes) - 1) * kernel[0].size
        levels[channels:, 0] = -1 - most
    return levels


def by_planes(levels: Array, planes: int, config: Config) -> Array:
    """Bring first levels into the form that is added plane by plane (`hdl.isa.Layer`)."""
    high, behind = levels >> planes - 1, planes - 1
    low = (levels & (1 << behind) - 1) << SERIAL - behind
    width = config.sum_width - SERIAL
    words = low << width | high & (1 << width) - 1
    return words - (words >> config.sum_width - 1 << config.sum_width)


def heap(levels: Array) -> Array:
    """Bring rising levels into heap order, each less its parent's: (channels, 2**n - 1)."""
    count = levels.shape[1]
    result = np.empty_like(levels)

    def place(node: int, low: int, high: int, parent: Array) -> None:
        if low < high:
            middle = (low + high) // 2
            result[:, node] = levels[:, middle] - parent
            place(2 * node + 1, low, middle, levels[:, middle])
            place(2 * node + 2, middle + 1, high, levels[:, middle])

    place(0, 0, count, np.zeros(len(levels), np.int64))
    return result

"""From one layer to tiles: the levels and the weight words of a few channels at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import Requantize, Threshold
from compiler.schedule.layout import Placement, flipped
from compiler.stages import Layer
from hdl.config import Config
from hdl.isa import Activation, Target
from hdl.isa import Layer as Descriptor


__all__ = ["Lowered", "Tile", "heap", "lower", "tiles"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tile:
    """What the units need for a few channels."""

    levels: Array   # int64
    weights: Array  # uint8, (words, octets of a word)


@dataclass(frozen=True)
class Lowered:
    """A layer as the accelerator runs it."""

    layer: Layer
    fixed: bool
    channels: int  # of a tile
    tiles: int
    words: int     # of a sum
    stride: int    # levels of a channel
    bits: int      # of a result
    activation: Activation
    target: Target

    def fields(self, source: Placement, output: Placement, config: Config) -> dict[str, int]:
        """Descriptor, between two places in the activation memory."""
        act = self.layer.activation
        rescale = act if isinstance(act, Requantize) else None
        return {
            "source": source.address // (config.memory_width // 8),
            "words": self.words,
            "tiles": self.tiles,
            "output": output.address,
            "channels": self.channels,
            "stride": self.stride,
            "activation": self.activation,
            "target": self.target,
            "bits": self.bits,
            "shift": rescale.shift if rescale else 0,
            "signed": int(rescale.signed) if rescale else 0,
            "flip": int(flipped(output.type)),
            "fixed": int(self.fixed),
            "reserved": 0,
        }

    @property
    def made(self) -> int:
        """Channels that are made, padding included."""
        return self.tiles * self.channels


def lower(layer: Layer, target: Target, config: Config) -> Lowered:
    """Choose the unit and the shape of the tiles. ``target`` is what the next layer reads."""
    low, high = layer.sum_type.low, layer.sum_type.high
    if high - low >= 1 << config.sum_width - 1:
        raise UserError(f"Node {layer.name!r}: its sums must span less than "
                        f"{config.sum_width - 1} bits, not {low} to {high}")
    fixed = not layer.on_array
    activation, bits, stride = Activation.SUM, 1, 1
    match layer.activation:
        case Threshold(count=count):
            activation, bits = Activation.THRESHOLD, count.bit_length()
            stride = (1 << bits) - 1
        case Requantize():
            activation, bits = Activation.RESCALE, layer.activation.bits
    if layer.activation is None:
        target = Target.SUMS

    made = layer.sums.channels
    if target is Target.BITS:
        # Whole words, as the next layer reads them, and whole tiles, as the drain gathers them.
        step = max(config.simd, config.pe)
        made = -(-made // step) * step
    channels = min(config.fixed_pe if fixed else config.pe, config.level_depth // stride)
    if channels == 0:
        raise UserError(f"Node {layer.name!r}: a channel must have at most {config.level_depth} "
                        f"levels, not {stride}")
    lowered = Lowered(
        layer=layer, fixed=fixed, channels=channels, tiles=-(-made // channels),
        words=-(-layer.sums.fan_in // (config.fixed_simd if fixed else config.simd)),
        stride=stride, bits=bits, activation=activation, target=target,
    )
    shift = layer.activation.shift if isinstance(layer.activation, Requantize) else 0
    for what, field, value in (("the words of a sum", "words", lowered.words),
                               ("its tiles of channels", "tiles", lowered.tiles),
                               ("the bits that are dropped", "shift", shift)):
        most = (1 << Descriptor[field].width) - 1
        if value > most:
            raise UserError(f"Node {layer.name!r}: {what} must be at most {most}, not {value}")
    return lowered


def tiles(lowered: Lowered, config: Config) -> Iterator[Tile]:
    """Yield the tiles of a layer, channels in order."""
    levels = channel_levels(lowered, config)
    words = weight_words(lowered, config)
    for at in range(0, lowered.made, lowered.channels):
        these = slice(at, at + lowered.channels)
        yield Tile(levels[these].ravel(), tile_words(words[these], lowered.fixed, config))


def weight_words(lowered: Lowered, config: Config) -> Array:
    """Weights of every channel as uint8 of shape (made, words, simd // 8); padding is 0."""
    weights = lowered.layer.sums.weights
    lanes = config.fixed_simd if lowered.fixed else config.simd
    padded = np.zeros((lowered.made, lowered.words * lanes), np.int8)
    padded[:weights.shape[0], :weights.shape[1]] = weights
    octets = padded.view(np.uint8) if lowered.fixed else np.packbits(
        padded > 0, axis=1, bitorder="little")
    return octets.reshape(lowered.made, lowered.words, config.simd // 8)


def tile_words(words: Array, fixed: bool, config: Config) -> Array:
    """Bring the words of a tile's channels side by side: (words, octets of a weight word)."""
    places = config.fixed_pe if fixed else config.pe
    side = np.zeros((words.shape[1], places, words.shape[2]), np.uint8)
    side[:, :len(words)] = words.transpose(1, 0, 2)
    return side.reshape(len(side), -1)


def channel_levels(lowered: Lowered, config: Config) -> Array:
    """Levels of every channel as the drain adds them: int64 of shape (made, stride).

    The first holds the bias and all that makes the sum of the unit differ from the layer's: lanes
    of padding, where -1 meets -1, and octets that are kept less 128.
    """
    dense, sums = lowered.layer.sums, lowered.layer.sum_type
    offset = np.zeros(dense.channels, np.int64)
    if dense.bias is not None:
        offset += dense.bias
    if not lowered.fixed:
        offset -= lowered.words * config.simd - dense.fan_in
    elif flipped(lowered.layer.input_type):
        offset += 128 * dense.weights.astype(np.int64).sum(1)

    levels = np.zeros((lowered.made, lowered.stride), np.int64)
    levels[:dense.channels, 0] = offset
    act = lowered.layer.activation
    if isinstance(act, Threshold):
        # Sums lie between low and high, so a level beyond them may move to their edge.
        wanted = np.full((dense.channels, lowered.stride), sums.high + 1, np.int64)
        wanted[:, :act.count] = np.clip(act.levels, sums.low, sums.high + 1)
        levels[:dense.channels] -= heap(wanted)
        # Padding never fires, also on the array, where its weights are all -1.
        levels[dense.channels:, 0] = -1 - (0 if lowered.fixed else lowered.words * config.simd)
    return levels


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

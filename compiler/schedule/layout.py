"""How tensors lie in the activation memory, and in what the host sends and receives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.ir import Binary, Fixed, TensorType, value_range
from compiler.schedule.unfold import Unfold
from hdl.isa import Feed, Target


__all__ = ["Layout", "Placement", "flipped"]

Array = np.ndarray[Any, Any]

SUM_OCTETS = 4


def flipped(kind: TensorType) -> bool:
    """Whether an octet of this type is kept with bit 7 inverted: 0 .. 255 as -128 .. 127."""
    return not isinstance(kind, Binary) and value_range(kind)[1] > 127


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the values of a tensor lie, counted from its first octet.

    A tensor is rows of words: row (y, c) holds the word of channels ``c`` of every pixel of line
    ``y``, plane after plane. A flat tensor is one line of words. Words are whole addresses apart
    (`hdl.isa.Feed`), or, for CHAIN and PLANES, ``p`` at each. Sums are without words: the channels
    of a pixel, then those of the next. For PLANES the rows of a line lie by planes, of which the
    highest is the first.

    Attributes
    ----------
    shape : tuple[int, ...]
        (channels,) or (height, width, channels).
    p, simd : int
        Words at an address, and bits of a word.
    border : int
        Columns that each row has free at its left.
    unit : int
        Channels that are made together; a word holds a multiple of them.
    made : int
        Channels of a pixel that are written, where they are more than there are: of a flat tensor,
        and of sums.
    parts : tuple[int, ...]
        Channels of each of several tensors that lie side by side. Each begins a word.
    whole : int
        Words of a pixel of the tensor that this is a part of, or of all of it where it is flat;
        0 where it is no part.
    lead : int or None
        Where the pixels of a row of octets follow each other without a gap, whatever words they
        fall into: columns of 0 ahead of the first one, a part of the row. None where each pixel
        begins a word.
    deep : int
        Words of a pixel that follow each other within a row, with CHAIN: row (y, c) holds as many
        from the (c * deep)-th on.
    mirrored : bool
        Lines lie from the last to the first.
    unfold : Unfold or None
        The tensor is the windows of another, which `pack` is given.
    """

    type: TensorType
    shape: tuple[int, ...]
    target: Target
    p: int
    simd: int
    feed: Feed = Feed.CHAIN
    border: int = 0
    unit: int = 8
    made: int = 0
    parts: tuple[int, ...] = ()
    whole: int = 0
    lead: int | None = None
    deep: int = 1
    mirrored: bool = False
    unfold: Unfold | None = None

    @property
    def lanes(self) -> int:
        """Channels of a word."""
        return self.simd // 8 if self.target is Target.OCTETS else self.simd

    @property
    def held(self) -> int:
        """Channels that a word holds, where there are no parts."""
        return self._held(self.shape[-1], self.depth)

    def _held(self, channels: int, words: int) -> int:
        """Channels of a part that a word holds: those of a picture lie evenly in its words, by
        octets."""
        if len(self.shape) == 1 or self.target is Target.OCTETS:
            return self.lanes
        return min(-(-channels // (words * self.unit)) * self.unit, self.lanes)

    @property
    def words(self) -> tuple[int, ...]:
        """Words of a pixel, or of a flat tensor, by parts."""
        sizes, step = self.parts or self.shape[-1:], self.lanes
        if len(self.shape) == 1 and (self.parts or self.whole):
            step = max(step, self.unit)  # what is made together must not reach into the next part
        elif len(self.shape) == 1:
            sizes = max(*sizes, self.made),
        return tuple(-(-size // step) * step // self.lanes for size in sizes)

    @property
    def lane_of(self) -> Array:
        """The lane of each channel, from the first word of a pixel on, or of a flat tensor."""
        found, first = [], 0
        for size, words in zip(self.parts or self.shape[-1:], self.words, strict=True):
            word, lane = np.divmod(np.arange(size), self._held(size, words))
            found.append((first + word) * self.lanes + lane)
            first += words
        return np.concatenate(found)

    @property
    def height(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def width(self) -> int:
        """Words of a row."""
        if self.lead is not None:
            return -(-(self.lead + self.shape[1]) * self.shape[2] // self.lanes)
        return self.shape[1] * self.deep if len(self.shape) == 3 else sum(self.words)

    @property
    def depth(self) -> int:
        """Rows of a line: words of a pixel, unless several are in a row."""
        if len(self.shape) == 1 or self.lead is not None:
            return 1
        return -(-sum(self.words) // self.deep)

    @property
    def planes(self) -> int:
        if self.target is not Target.PLANES:
            return 1
        assert isinstance(self.type, Fixed)
        return self.type.bits

    @property
    def blocks(self) -> int:
        """Addresses of a plane of a row."""
        flat = len(self.shape) == 1
        columns = self.border + ((self.whole if flat else 0) or self.width)
        return -(-columns // self.p) if self.dense else columns

    @property
    def dense(self) -> bool:
        """Whether an address holds words of neighbouring pixels."""
        return self.feed in (Feed.CHAIN, Feed.PLANES)

    # All in octets

    @property
    def address(self) -> int:
        """What an address holds."""
        return self.p * self.simd // 8

    @property
    def pixel(self) -> int:
        """From a pixel to the next; from a word to the next where pixels do not begin words."""
        if self.target is Target.SUMS:
            return SUM_OCTETS * max(self.made, self.shape[-1])
        return self.deep * self.simd // 8 if self.dense else self.address

    @property
    def row(self) -> int:
        """From a word of a pixel to its next, which is a row away."""
        planes = 1 if self.feed is Feed.PLANES else self.planes
        return self.blocks * planes * self.address

    @property
    def line(self) -> int:
        """From a pixel to the one below."""
        if self.target is Target.SUMS:
            return self.pixel * (self.shape[1] if len(self.shape) == 3 else 1)
        depth = (self.whole if len(self.shape) == 3 else 0) or self.depth
        return depth * self.blocks * self.planes * self.address

    @property
    def down(self) -> int:
        """From a pixel to the one below, backwards where lines are mirrored."""
        return -self.line if self.mirrored else self.line

    @property
    def first(self) -> int:
        """To the first pixel."""
        line = (self.height - 1) * self.line if self.mirrored else 0
        return line + (0 if self.target is Target.SUMS else self.border * self.pixel)

    @property
    def octets(self) -> int:
        """The room that the tensor takes, in whole addresses; of a part, up to its last word."""
        if not self.whole:
            return -(-self.height * self.line // self.address) * self.address
        if len(self.shape) == 1:
            return (self.planes - 1) * self.blocks * self.address + self.width * self.pixel
        return (self.height - 1) * self.line + self.depth * self.row

    # Values

    def pack(self, x: Array) -> bytes:
        """Turn one tensor into its octets; what is no value of it is 0."""
        x = x.reshape(self.shape)[::-1] if self.mirrored else x
        if self.target is Target.SUMS:
            pixels = np.zeros((math.prod(self.shape[:-1]), self.pixel // SUM_OCTETS), "<i4")
            pixels[:, :self.shape[-1]] = x.reshape(-1, self.shape[-1])
            return pixels.tobytes().ljust(self.octets, b"\0")
        words = self._words(x if self.unfold is None else self.unfold.windows(x))
        every = np.zeros(self.height * self.line, np.uint8)
        room = self._rows(every)
        for slot in range(self.p if self.feed is Feed.GROUP else 1):
            hidden = max(slot - self.border, 0)  # columns that would lie before the row
            room[..., self._places(slot)[hidden:], :] = words[..., hidden:, :]
        return every[:self.octets].tobytes()

    def spread(self, x: Array) -> Array:
        """Bring what there is for each channel, (..., channels), to the lanes of words:
        (..., words, lanes), where others are 0."""
        lanes = np.zeros((*x.shape[:-1], sum(self.words) * self.lanes), x.dtype)
        lanes[..., self.lane_of] = x
        return lanes.reshape(*x.shape[:-1], -1, self.lanes)

    def unpack(self, data: bytes) -> Array:
        """Turn octets into the tensor, as int64."""
        if self.mirrored:
            return replace(self, mirrored=False).unpack(data)[::-1]
        if self.target is Target.SUMS:
            sums = np.frombuffer(data, "<i4", self.height * self.line // SUM_OCTETS)
            pixels = sums.reshape(-1, self.pixel // SUM_OCTETS)[:, :self.shape[-1]]
            return pixels.reshape(self.shape).astype(np.int64)
        every = np.frombuffer(data.ljust(self.height * self.line, b"\0"), np.uint8)
        words = self._rows(every)[..., self._places(0), :]
        if self.deep > 1:
            words = words.reshape(*words.shape[:3], -1, self.deep, words.shape[-1])
            words = np.moveaxis(words, 4, 2).reshape(self.height, -1, *words.shape[2:4],
                                                     words.shape[-1])
            words = words[:, :sum(self.words)]
        pixels = words.transpose(2, 0, 3, 1, 4).reshape(self.planes, self.height, words.shape[3],
                                                        -1)
        if self.target is Target.OCTETS:
            values = pixels[0].view(np.int8).astype(np.int64) + 128 * flipped(self.type)
        else:
            bits = np.unpackbits(pixels, axis=-1, bitorder="little").astype(np.int64)
            values = np.tensordot(1 << np.arange(self.planes), bits, 1)
            values = 2 * values - 1 if self.target is Target.BITS else values
        if self.lead is not None:
            row = values.reshape(self.height, -1)[:, self.lead * self.shape[2]:]
            return row[:, :self.shape[1] * self.shape[2]].reshape(self.shape)
        values = values.reshape(*self.shape[:-1], -1)[..., self.lane_of]
        return values if self.unfold is None else self.unfold.picture(values)

    def _rows(self, octets: Array) -> Array:
        """View all octets as words: (y, c, plane, place in the row, octets of a word)."""
        size = self.blocks * self.p, self.simd // 8
        if self.feed is Feed.PLANES:
            return octets.reshape(self.height, self.planes, -1, *size)[:, ::-1].swapaxes(1, 2)
        return octets.reshape(self.height, -1, self.planes, *size)[:, :self.depth]

    def _places(self, slot: int) -> Array:
        """Return the places of the columns in a row; with GROUP, one for each of ``p`` slots."""
        columns = np.arange(self.border, self.border + self.width)
        return columns if self.dense else (columns - slot) * self.p + slot

    def _words(self, x: Array) -> Array:
        """Return the words of a tensor: uint8 of (y, c, plane, x, octets of a word)."""
        if self.lead is not None:
            rows: Array = np.zeros((self.height, self.width * self.lanes), x.dtype)
            row = rows[:, self.lead * self.shape[2]:]
            row[:, :self.shape[1] * self.shape[2]] = x.reshape(self.height, -1)
            values: Array = rows.reshape(self.height, self.width, 1, self.lanes)
        elif len(self.shape) == 3:
            values = self.spread(x.reshape(self.shape))
        else:
            values = self.spread(x.ravel())[np.newaxis, :, np.newaxis]
        values = values.transpose(0, 2, 1, 3)[:, :, np.newaxis]
        if self.target is Target.OCTETS:
            if self.deep > 1:
                short = -values.shape[1] % self.deep
                values = np.pad(values, ((0, 0), (0, short), *[(0, 0)] * 3))
                values = values.reshape(len(values), -1, self.deep, *values.shape[2:])
                values = np.moveaxis(values, 2, 4).reshape(len(values), -1, 1, self.width,
                                                           self.lanes)
            return (values ^ 0x80 if flipped(self.type) else values).astype(np.int8).view(np.uint8)
        if self.target is Target.BITS:
            return np.packbits(values > 0, axis=-1, bitorder="little")
        planes = np.arange(self.planes).reshape(-1, 1, 1)
        return np.packbits(values >> planes & 1, axis=-1, bitorder="little")


@dataclass(frozen=True)
class Placement:
    """A tensor in the activation memory; ``address`` counts octets."""

    name: str
    address: int
    layout: Layout

    @property
    def octets(self) -> int:
        """The room that it takes."""
        return self.layout.octets

    @property
    def end(self) -> int:
        return self.address + self.octets

    def pack(self, x: Array) -> bytes:
        """Turn one tensor into its octets; what is no value of it is 0."""
        return self.layout.pack(x)

    def unpack(self, data: bytes) -> Array:
        """Turn octets into the tensor, as int64."""
        return self.layout.unpack(data)

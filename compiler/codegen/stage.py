"""A function of the generated C: what it reads, and by which kernel it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from compiler.codegen.tensors import WORD, Form, Tensor, unit_bits
from compiler.errors import UserError
from compiler.ir import (
    Binary,
    Concat,
    Conv,
    Fixed,
    MaxPool,
    Requantize,
    TensorType,
    Threshold,
    Weighted,
    value_range,
)


__all__ = ["INT32_MAX", "TILE", "CodegenError", "Kernel", "Stage", "Window", "check_products",
           "wants_bytes"]

INT32_MAX = (1 << 31) - 1
PLANES = 3       # bits of inputs up to which planes of them are faster than bytes
TILE = 4         # the most pixels that are made at once: NET_PIXELS in pixels.h
BYTES = 1 << 14  # of weights of 1 bit that may be stored as bytes


class CodegenError(UserError):
    """A network that the C code cannot hold."""


class Kernel(Enum):
    """What sums the products of a layer."""

    BINARY = "binary"                # XNOR-popcount
    INPUT_PLANES = "input planes"    # weights of 1 bit, inputs of several
    WEIGHT_PLANES = "weight planes"  # inputs of 1 bit, weights of several
    BYTES = "bytes"                  # both of several, or stored as such
    SHIFTS = "shifts"                # inputs of several, weights that are powers of two


@dataclass(frozen=True)
class Window:
    """What each output of a layer sees; a Dense layer sees all that there is."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1


@dataclass(frozen=True)
class Stage:
    """A function in C: takes ``input``, sums (where ``layer`` is given), activates, and stores.

    It adds an ``addend`` to its sums, where there is one. With a ``pool`` it stores the highest of
    several pixels. A stage may be a pool alone, or put ``others`` behind its input, or, with none
    of these, change how a tensor is stored.
    """

    input: Tensor
    output: Tensor
    activations: tuple[Threshold | Requantize, ...] = ()
    layer: Weighted | None = None
    pool: MaxPool | None = None
    places: tuple[int, int] = (1, 1)  # pixels that it makes, ahead of the pool
    addend: Tensor | None = None
    concat: Concat | None = None
    others: tuple[Tensor, ...] = ()

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """What the function takes."""
        return (self.input, *self.others, *([self.addend] if self.addend else []))

    @property
    def is_step(self) -> bool:
        """Whether it is a step of the body."""
        return bool(self.layer or self.pool or self.concat)

    @property
    def kernel(self) -> Kernel | None:
        return choose_kernel(self.layer, self.input) if self.layer else None

    @property
    def window(self) -> Window:
        if isinstance(self.layer, Conv):
            conv = self.layer
            return Window(conv.kernel, conv.stride, conv.pads, conv.groups)
        return Window(self.input.picture[:2])

    @property
    def seen(self) -> int:
        """Channels of a pixel that an output sees."""
        return self.input.channels // self.window.groups

    @property
    def tap(self) -> int:
        """Bits in a window for the channels of a pixel."""
        unit = unit_bits(self.seen) if len(self.input.shape) == 3 else WORD
        return -(-self.seen // unit) * unit

    @property
    def window_words(self) -> int:
        """Words that hold a window."""
        return -(-self.window.kernel[0] * self.window.kernel[1] * self.tap // WORD)

    @property
    def tiled(self) -> bool:
        """Whether several pixels are made at once, whose counts of bits fit 16 bits."""
        return (self.kernel is Kernel.BINARY and self.window.groups == 1
                and self.places[0] * self.places[1] >= TILE
                and self.window_words * WORD < 1 << 16)

    @property
    def banded(self) -> bool:
        """Whether lines of bytes are copied for a row of pixels, several of which are made at
        once."""
        return (self.kernel is Kernel.BYTES and isinstance(self.layer, Conv)
                and self.window.groups == 1 and self.covered[1] >= TILE)

    @property
    def covered(self) -> tuple[int, int]:
        """Lines and columns of pixels that are made: what no window of a pool sees is left out."""
        height, width = self.places
        if not self.pool:
            return height, width
        ends = ((made - 1) * hop + size - border for made, hop, size, border in zip(
            self.output.picture, self.pool.stride, self.pool.kernel, self.pool.pads, strict=False))
        return min(height, next(ends)), min(width, next(ends))

    @property
    def spreads(self) -> bool:
        """Whether the windows of a pool that a pixel goes into may be none, or several."""
        return self.pool is not None and (self.pool.kernel != self.pool.stride
                                          or any(self.pool.pads[:2]))

    @property
    def gathers(self) -> bool:
        """Whether each window of bits is copied, rather than read where it lies."""
        return self.input.unit < WORD or self.window.groups > 1


def wants_bytes(layer: Weighted, kind: TensorType) -> bool:
    """Whether a layer had rather read a tensor of type ``kind`` as bytes than as planes."""
    if isinstance(kind, Binary):
        return False
    assert isinstance(kind, Fixed)
    small = isinstance(layer, Conv) and layer.weights.size <= BYTES
    return layer.bits != 1 or small and kind.bits > PLANES


def choose_kernel(layer: Weighted, given: Tensor) -> Kernel:
    """Return what runs a layer that reads ``given``."""
    if given.form is Form.BYTES:
        return Kernel.SHIFTS if layer.shifts else Kernel.BYTES
    if layer.bits != 1:
        return Kernel.WEIGHT_PLANES
    return Kernel.BINARY if isinstance(given.type, Binary) else Kernel.INPUT_PLANES


def check_products(layer: Weighted, given: Tensor) -> None:
    """Refuse a layer for which a number on the way to a sum does not fit int32_t.

    The sums themselves do. Raises CodegenError.
    """
    low, high = value_range(given.type)
    kernel = choose_kernel(layer, given)
    bias = 0 if layer.bias is None else int(np.abs(layer.bias).max())
    highest = max(int(np.abs(layer.weights.astype(np.int64)).max()), 1)
    widest = layer.fan_in * max(-low, high) * highest
    if kernel in (Kernel.INPUT_PLANES, Kernel.WEIGHT_PLANES):
        widest *= 2  # twice the sum over 0 and 1, ahead of what is taken from it
    if kernel is Kernel.BYTES:
        widest = layer.fan_in * highest * (high - low)
    if kernel is Kernel.WEIGHT_PLANES or kernel is Kernel.BYTES and low < 0:
        widest += bias
    if widest > INT32_MAX:
        raise CodegenError(f"{type(layer).__name__} {layer.name!r} must need numbers of at most "
                           f"{INT32_MAX} in C, not {widest}")

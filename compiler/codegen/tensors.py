"""How a tensor lies in memory in C."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from compiler.ir import Binary, Fixed, TensorType, value_range


__all__ = ["WORD", "Form", "Tensor", "unit_bits"]

WORD = 64             # bits of what the kernels read
UNITS = (8, 16, 32)   # shorter words that may hold a pixel
SIZES = {"uint64_t": 8, "float": 4, "uint32_t": 4, "int32_t": 4, "uint16_t": 2}


class Form(Enum):
    """How the values of a tensor are stored."""

    PLANES = "planes"    # bits in words, one plane for each bit of a value
    BYTES = "bytes"      # a byte each
    OUTPUTS = "outputs"  # net_output_t each
    FLOATS = "floats"    # a float each


def unit_bits(channels: int) -> int:
    """Bits of the words that hold a pixel of so many channels."""
    return next((unit for unit in UNITS if channels <= unit), WORD)


@dataclass(frozen=True)
class Tensor:
    """A vector, or a picture (height, width, channels), as C stores it.

    Bits of a vector lie in words of 64. A pixel of bits is one word of 8, 16 or 32 bits that
    holds all channels, or as many words of 64 as needed. Planes of a picture follow one another.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    form: Form

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def picture(self) -> tuple[int, int, int]:
        """Height, width and channels; a vector is one pixel."""
        if len(self.shape) == 3:
            height, width, channels = self.shape
            return height, width, channels
        return 1, 1, self.count

    @property
    def channels(self) -> int:
        return self.picture[2]

    @property
    def unit(self) -> int:
        """Bits of a word."""
        return unit_bits(self.channels) if len(self.shape) == 3 else WORD

    @property
    def words(self) -> int:
        """Words of a pixel in a plane."""
        return -(-self.channels // self.unit)

    @property
    def plane_words(self) -> int:
        height, width, _ = self.picture
        return height * width * self.words

    @property
    def planes(self) -> int:
        return self.type.bits if isinstance(self.type, Fixed) else 1

    @property
    def signed(self) -> bool:
        return value_range(self.type)[0] < 0

    @property
    def length(self) -> int:
        """Elements of the array in C."""
        return self.planes * self.plane_words if self.form is Form.PLANES else self.count

    @property
    def ctype(self) -> str:
        """Type of the elements in C."""
        match self.form:
            case Form.PLANES:
                return f"uint{self.unit}_t"
            case Form.FLOATS:
                return "float"
            case Form.OUTPUTS if not isinstance(self.type, Binary):
                return "int32_t"
        return "int8_t" if self.signed and not isinstance(self.type, Binary) else "uint8_t"

    @property
    def bytes(self) -> int:
        return self.length * SIZES.get(self.ctype, 1)

"""Every number that is fixed when the gateware is built."""

import json
import zlib
from dataclasses import asdict, dataclass, fields
from functools import cached_property

from hdl.isa import GROUP, Layer


__all__ = ["Config"]

SIGN_BITS = 16  # of a level of `hdl.signs`
MAY_BE_NONE = "image_offset", "sign_depth"


@dataclass(frozen=True, kw_only=True)
class Config:
    """One accelerator. Equal configurations run the same images.

    The accelerator moves *words* of ``simd`` bits: ``simd`` binary channels, or ``simd // 8``
    channels of 8 bits. ``p`` words lie side by side at one address of the activation memory.
    """

    p: int = 2                    # pixels that share each weight, words at an address
    pe: int = 8                   # channels that share each activation, on the array
    simd: int = 32                # binary lanes that one PE sums in a cycle
    fixed_pe: int = 4             # channels of the fixed-point unit, simd // 8 products each
    memory_depth: int = 16384     # addresses of the activation memory
    weight_depth: int = 256       # weight words (pe * simd bits) in the weight queue
    level_depth: int = 256        # levels in the level queue
    sign_depth: int = 0           # groups of levels for `hdl.signs`; with none, it is left out
    sum_width: int = 28           # bits of a sum that leaves the drain
    binary_width: int = 10        # bits of an accumulator of the array (half products)
    fixed_width: int = 22         # bits of an accumulator of the fixed-point unit
    flash_depth: int = 256        # halfwords in the flash queue
    flash_lines: int = 4          # lines of the flash chip that are wired: 4, or 2
    flash_full_rate: bool = True  # two beats a core cycle (SCK twice the core clock), or one
    flash_continuous: bool = True # bursts begin with their address, not with a command
    image_offset: int = 0x100000  # where in the flash the image begins, bytes
    clock_hz: int = 24_000_000    # core clock
    baud: int = 3_000_000         # host link

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.type is int and field.name not in MAY_BE_NONE):
                raise ValueError(f"'{field.name}' must be positive, not {value!r}")
        if self.simd % 8 or self.simd & self.simd - 1:
            raise ValueError(f"'simd' must be a power of two of at least 8, not {self.simd!r}")
        # Bits are gathered by octets; a descriptor counts the channels of a tile in 7 bits; and an
        # address of the memory holds a part of a weight word of either unit.
        for name, low, high in (("pe", 8, 64), ("fixed_pe", 1, self.pe),
                                ("p", 1, self.fixed_pe)):
            value = getattr(self, name)
            if value & value - 1 or not low <= value <= high:
                raise ValueError(f"'{name}' must be a power of two between {low} and {high}, "
                                 f"not {value!r}")
        widest = max(32, self.pe)  # what the drain writes at once
        if self.memory_width < widest:
            raise ValueError(f"'p' words must have at least {widest} bits, "
                             f"not {self.memory_width!r}")
        if self.memory_depth * self.memory_width // 8 > 1 << 20 or self.memory_depth > 1 << 16:
            raise ValueError(f"'memory_depth' must be at most {1 << 16}, and its octets at most "
                             f"{1 << 20}, not {self.memory_depth!r}")
        if self.sign_depth and self.fixed_pe > GROUP:
            raise ValueError(f"'fixed_pe' must be at most {GROUP} with 'sign_depth', "
                             f"not {self.fixed_pe!r}")
        if self.sign_depth and self.pe > self.simd:
            raise ValueError(f"'pe' must be at most 'simd' with 'sign_depth', as bits of a tile "
                             f"are those of a word, not {self.pe!r}")
        if self.sign_depth and self.binary_width > SIGN_BITS - 1:
            raise ValueError(f"'binary_width' must be at most {SIGN_BITS - 1}, as a level with "
                             f"which a sum is compared has {SIGN_BITS} bits, "
                             f"not {self.binary_width!r}")
        if self.flash_lines not in (2, 4):
            raise ValueError(f"'flash_lines' must be 2 or 4, not {self.flash_lines!r}")
        if self.flash_continuous and self.flash_lines == 2:
            raise ValueError("'flash_continuous' must be False with two 'flash_lines', not True")
        if self.sum_width > 32:
            raise ValueError(f"'sum_width' must be at most 32, not {self.sum_width!r}")
        if self.segment < 2:
            raise ValueError(f"'binary_width' and 'fixed_width' must hold the sum of two words, "
                             f"not {self.binary_width!r} and {self.fixed_width!r}")

    # What follows from the numbers above

    @property
    def lanes(self):
        """Binary products in a cycle."""
        return self.p * self.pe * self.simd

    @property
    def fixed_simd(self):
        """Products that one channel of the fixed-point unit sums in a cycle."""
        return self.simd // 8

    @property
    def memory_width(self):
        """Bits at an address of the activation memory."""
        return self.p * self.simd

    @property
    def signs(self):
        """Whether bits can be made by groups, and weights can stay in their queue."""
        return self.sign_depth > 0

    @property
    def two_ports(self):
        """Whether the activation memory is written while it is read."""
        return self.signs

    @property
    def weight_width(self):
        """Bits of a weight word."""
        return self.pe * self.simd

    @property
    def octet_cycles(self):
        """Core cycles in which the flash moves an octet."""
        return 8 // self.flash_lines // (2 if self.flash_full_rate else 1)

    @property
    def segment(self):
        """Words that may be summed before the accumulators must be drained."""
        binary = ((1 << self.binary_width - 1) - 1) // (self.simd // 2)
        fixed = ((1 << self.fixed_width - 1) - 1) // (self.fixed_simd << 14)
        return min(binary, fixed, (1 << Layer["segment"].width) - 1)

    @cached_property
    def hash(self):
        """32 bits that an image carries to name the configuration that it was made for.

        Clock and baud rate do not change what an image means, and are left out.
        """
        facts = asdict(self)
        for name in ("clock_hz", "baud", "flash_lines", "flash_full_rate", "flash_depth",
                     "flash_continuous"):
            del facts[name]
        return zlib.crc32(json.dumps(facts, sort_keys=True).encode())

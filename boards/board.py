"""What a board is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


__all__ = ["Board", "Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a chip has, or what a design takes of it."""

    lut4: int   # logic cells, each a LUT of four inputs
    ebr: int    # block RAMs
    spram: int  # large single-port RAMs, of iCE40 UltraPlus alone
    dsp: int    # multiplier blocks


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board as data. ``shell`` wraps an accelerator for it."""

    name: str
    title: str
    chip: str
    family: str              # "ice40", "ecp5" or "gowin"
    part: tuple[str, ...]    # the chip and its package, as nextpnr is told
    packing: tuple[str, ...] = ()  # what the packer is told of chip and pins
    available: Resources
    clock_hz: int            # core clock that we build for
    baud: int                # of the serial line: the clock divided by about a whole number
    flash_lines: int         # data lines that are wired from the flash chip: 4, or 2
    flash_full_rate: bool    # the pins of the flash can make two clocks in a core cycle
    flash_continuous: bool   # the flash chip knows continuous read
    bitstream_offset: int | None  # where in the flash the bitstream begins, octets; None: elsewhere
    image_offset: int        # where in the flash an image may begin: behind the bitstream, octets
    platform: Callable[[], Any]
    shell: Callable[[Any, int], Any]  # accelerator, clock_hz -> Elaboratable

"""What a board is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


__all__ = ["Board", "Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a chip has, or what a design takes of it."""

    lut4: int   # logic cells
    ebr: int    # block RAMs
    spram: int  # large single-port RAMs
    dsp: int    # multiplier blocks


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board as data. ``shell`` wraps an accelerator for it."""

    name: str
    title: str
    chip: str
    available: Resources
    clock_hz: int            # core clock that we build for
    flash_continuous: bool   # the flash chip knows continuous read
    platform: Callable[[], Any]
    shell: Callable[[Any, int], Any]  # accelerator, clock_hz -> Elaboratable

"""Board facts become numbers of the gateware: here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from boards.board import Board
from compiler.errors import UserError
from hdl.config import Config


__all__ = ["fit"]

SPRAM_BITS = 16          # side by side at one of SPRAM_DEPTH addresses
SPRAM_DEPTH = 16384
LUT4_OF_LANE = 4.0       # of the array, with accumulators and read-out
LUT4_BESIDE_ARRAY = 2000 # flash, queues, fixed-point unit, drain, sequencer and link


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the chips of a family have, and what we make of it."""

    usual: Config    # the array, and the depth of queues
    ebr_bits: int    # of a block RAM, side by side at one of ``ebr_depth`` addresses
    ebr_depth: int
    ebr_beside: int  # block RAMs beside the weight queue and the activation memory
    products: int    # of 8 x 8 bits, in one multiplier block


FAMILIES: Mapping[str, Family] = {
    "ice40": Family(usual=Config(), ebr_bits=16, ebr_depth=256, ebr_beside=0, products=2),
    # Of 36 bits, four are for parity.
    "ecp5": Family(usual=Config(p=4, pe=16, fixed_pe=16), ebr_bits=32, ebr_depth=512,
                   ebr_beside=16, products=1),
}


def fit(board: Board) -> Config:
    """Return the accelerator that fits ``board``.

    The array is the usual one of the family. The activation memory takes all of the large
    single-port RAMs, and is as wide as they are; where there are none, it is made of block RAM.
    The fixed-point unit has as many channels as there are multipliers for. Raises UserError where
    the board has too little of something.
    """
    has, family = board.available, FAMILIES[board.family]
    usual = replace(family.usual, clock_hz=board.clock_hz, image_offset=board.image_offset,
                    flash_full_rate=board.flash_full_rate,
                    flash_continuous=board.flash_continuous)
    queue = -(-usual.weight_width // family.ebr_bits) * -(-usual.weight_depth // family.ebr_depth)
    need = {
        "logic cells": (LUT4_BESIDE_ARRAY + int(LUT4_OF_LANE * usual.lanes), has.lut4),
        "block RAMs": (queue + family.ebr_beside, has.ebr),
        "large RAMs": (usual.simd // SPRAM_BITS if has.spram else 0, has.spram),
        "multipliers": (-(-usual.fixed_simd // family.products), has.dsp),
    }
    for what, (wanted, available) in need.items():
        if available < wanted:
            raise UserError(f"Board {board.name!r} must have {wanted} {what} for an array of "
                            f"{usual.lanes} lanes, not {available}")
    fixed_pe = min(usual.pe, power_of_two(has.dsp * family.products // usual.fixed_simd))
    if has.spram:
        return replace(usual, p=power_of_two(has.spram * SPRAM_BITS // usual.simd),
                       memory_depth=SPRAM_DEPTH, fixed_pe=fixed_pe)
    left = (has.ebr - queue - family.ebr_beside) * family.ebr_bits * family.ebr_depth
    return replace(usual, memory_depth=power_of_two(left // usual.memory_width),
                   fixed_pe=fixed_pe)


def power_of_two(limit: int) -> int:
    """Return the highest power of two that is not above ``limit``."""
    return 1 << limit.bit_length() - 1

"""Board facts become numbers of the gateware: here alone."""

from __future__ import annotations

from boards.board import Board
from compiler.errors import UserError
from hdl.config import Config


__all__ = ["fit"]

SPRAM_BITS = 16          # side by side at one of SPRAM_DEPTH addresses
SPRAM_DEPTH = 16384
EBR_BITS = 16            # side by side at one of EBR_DEPTH addresses
EBR_DEPTH = 256
PRODUCTS_OF_DSP = 2      # 8 x 8 bits, in one multiplier block
LUT4_OF_LANE = 4.0       # of the array, with accumulators and read-out
LUT4_BESIDE_ARRAY = 2000 # flash, queues, fixed-point unit, drain, sequencer and link


def fit(board: Board) -> Config:
    """Return the accelerator that fits ``board``.

    The array is as `Config` has it by default. The activation memory takes all of the large
    single-port RAMs, and the fixed-point unit as many channels as there are multipliers for.
    Raises UserError where the board has too little of something.
    """
    has, usual = board.available, Config()
    need = {
        "logic cells": (LUT4_BESIDE_ARRAY + int(LUT4_OF_LANE * usual.lanes), has.lut4),
        "block RAMs": (-(-usual.weight_width // EBR_BITS) * -(-usual.weight_depth // EBR_DEPTH),
                       has.ebr),
        "large RAMs": (usual.simd // SPRAM_BITS, has.spram),
        "multipliers": (usual.fixed_simd // PRODUCTS_OF_DSP, has.dsp),
    }
    for what, (wanted, available) in need.items():
        if available < wanted:
            raise UserError(f"Board {board.name!r} must have {wanted} {what} for an array of "
                            f"{usual.lanes} lanes, not {available}")
    return Config(
        clock_hz=board.clock_hz,
        flash_continuous=board.flash_continuous,
        p=power_of_two(has.spram * SPRAM_BITS // usual.simd),
        memory_depth=SPRAM_DEPTH,
        fixed_pe=min(usual.pe, power_of_two(has.dsp * PRODUCTS_OF_DSP // usual.fixed_simd)),
    )


def power_of_two(limit: int) -> int:
    """Return the highest power of two that is not above ``limit``."""
    return 1 << limit.bit_length() - 1

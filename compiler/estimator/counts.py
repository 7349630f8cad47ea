"""What needs no estimate: block RAMs, large RAMs and multipliers, from depths and widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boards.board import Board
from compiler.errors import UserError
from hdl.config import SIGN_BITS, Config
from hdl.counters import CAUSES, COUNT_BITS, LAYERS
from hdl.isa import GROUP, WALK_HALVES, Loop


__all__ = ["CHIPS", "Chip", "block_rams", "chip_of", "counted", "device_of", "memories"]

Memory = tuple[int, int]  # bits side by side, addresses

LINK = 16, 256  # a request, and the reply to IDENTIFY


@dataclass(frozen=True, kw_only=True)
class Chip:
    """The blocks of a chip, and what one of them can be."""

    block: tuple[Memory, ...]  # a block RAM
    large: Memory | None       # a large RAM, of which the activation memory is made, if there are
    products: int              # of octets, in a multiplier block
    confirmed: tuple[tuple[int, int, int], ...]  # P x PE x SIMD that place and route has confirmed
    held: tuple[int, int] = (0, 0)  # weight words, and groups of levels, of a network that stays
    fixed_pe: int = 1 << 8          # most channels of the fixed-point unit that can be routed


# Blocks have parity bits, too, which memories of whole octets leave unused.
ECP5_BLOCK = (32, 512), (16, 1024)

CHIPS: Mapping[str, Chip] = {
    "iCE40UP5K": Chip(block=((16, 256), (8, 512), (4, 1024), (2, 2048)), large=(16, 16384),
                      products=2, confirmed=((2, 8, 32),)),
    "GW1NR-LV9": Chip(block=((32, 512), (16, 1024), (8, 2048)), large=None, products=1,
                      confirmed=((2, 8, 32),)),
    "LFE5U-25F": Chip(block=ECP5_BLOCK, large=None, products=1, confirmed=((4, 16, 32),),
                      held=(512, 256), fixed_pe=4),
    "LFE5U-85F": Chip(block=ECP5_BLOCK, large=None, products=1,
                      confirmed=((4, 8, 64), (4, 32, 64)), held=(1024, 256), fixed_pe=4),
}


def device_of(board: Board) -> str:
    """Return the name of the chip of ``board``, without package and speed. Raises UserError."""
    for name in CHIPS:
        if board.chip.startswith(name):
            return name
    raise UserError(f"Chip of board {board.name!r} must be one of {', '.join(CHIPS)}, as "
                    f"compiler/estimator/counts.py knows them, not {board.chip!r}")


def chip_of(board: Board) -> Chip:
    """Return the blocks of the chip of ``board``."""
    return CHIPS[device_of(board)]


def memories(config: Config) -> list[Memory]:
    """Return the memories of an accelerator, but for the activation memory."""
    banks = config.pe // GROUP if config.signs else 1
    return [
        *[(config.weight_width // banks, config.weight_depth)] * banks,
        (config.sum_width, config.level_depth),
        (config.sum_width, config.p * config.pe),      # sums that are kept
        (16, config.flash_depth),
        (16, 2 * len(Loop) * WALK_HALVES),             # the walker's
        (COUNT_BITS, LAYERS * CAUSES),
        LINK,
        *[(GROUP * SIGN_BITS, config.sign_depth)] * config.signs,
    ]


def counted(config: Config, chip: Chip) -> dict[str, int]:
    """Return how many blocks of each kind an accelerator takes, by the names of `Resources`."""
    activations = config.memory_width, config.memory_depth
    large = None if config.two_ports else chip.large
    return {
        "ebr": block_rams(memories(config) + ([] if large else [activations]), chip),
        "spram": blocks(activations, large) if large else 0,
        "dsp": config.fixed_pe * -(-config.fixed_simd // chip.products),
    }


def block_rams(wanted: Sequence[Memory], chip: Chip) -> int:
    """Return how many block RAMs memories take, each used in the way that suits it."""
    return sum(min(blocks(memory, way) for way in chip.block) for memory in wanted)


def blocks(memory: Memory, block: Memory) -> int:
    """Return how many blocks make a memory, side by side and behind each other."""
    return -(-memory[0] // block[0]) * -(-memory[1] // block[1])

"""Board facts become numbers of the gateware: here alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import product

from boards.board import Board, Resources
from compiler.errors import UserError
from compiler.estimator.counts import block_rams, chip_of, counted, memories
from compiler.estimator.model import estimate
from hdl.config import Config
from hdl.isa import GROUP, Layer, Walk


__all__ = ["arrays", "candidates", "considered", "fit"]

SIZES = tuple(1 << bits for bits in range(9))
WORDS = 31  # that are summed before accumulators are drained, at the least
MOST_WORDS = (1 << Layer["segment"].width) - 1  # ... where there are logic cells to spare
PLANES = 8  # of a word, whose sums an accumulator takes there
ROUTABLE = 0.97  # of the logic cells can be used, unless place and route has shown more
LUCK = 1.05      # by which the best of several seeds may be faster
# Of an activation memory: a walk counts its words modulo this, also those before the first.
MOST_PLACES, MOST_BITS = 1 << Walk["source"].width, 1 << 23
NAMES = {"lut4": "logic cells", "ebr": "block RAMs", "spram": "large RAMs", "dsp": "multipliers"}


def fit(board: Board, lanes: int | None = None) -> Config:
    """Return the best accelerator that ``board`` holds, of ``lanes`` or of as many as there can be.

    Raises the UserError of `arrays`.
    """
    held = arrays(board, lanes)
    return next(config for config in held if config.lanes == held[-1].lanes)


def arrays(board: Board, lanes: int | None = None) -> list[Config]:
    """Return the accelerators that ``board`` holds, by an estimate, or those of ``lanes``.

    They come from few lanes to many, and of as many the best first: with wide weight words, since
    a dense layer has one pixel; with much activation memory; with many products of octets; and
    with few logic cells. Raises UserError where there are none.
    """
    held = {(config.p, config.pe, config.simd): config for config, lack in considered(board)
            if not lack}
    if not held:
        least, (wanted, has) = min(
            ((config, lack) for config in shapes(board) if (lack := lacks(board, config))),
            key=lambda shortage: shortage[0].lanes)
        raise UserError(f"Board {board.name!r} must have {wanted} for an array of {least.lanes} "
                        f"lanes, not {has}")
    counts = sorted({config.lanes for config in held.values()})
    if lanes not in (None, *counts):
        raise UserError(f"Lanes of an array on board {board.name!r} must be one of "
                        f"{', '.join(map(str, counts))}, not {lanes}")
    return sorted((config for config in held.values() if lanes in (None, config.lanes)),
                  key=lambda config: rank(board, config))


def rank(board: Board, config: Config) -> tuple[int, ...]:
    """Return by what an array that ``board`` holds comes before others."""
    needs = estimate(config, board)
    return (config.lanes, -config.weight_width, -config.memory_width * config.memory_depth,
            -config.fixed_pe * config.fixed_simd, needs.used.lut4 if needs else 0)


def considered(board: Board) -> Iterator[tuple[Config, tuple[str, str] | None]]:
    """Yield the accelerators of which something is known, each with what the board `lacks` for it.
    """
    confirmed = chip_of(board).confirmed
    for config in candidates(board):
        # Words of a picture have as many bits as are made together.
        if config.pe <= config.simd and (estimate(config, board) is not None
                                         or (config.p, config.pe, config.simd) in confirmed):
            yield config, lacks(board, config)


def candidates(board: Board) -> Iterator[Config]:
    """Yield the accelerators for which ``board`` has the memories and the multipliers.

    Of those of one shape, the last has the most channels of fixed point.
    """
    for config in shapes(board):
        if not short(counted(config, chip_of(board)), board.available):
            yield config


def lacks(board: Board, config: Config) -> tuple[str, str] | None:
    """Return what ``board`` must have for an accelerator, and what it has; None if it is enough.

    Of an array that was confirmed, the clock needs no estimate.
    """
    needs, chip = estimate(config, board), chip_of(board)
    used = counted(config, chip) if needs is None else asdict(needs.used)
    if needs is not None and not needs.placed:
        used["lut4"] = round(used["lut4"] / ROUTABLE)
    for name in short(used, board.available):
        return f"{used[name]} {NAMES[name]}", str(getattr(board.available, name))
    if (config.p, config.pe, config.simd) in chip.confirmed:
        return None
    if needs is None:
        return "arrays to estimate from, placed by bench.estimate,", "too few"
    if needs.fmax_hz * LUCK < board.clock_hz:
        return (f"a clock of at most {needs.fmax_hz * LUCK / 1e6:.1f} MHz",
                f"{board.clock_hz / 1e6:g} MHz")
    return None


def short(used: Mapping[str, int], available: Resources) -> list[str]:
    """Return of what there is too little."""
    return [name for name, count in used.items() if count > getattr(available, name)]


def shapes(board: Board) -> Iterator[Config]:
    """Yield the accelerators that could be built for ``board``, were it larger.

    The fixed-point unit has up to as many channels as there are multipliers for.
    """
    chip, has = chip_of(board), board.available
    words, held = WORDS, {}
    if all(chip.held):
        words, held = MOST_WORDS, dict(zip(("weight_depth", "sign_depth"), chip.held, strict=True))
    for p, pe, simd in product(SIZES, repeat=3):
        fixed_simd = max(simd // 8, 1)
        most = min(pe, GROUP if held else pe, chip.fixed_pe,
                   power_of_two(has.dsp // -(-fixed_simd // chip.products)))
        for fixed_pe in (size for size in SIZES if p <= size <= max(most, p)):
            with suppress(ValueError):
                half = max(words, ((1 << PLANES) - 1) * bool(held)) * (simd // 2)
                config = Config(
                    clock_hz=board.clock_hz, baud=board.baud, image_offset=board.image_offset,
                    flash_lines=board.flash_lines, flash_full_rate=board.flash_full_rate,
                    flash_continuous=board.flash_continuous,
                    p=p, pe=pe, simd=simd, fixed_pe=fixed_pe, memory_depth=1,
                    # A word gives half sums of simd / 2, and 2**14 for each product, at most.
                    binary_width=half.bit_length() + 1,
                    fixed_width=(words * fixed_simd << 14).bit_length() + 1, **held)
                yield replace(config, memory_depth=deepest(board, config))


def deepest(board: Board, config: Config) -> int:
    """Return the depth of the activation memory: of large RAMs, or of the block RAMs left over."""
    chip = chip_of(board)
    most = min(MOST_PLACES // config.p, MOST_BITS // config.memory_width)
    if chip.large:
        return min(chip.large[1], most)
    left = board.available.ebr - block_rams(memories(config), chip)
    bits, depth = chip.block[0]
    places = left // -(-config.memory_width // bits) * depth
    return power_of_two(min(places, most))


def power_of_two(limit: int) -> int:
    """Return the highest power of two that is not above ``limit``, or 0."""
    return 1 << limit.bit_length() - 1 if limit > 0 else 0

"""Which weights stay in the activation memory, and which come from the flash for every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from hdl.config import Config


__all__ = ["Load", "finish", "residents", "spread"]

WORTH = 0.99  # of the cycles: what is not faster than that is not worth being uneven


@dataclass(frozen=True)
class Load:
    """What a tile costs."""

    words: int    # of weights
    octets: int   # that they have
    cycles: int   # in which they are used
    layer: int    # number of its layer


def residents(loads: Sequence[Load], room: int, config: Config) -> list[bool]:
    """Choose the tiles that stay, in ``room`` octets, so that a frame ends early.

    Spread over the frame, copies of resident weights leave the flash the time to fill the queue.
    But where early layers compute for long on few weights, as convolutions do, the flash is idle
    there and late behind them. So the spread may begin at any layer, or tile of the last ones;
    which is best tells `finish`.
    """
    starts = [at for at, load in enumerate(loads) if not at or load.layer != loads[at - 1].layer]
    tail = range(len(loads) - 1, 0, -max(len(loads) // 64, 1))
    best = spread(loads, room)
    cycles = finish(loads, best, config) * WORTH
    for at in sorted({*starts[1:], *tail}):
        chosen = [False] * at + spread(loads[at:], room)
        if (found := finish(loads, chosen, config)) < cycles:
            best, cycles = chosen, found
    return best


def spread(loads: Sequence[Load], room: int) -> list[bool]:
    """Choose tiles that fill ``room`` octets, as evenly spread as their sizes allow."""
    total = sum(load.octets for load in loads)
    share = min(1.0, room / total) if total else 0.0
    chosen, kept, seen = [], 0, 0
    for load in loads:
        seen += load.octets
        take = kept + load.octets <= min(share * seen, room)
        kept += take * load.octets
        chosen.append(take)
    return chosen


def finish(loads: Sequence[Load], resident: Sequence[bool], config: Config) -> float:
    """Return the cycle in which the last tile is done. An estimate, made tile by tile.

    Weights come in order, and each tile computes when its own are there. The words of a tile
    enter the queue as far as those of the tiles before it leave room.
    """
    octet = 1 if config.flash_full_rate else 2
    copied = config.memory_width // 8
    ends = list(accumulate((load.words for load in loads), initial=0))
    fetched = done = 0.0
    ready = [0.0]  # when the tile before was done
    oldest = 0
    for at, (load, stays) in enumerate(zip(loads, resident, strict=True)):
        cost = load.octets / copied if stays else load.octets * octet
        while oldest < at and ends[at + 1] - ends[oldest] > config.weight_depth:
            oldest += 1
        fetched += cost
        if oldest:  # the last words wait until the tile before that one is done
            waiting = ends[at + 1] - ends[oldest - 1] - config.weight_depth
            fetched = max(fetched, ready[oldest] + cost * min(waiting / load.words, 1))
        done = max(done + load.cycles, fetched + max(load.cycles - load.words, 0))
        ready.append(done)
    return done

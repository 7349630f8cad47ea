"""Writes the packets of a program: what is chosen for its weights, in the order of execution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np

from compiler.schedule import packets as make
from compiler.schedule.lower import Lowered
from compiler.schedule.packets import Packet
from compiler.schedule.residency import Choice, Run, Runs
from compiler.schedule.tiles import Tile
from hdl.config import Config


__all__ = ["Writer", "keep"]

Array = np.ndarray[Any, Any]

LEVELS_SHARE = 2  # part of the level queue that tiles fill at a time

Work = tuple[Tile, tuple[Run, ...]]


class Writer:
    """Writes the packets of a program, layer by layer.

    ``work`` are the tiles of all layers, for which ``choice`` was made. ``resident`` are the
    packets for the memory before the first frame.
    """

    def __init__(self, config: Config, choice: Choice, work: Sequence[Tile]) -> None:
        self.program: list[Packet] = []
        self._config = config
        self._step = config.memory_width // 8
        self._work = iter(zip(work, choice.runs, strict=True))
        self._ahead = iter(choice.ahead)
        self._layer = 0
        self._stores: dict[int, list[Packet]] = {}  # by the layer where their room is free
        for at, room in enumerate(choice.rooms):
            packets = stores(at, choice.runs, work, self._step)
            self._stores.setdefault(room.layer, []).extend(packets)
        self.resident = self._stores.pop(0, [])

    def add(self, layer: Packet, count: int, *, fixed: bool,
            hold: Packet | None = None) -> None:
        """Add a layer of ``count`` tiles: its descriptor, and the packets of its tiles.

        The descriptor waits for the layer before, and for what ``hold`` waits for. What the queues
        hold comes ahead of it: a few tiles, or as much of the first. Behind it, what is free since
        it began is filled.
        """
        own = list(islice(self._work, count))
        ahead, begin = next(self._ahead), len(self.program)
        self._add_tiles(own[:ahead], fixed)
        large = len(own[0][0].weights) > self._config.weight_depth
        place = begin + 2 if large else len(self.program)
        self.program[place:place] = [hold, layer] if hold else [layer]
        self._add_tiles(own[ahead:], fixed)
        self.program += self._stores.get(self._layer, [])
        self._layer += 1

    def _add_tiles(self, work: Sequence[Work], fixed: bool) -> None:
        """Add tiles, some at a time: their levels, then their weights."""
        for some in shares([tile for tile, _ in work], self._config):
            self.program.append(make.levels(np.concatenate([tile.levels for tile in some])))
            self._add_weights(work[:len(some)], fixed)
            work = work[len(some):]

    def _add_weights(self, work: Sequence[Work], fixed: bool) -> None:
        """Add weights, as many in a packet as come from one place in turn."""
        words = np.concatenate([tile.weights for tile, _ in work])
        size = words.shape[1] // self._step
        most = min(self._config.weight_depth, make.MAX_COUNT)
        first = 0
        for run in joined([run for _, runs in work for run in runs], size):
            for at in range(0, run.words, most):
                part = words[first + at:first + min(at + most, run.words)]
                self.program.append(
                    make.weights(part, fixed=fixed) if run.room is None else
                    make.resident(len(part), run.address + at * size, fixed=fixed))
            first += run.words


def keep(config: Config, layers: Sequence[tuple[Packet, Lowered, Sequence[Tile]]],
         ) -> tuple[list[Packet], list[Packet], list[int]]:
    """Write the packets before the first frame, and those of the program, where all weights stay
    in their queue: of each layer its own packet, what it is, and its tiles. Tell how many packets
    there are up to the end of each layer's, too."""
    resident: list[Packet] = []
    program: list[Packet] = []
    ends: list[int] = []
    for packet, lowered, own in layers:
        words = np.concatenate([tile.weights for tile in own])
        resident += [make.weights(part, fixed=lowered.fixed) for part in pieces(words)]
        if lowered.signs:
            levels = np.concatenate([tile.levels for tile in own])
            resident += [make.signs(part) for part in pieces(levels)]
            program += [*kept(words), packet]
        else:
            # The descriptor waits for the layer before, so what the queues hold comes ahead of it.
            some = [[make.levels(np.concatenate([tile.levels for tile in share])),
                     *kept(np.concatenate([tile.weights for tile in share]))]
                    for share in shares(own, config)]
            program += [*some[0], packet, *chain(*some[1:])]
        ends.append(len(program))
    return resident, program, ends


def kept(words: Array) -> list[Packet]:
    """Return the packets of weight words that are in the queue."""
    return [make.kept(len(part)) for part in pieces(words)]


def pieces(values: Array) -> list[Array]:
    """Cut what one packet cannot hold."""
    return [values[at:at + make.MAX_COUNT] for at in range(0, len(values), make.MAX_COUNT)]


def shares(tiles: Sequence[Tile], config: Config) -> Iterator[Sequence[Tile]]:
    """Yield some tiles at a time, whose levels are a share of the queue."""
    most = config.level_depth // LEVELS_SHARE
    while tiles:
        ends = np.cumsum([len(tile.levels) for tile in tiles])
        count = max(int(np.searchsorted(ends, most, "right")), 1)
        yield tiles[:count]
        tiles = tiles[count:]


def joined(runs: Sequence[Run], size: int) -> list[Run]:
    """Join runs that follow each other in the flash, or, ``size`` addresses a word, in a room."""
    found: list[Run] = []
    for run in runs:
        last = found[-1] if found else None
        if last and last.room == run.room and (
                run.room is None or last.address + last.words * size == run.address):
            found[-1] = replace(last, words=last.words + run.words)
        else:
            found.append(run)
    return found


def stores(room: int, runs: Runs, work: Sequence[Tile], step: int) -> list[Packet]:
    """Return the packets that fill a room, whose addresses hold ``step`` octets."""
    held = {}
    for tile, parts in zip(work, runs, strict=True):
        ends = np.cumsum([run.words for run in parts])
        for run, end in zip(parts, ends, strict=True):
            if run.room == room:
                held[run.address] = tile.weights[end - run.words:end].tobytes()
    if not held:
        return []
    return make.store(min(held), b"".join(held[address] for address in sorted(held)), octets=step)

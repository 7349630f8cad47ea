"""Which weights are copied from the activation memory, and which come from the flash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from compiler.schedule.places import Room
from hdl.config import Config


__all__ = ["Choice", "Load", "Run", "choices", "finish", "settle", "spread"]

GRAINS = 1 << 12, 16, 8  # words of a tile of which all are copied, or none is
STARTS = 8               # tiles from which on there may be copies, beside the first ones of layers
REFINED = 4              # ways for which all rooms are tried
STORED = 1.5             # cycles in which an octet is stored, while layers use the memory
EVEN = 1.002             # what is not slower than that comes in the order in which copies begin


@dataclass(frozen=True)
class Load:
    """What a tile costs."""

    words: int    # of weights
    octets: int   # that they have
    cycles: int   # in which they are used
    layer: int    # number of its layer
    levels: int = 0
    home: int | None = None  # address where its words lie from before the first frame on

    @property
    def octets_of_word(self) -> int:
        return self.octets // self.words


@dataclass(frozen=True)
class Run:
    """Words of a tile that follow each other, and are copied, or come from the flash."""

    words: int
    room: int | None = None  # number of the room where they lie
    address: int = 0


Runs = tuple[tuple[Run, ...], ...]  # of every tile


@dataclass(frozen=True)
class Choice:
    """A way to use rooms, and what an estimate makes of it."""

    runs: Runs
    rooms: tuple[Room, ...]
    ahead: tuple[int, ...]  # tiles of each layer that come ahead of its descriptor
    cycles: float           # of a frame


def choices(loads: Sequence[Load], rooms: Sequence[Room], config: Config) -> list[Choice]:
    """Return ways to use ``rooms``, the best first as far as an estimate can tell.

    Spread over the frame, copies leave the flash the time to fill its queue. But where early
    layers compute for long on few weights, as convolutions do, the flash is idle there and late
    behind them. So the spread may begin at any layer, behind the tiles that the queue holds when
    that layer begins, or somewhere in between. Rooms that become free as layers end may be filled
    by the flash while the next ones compute.
    """
    found: dict[Runs, Choice] = {}
    rooms = filled(loads, rooms, config)

    def look(start: int, grain: int, last: int) -> float:
        used = tuple(room for room in rooms if room.layer <= last)
        size = sum(room.end - room.begin for room in used if not room.pinned)
        size = size * config.memory_width // 8
        wanted = [[(load.words, False)] for load in loads[:start]]
        wanted += spread(loads[start:], size, grain, config)
        runs = settle(loads, wanted, used, config)
        if runs not in found:
            found[runs] = finish(loads, runs, used, config)
        return found[runs].cycles

    ways = sorted((look(start, grain, 0), start, grain)
                  for start in starts(loads, config) for grain in GRAINS)
    for _, start, grain in ways[:REFINED]:
        for last in {room.layer for room in rooms}:
            look(start, grain, last)
    least = min(choice.cycles for choice in found.values()) * EVEN
    return sorted(found.values(), key=lambda choice: max(choice.cycles, least))


def filled(loads: Sequence[Load], rooms: Sequence[Room], config: Config) -> list[Room]:
    """Return rooms as far as the flash can fill them while a layer computes, beside what it fetches
    for the layers."""
    octet = config.octet_cycles
    spare = dict.fromkeys(range(len(loads)), 0.0)  # cycles, by layer
    for load in loads:
        spare[load.layer] += load.cycles - (load.octets * octet if load.home is None else 0)
    found = []
    for room in rooms:
        size = room.end - room.begin
        if room.layer:
            step = max(STORED, octet) * config.memory_width / 8
            size = min(size, int(max(spare[room.layer], 0) // step))
            spare[room.layer] -= size * step
        if size:
            found.append(replace(room, end=room.begin + size))
    return found


def starts(loads: Sequence[Load], config: Config) -> list[int]:
    """Return the tiles from which on there may be copies."""
    found = set(range(0, len(loads), -(-len(loads) // STARTS)))
    for at, load in enumerate(loads):
        if not at or load.layer != loads[at - 1].layer:
            found |= {at, at + fitting(loads[at:], config, loads[at - 1] if at else None)}
    return sorted(found)


def fitting(loads: Sequence[Load], config: Config, before: Load | None = None) -> int:
    """Return how many of the first tiles, of one layer, fit the queues together, with the last
    tile of the layer ``before``."""
    words, levels = (before.words, before.levels) if before else (0, 0)
    for at, load in enumerate(loads):
        words, levels = words + load.words, levels + load.levels
        if (load.layer != loads[0].layer or words > config.weight_depth
                or levels > config.level_depth):
            return at
    return len(loads)


def spread(loads: Sequence[Load], size: int, grain: int,
           config: Config) -> list[list[tuple[int, bool]]]:
    """Choose words that fill ``size`` octets, so that the others come evenly in time.

    Tiles are cut into pieces of ``grain`` words. Returns, for each tile, how many words in turn
    are copied, or not.
    """
    times = [time_of(load, config) for load in loads]
    streamed = max(sum(load.octets for load in loads if load.home is None) - size, 0)
    rate = streamed / max(sum(times), 1)  # octets from the flash, in a cycle
    kept = seen = 0
    passed = 0.0
    found = []
    for load, time in zip(loads, times, strict=True):
        if load.home is not None:
            passed += time
            found.append([(load.words, True)])
            continue
        pieces = []
        for at in range(0, load.words, grain):
            words = min(grain, load.words - at)
            octets = words * load.octets_of_word
            seen += octets
            passed += time * words / load.words
            take = kept + octets <= min(seen - rate * passed + 0.5, size)
            kept += take * octets
            pieces.append((words, take))
        found.append([(sum(words for words, _ in group), take)
                      for take, group in groupby(pieces, key=lambda piece: piece[1])])
    return found


def time_of(load: Load, config: Config) -> float:
    """Return the cycles that a tile keeps the memory, if its weights are copied, and the levels."""
    return load.octets * 8 / config.memory_width + load.cycles / config.p + load.levels


def settle(loads: Sequence[Load], wanted: Sequence[Sequence[tuple[int, bool]]],
           rooms: Sequence[Room], config: Config) -> Runs:
    """Find places for the words that are wanted in the memory; the others are not copied.

    Words of a layer may lie in a room that is free before it begins. The last words come first,
    and take the end of the room that is free last; so what is copied in turn lies in turn.
    """
    step = config.memory_width // 8
    ends = [room.end for room in rooms]
    order = sorted((at for at, room in enumerate(rooms) if not room.pinned),
                   key=lambda at: -rooms[at].layer)
    pinned = next((at for at, room in enumerate(rooms) if room.pinned), None)

    def taken(load: Load, words: int) -> Iterator[Run]:
        size = load.octets_of_word // step
        for at in order:
            if rooms[at].layer < max(load.layer, 1):
                count = min(words, (ends[at] - rooms[at].begin) // size)
                if count:
                    ends[at] -= count * size
                    yield Run(count, at, ends[at])
                    words -= count
        if words:
            yield Run(words)

    found: list[tuple[Run, ...]] = []
    for load, pieces in zip(reversed(loads), reversed(wanted), strict=True):
        if load.home is not None:
            found.append((Run(load.words, pinned, load.home),))
            continue
        runs: list[Run] = []
        for words, copied in reversed(pieces):
            runs += taken(load, words) if copied else [Run(words)]
        found.append(tuple(reversed(runs)))
    return tuple(reversed(found))


def finish(loads: Sequence[Load], runs: Runs, rooms: tuple[Room, ...], config: Config) -> Choice:
    """Estimate the cycle in which the last tile is done, tile by tile.

    Weights come in order, and each tile computes when its own are there. The words of a tile
    enter the queue as far as those of the tiles before it leave room. A layer begins when its
    descriptor is there, which waits for the layer before: it comes behind as many tiles as are
    fetched by then.
    """
    stored = [0] * len(rooms)
    for load, parts in zip(loads, runs, strict=True):
        for run in parts:
            if run.room is not None:
                stored[run.room] += run.words * load.octets_of_word
    ahead: list[int] = []
    clock, at = Clock(config), 0
    for layer, group in groupby(loads, key=lambda load: load.layer):
        own = list(group)
        before, begin = clock.done, at
        most = at + max(fitting(own, config, loads[at - 1] if at else None), 1)
        for load in own:
            if len(ahead) == layer and at > begin and (
                    at == most or clock.after(load, runs[at]).fetched > before):
                clock = replace(clock, fetched=max(clock.fetched, before))
                ahead.append(at - begin)
            clock = clock.after(load, runs[at])
            at += 1
        if len(ahead) == layer:
            clock = replace(clock, fetched=max(clock.fetched, before))
            ahead.append(at - begin)
        for room, octets in zip(rooms, stored, strict=True):
            if layer and room.layer == layer:
                clock = clock.storing(octets)
    return Choice(runs, rooms, tuple(ahead), clock.done)


HEADS = 2  # halfwords of the heads of a tile


@dataclass(frozen=True)
class Clock:
    """When the flash, the queues and the units are done with the tiles so far, in cycles."""

    config: Config
    done: float = 0.0     # units
    fetched: float = 0.0  # weights are in the queue
    flash: float = 0.0    # octets are in the queue of the flash, if they had room
    queue: tuple[tuple[int, float], ...] = ()  # tiles in the weight queue: words, and when done

    def streaming(self, octets: int, rate: float = 2) -> Clock:
        """Octets come from the flash, and ``rate`` octets a cycle are taken."""
        octet = self.config.octet_cycles
        begun = max(self.flash, self.fetched - 2 * self.config.flash_depth * octet)
        flash = begun + octets * octet
        return replace(self, flash=flash, fetched=max(self.fetched + octets / rate, flash))

    def copying(self, octets: int) -> Clock:
        """Octets come from the memory, an address a cycle but where activations are read: for every
        ``p`` words that the units use, as long as they have some."""
        config = self.config
        parts = config.weight_width / config.memory_width
        addresses = octets * 8 / config.memory_width
        busy = min(max(self.done - self.fetched, 0), addresses / (1 - 1 / (config.p + 1)))
        left = addresses - busy * (1 - 1 / (config.p + 1))
        cost = busy + left * (1 + 1 / (config.p * parts))
        return replace(self, fetched=self.fetched + cost)

    def storing(self, octets: int) -> Clock:
        """Octets go from the flash to the memory."""
        return self.streaming(octets, 1 / STORED)

    def after(self, load: Load, parts: Sequence[Run]) -> Clock:
        """A tile is fetched, and used."""
        made = self.streaming(2 * (load.levels + HEADS))
        for run in parts:
            octets = run.words * load.octets_of_word
            made = made.streaming(octets) if run.room is None else made.copying(octets)
        fetched, queue = made.fetched, self.queue
        words = load.words + sum(words for words, _ in queue)
        while queue and words > self.config.weight_depth:
            # The last words wait until the tile is done.
            waiting = min((words - self.config.weight_depth) / load.words, 1)
            fetched = max(fetched, queue[0][1] + (made.fetched - self.fetched) * waiting)
            words -= queue[0][0]
            queue = queue[1:]
        done = max(self.done + load.cycles, fetched + max(load.cycles - load.words, 0))
        return replace(made, fetched=fetched, done=done, queue=(*queue, (load.words, done)))

"""A layer as far as cycles depend on it: how its passes go, and what the drain does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from compiler.schedule.walk import Descriptor
from hdl.config import Config
from hdl.isa import LOOPS, Activation, Feed, Loop, Target


__all__ = ["Drainage", "Pass", "Task", "drainage", "row"]

TAKE = 7   # cycles from the last step of a segment to the first take of the drain
EARLY = 6  # channels that are to be taken when the drain tells that it will be done


@dataclass(frozen=True)
class Pass:
    """One turn of the innermost loop."""

    slot: int          # of its first word
    pixels: int
    part_first: bool
    part_last: bool
    window_last: bool  # of the pooled pixels
    group_last: bool   # of the tile, for its part
    last: bool         # of the layer


@dataclass(frozen=True)
class Drainage:
    """What the drain does with a segment; a bit for each cycle behind its last step."""

    works: int
    emits: int
    releases: int
    early: int
    filled: int  # bits that then wait for the others of their word


@dataclass(frozen=True)
class Task:
    """A layer, from its descriptor."""

    counts: tuple[int, ...]  # turns of each loop
    slots: tuple[int, ...]   # by which a turn moves the first word, modulo ``p``
    begin: int               # slot of the first pass
    p: int
    pe: int
    segment: int             # words that may be summed before the accumulators are drained
    feed: Feed
    taps: int
    rows: int
    fixed: bool
    single: bool
    pixels: int              # of the last turn of ACROSS
    pool: bool
    channels: int
    stride: int
    activation: Activation
    target: Target
    bits: int
    shift: int

    @classmethod
    def of(cls, descriptor: Descriptor, config: Config) -> Task:
        walk, layer = descriptor.walk, descriptor.layer
        return cls(
            tuple(walk[loop]["count"] for loop in range(LOOPS)),
            tuple(walk[loop]["source"] % config.p for loop in range(LOOPS)),
            walk[Loop.BEGIN]["source"] % config.p,
            config.p, config.pe, layer["segment"], Feed(layer["feed"]), layer["taps"],
            layer["height"] * layer["depth"], bool(layer["fixed"]), bool(layer["single"]),
            layer["pixels"] + 1, bool(layer["pool"]), layer["channels"], layer["stride"],
            Activation(layer["activation"]), Target(layer["target"]), layer["bits"],
            layer["shift"])

    def passed(self, left: Sequence[int], slot: int) -> Pass:
        """Return the pass that has so many turns of each loop left, itself included."""
        across = left[Loop.ACROSS] == 1
        pixels = 1 if self.single else self.pixels if across else self.p
        return Pass(
            slot % self.p, pixels,
            left[Loop.PART] == self.counts[Loop.PART], left[Loop.PART] == 1,
            across and left[Loop.DOWN] == 1,
            all(turns == 1 for turns in left[Loop.ACROSS:Loop.TILE]),
            all(turns == 1 for turns in left))

    def cycles(self, final: bool, adds: bool) -> int:
        """Cycles of a value in the drain."""
        if not final or self.target == Target.BITS:
            return 1 + adds
        if self.target == Target.SUMS:
            return 3                                   # take, emit, write
        if self.activation == Activation.RESCALE:
            return 1 + adds + (self.shift + 1) + 2     # take; shift and round; saturate, emit
        return 1 + adds + (2 * self.bits - 1) + 1      # take; compare, descend between; emit


@cache
def row(task: Task, slot: int) -> tuple[tuple[bool, bool], ...]:
    """Steps of a row: does each bring nothing, and does it read the memory?"""
    def reads(at: int) -> bool:
        if task.feed is Feed.CHAIN:
            return at == 0 or at % task.p == 1 % task.p
        return task.feed is Feed.WHOLE or at % task.p == 0

    return tuple((at < slot, reads(at)) for at in range(slot + task.taps))


@cache
def drainage(task: Task, turn: Pass, final: bool, filled: int) -> Drainage:
    """What the drain does with a segment of a pass, where so many bits wait already."""
    emits = releases = early = 0
    now = TAKE - 1  # as a bit: the cycle of the first take
    values = turn.pixels * task.channels
    adds = final and not task.fixed and not turn.part_first
    released = final and turn.group_last
    window = task.counts[Loop.ACROSS] * task.counts[Loop.DOWN]  # passes, if it is pooled
    sole = (final and turn.part_first and turn.part_last
            and (window if task.pool else turn.pixels) == 1)
    most = max(task.channels - EARLY, 0)
    for index in range(values):
        pixel, channel = divmod(index, task.channels)
        last = pixel + 1 == turn.pixels
        cycles = task.cycles(final, adds)
        done = now + cycles - 1
        if not final or task.target == Target.BITS:
            if final:
                filled = (filled + 1) % task.pe
                closes = not task.pool or (turn.window_last and last)
                emits |= (filled == 0 and closes) << done + 1
            if not adds and last and channel == most and not sole:
                early |= 1 << now
        else:
            emits |= 1 << done - (task.target == Target.SUMS)
            done -= task.target == Target.SUMS
        releases |= (released and last) << done
        now += cycles
    if not final or task.target == Target.BITS:
        if adds or sole:
            early |= 1 << now
        now += 1
    else:
        early |= 1 << now - 1
    works = (1 << now) - (1 << TAKE - 1)
    return Drainage(works, emits, releases, early, filled)

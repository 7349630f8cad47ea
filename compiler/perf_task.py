"""A layer as far as cycles depend on it: how its passes go, and what the drain does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from compiler.schedule.walk import Descriptor
from hdl.config import Config
from hdl.isa import GROUP, LOOPS, Activation, Feed, Loop, Target


__all__ = ["TAKE", "Drainage", "Pass", "Task", "drainage", "row"]

TAKE = 7   # cycles from the last step of a segment to the first take of the drain
EARLY = 6  # values behind the one with which the drain knows that it will be done


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
    leaves: int  # a row of results leaves, and no pass begins
    filled: int  # values that then wait for the others of their row


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

    def sole(self, turn: Pass) -> bool:
        """Whether a pass is all that its bits are made of."""
        window = self.counts[Loop.ACROSS] * self.counts[Loop.DOWN]  # passes, if it is pooled
        return (self.target == Target.BITS and turn.part_first and turn.part_last
                and (window if self.pool else turn.pixels) == 1)

    @property
    def planes(self) -> int:
        """Results that a row of values leaves as, one by one; 0 where it leaves at once."""
        return self.bits if self.target == Target.PLANES else 0

    def cycles(self, final: bool) -> int:
        """Cycles of a value in the drain, from its take to where it has left its sum."""
        if not final or self.target == Target.BITS or self.activation == Activation.RESCALE:
            return 1
        if self.target == Target.SUMS:
            return 2
        return 1 + (2 * self.bits - 1) + 1  # take; compare, descend between; emit


@cache
def row(task: Task, slot: int) -> tuple[tuple[bool, bool], ...]:
    """Steps of a row: does each bring nothing, and does it read the memory?"""
    def reads(at: int) -> bool:
        if task.feed in (Feed.CHAIN, Feed.PLANES):
            return at == 0 or at % task.p == 1 % task.p
        return task.feed is Feed.WHOLE or at % task.p == 0

    return tuple((at < slot, reads(at)) for at in range(slot + task.taps))


@cache
def drainage(task: Task, turn: Pass, final: bool, filled: int, delay: int) -> Drainage:
    """What the drain does with a segment of a pass, where so many values wait already, and a row
    that leaves delays it by so many cycles."""
    if task.activation == Activation.SIGN:
        return by_signs(task, turn)
    octets, planes = task.target == Target.OCTETS, task.planes
    cycles = task.cycles(final)
    shifted = final and task.activation == Activation.RESCALE
    late = (final and planes > 0 and turn.part_first and turn.part_last
            and (not task.pool or turn.window_last))
    sole = final and task.sole(turn)
    told = max(task.channels - 1 - EARLY, 0)
    emits = releases = early = leaves = 0
    begin = now = TAKE - 1 + delay  # as a bit: the cycle of the first take
    for index in range(turn.pixels * task.channels):
        pixel, channel = divmod(index, task.channels)
        last = pixel + 1 == turn.pixels
        ends = last and channel + 1 == task.channels
        left = now + cycles - 1  # the cycle in which its sum has left
        releases |= (final and turn.group_last and last) << left
        if not (sole or late) and (ends if cycles > 1 else last and channel == told):
            early |= 1 << left + 1 + 2 * octets
        now = left + 1 + (final and task.target == Target.SUMS)
        if not final:
            continue
        leaving = left + 3 + shifted  # the first cycle in which it can leave
        filled = (filled + 1) % task.pe
        closes = not task.pool or (turn.window_last and last)
        if task.target == Target.SUMS:
            emits |= 1 << left + 1
        elif not planes:
            emits |= (closes and (octets or filled == 0)) << leaving
        elif closes and filled == 0:
            pace = 2 if ends and not task.fixed else 1  # cycles from a plane to the next
            done = leaving + pace * (planes - 1)
            emits |= sum(1 << at for at in range(leaving, done + 1, pace))
            leaves |= (1 << done + 1) - (1 << left + 1)
            early |= (late and ends) << leaving
            now = done + 2
    early |= sole << left + 2
    valued = final and task.target != Target.SUMS
    end = max(left + 1 + valued + shifted, emits.bit_length() - 1)
    works = (1 << end + 1) - (1 << begin)
    return Drainage(works, emits, releases, early, leaves,
                    filled if planes or task.target == Target.BITS else 0)


def by_signs(task: Task, turn: Pass) -> Drainage:
    """What `hdl.signs.SignDrain` does with a pass."""
    groups, first = task.pe // GROUP, TAKE - 1
    closes = not task.pool or turn.window_last
    leaving = first + groups + 1
    works = (1 << leaving + closes) - (1 << first)
    early = first - 1 + max(groups - TAKE, 0)
    return Drainage(works, closes << leaving, 0, 1 << early, 0, 0)

"""How many cycles a frame takes, layer by layer, and where they go: what the gateware's counters
will say, exactly.

The control of the gateware is stepped through (`compiler.perf_units`), which it allows since no
cycle depends on data. Two things make that fast. While the units wait for the flash, and a
halfword comes in every slot, the rest of a weight word is a matter of multiplication. And what
happens between the heads of two packets depends on the state at the first and on the packet,
which both recur, so it is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compiler.perf_units import Drain, Engine, Feeder, Fetch, Flash, Job, Task
from compiler.schedule.packets import Packet
from compiler.schedule.plan import Schedule
from hdl.config import Config
from hdl.counters import LAYERS
from hdl.flash import FlashTiming
from hdl.isa import Cause, Opcode


__all__ = ["LayerCycles", "Performance", "estimate", "simulate"]

CRC_HALVES = 2  # behind the packets of the program; they are fetched with it
STREAMED = Opcode.WEIGHTS, Opcode.FIXED

State = tuple[Any, ...]  # of integers


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one layer, from the end of the one before to its own."""

    name: str
    causes: dict[Cause, int]

    @property
    def total(self) -> int:
        return sum(self.causes.values())


@dataclass(frozen=True)
class Performance:
    """Cycles of a frame, and where they go."""

    frame: int
    layers: tuple[LayerCycles, ...]
    after: dict[Cause, int]  # of no layer: between the end of the last and the end of the frame
    flash_busy: int          # in which the flash bus moves

    @property
    def counted(self) -> list[dict[Cause, int]]:
        """What the counters say: a row for each layer, and one for what comes after the last.

        From the 32nd on, rows are counted as one.
        """
        rows = [*(layer.causes for layer in self.layers), self.after]
        first, rest = rows[:LAYERS - 1], rows[LAYERS - 1:]
        if rest:
            first.append({cause: sum(row[cause] for row in rest) for cause in Cause})
        return first


def estimate(schedule: Schedule) -> Performance:
    """Return the cycles of a frame of ``schedule``."""
    return simulate(schedule.config, schedule.program)


def simulate(config: Config, program: Sequence[Packet], *, skip: bool = True) -> Performance:
    """Return the cycles of a frame that carries out ``program``.

    The result is the same, but much later, where ``skip`` is False and every cycle is stepped.
    """
    machine = Machine(config, program)
    if skip:
        known: dict[Key, Passage] = {}
        while not machine.done:
            machine.pass_packet(known)
    else:
        while not machine.done:
            machine.step()
    names = [packet.name for packet in program if packet.opcode is Opcode.LAYER]
    causes = [dict(zip(Cause, counts, strict=True)) for counts in machine.counts]
    return Performance(
        frame=machine.now,
        layers=tuple(LayerCycles(name, of) for name, of in zip(names, causes, strict=False)),
        after=causes[-1],
        flash_busy=machine.flash_busy,
    )


@dataclass(frozen=True)
class Passage:
    """What happens from the head of a packet to the head of the next."""

    cycles: int
    fetched: int               # halfwords
    tiles: int                 # that the engine finished
    counts: tuple[int, ...]
    state: State


Key = tuple[State, Job, Task]


class Machine:
    """The accelerator from the first cycle of a frame on."""

    def __init__(self, config: Config, program: Sequence[Packet]) -> None:
        jobs = [Job.of(packet.opcode, packet.count, config) for packet in program]
        known: dict[Task, Task] = {}  # equal tasks are one
        tasks = []
        for packet in program:
            if packet.opcode is Opcode.LAYER:
                task = Task.of(packet.fields, config)
                tasks.append((known.setdefault(task, task), packet.fields["tiles"]))
        halves = sum(map(len, program)) + CRC_HALVES
        timing = FlashTiming.from_config(config)
        self.flash = Flash(timing.slot, timing.latency, timing.first, halves, timing.credits)
        # A command takes all cycles to the first slot, but one where it begins with an opcode.
        self._command = timing.first - (not config.flash_continuous)
        self._halves = halves
        self.fetch = Fetch(jobs, config.weight_depth, config.level_depth)
        self.feeder = Feeder(config.group)
        self.drain = Drain()
        self.engine = Engine(tasks)
        self.now = 0
        self.counts = [[0] * len(Cause) for _ in range(len(tasks) + 1)]

    @property
    def done(self) -> bool:
        return self.fetch.index == len(self.fetch.jobs)

    @property
    def flash_busy(self) -> int:
        """Cycles so far in which the clock of the flash ran: a slot begins after its fetch."""
        flash = self.flash
        slots = (self._halves - flash.left) * flash.slot
        return self._command + slots - flash.ahead

    def step(self) -> None:
        """Let a cycle pass."""
        flash, fetch, feeder = self.flash, self.fetch, self.feeder
        drain, engine = self.drain, self.engine
        draining, holds = drain.left, fetch.holds

        cause = engine.cause(fetch.weights, feeder.valid, draining)
        self.counts[engine.ended][cause] += 1
        self.now += 1
        used = cause is Cause.WORK
        wants = engine.running and feeder.wants
        writes = drain.writes & 1
        released = engine.task.stride if drain.releases & 1 else 0

        # The memory serves the drain, the feeder, and copies of weights, in this order.
        taken = fetch.step(flash.shown > 0, not (writes or wants), engine.idle, used, released)
        flash.step(taken)
        drain.step()

        if engine.running:
            feeder.step(wants and not writes, used, engine.words == 1)
            if used:
                engine.use_word(drain)
        elif engine.idle:
            if holds:
                drain.filled = 0
                engine.begin_layer()
        elif not draining:
            fetch.holds = False
            engine.ended += 1

    def stream(self) -> None:
        """Pass the cycles in which a weight word comes from the flash, but for its last halfword,
        where all else waits for it."""
        flash, fetch = self.flash, self.fetch
        if (fetch.weights or fetch.head or self.drain.left or fetch.arriving
                or not self.feeder.valid or not self.engine.running
                or fetch.jobs[fetch.index].opcode not in STREAMED or not flash.streams):
            return
        halves = min(fetch.jobs[fetch.index].size - fetch.place - 1, flash.left)
        fetch.place += halves
        flash.left -= halves
        self.counts[self.engine.ended][Cause.WEIGHTS] += halves * flash.slot
        self.now += halves * flash.slot

    def pass_packet(self, known: dict[Key, Passage]) -> None:
        """Go from the head of a packet to the next; by what is ``known``, to which it may add."""
        flash, fetch, engine = self.flash, self.fetch, self.engine
        key = self.state, fetch.jobs[fetch.index], engine.task
        passage = known.get(key)
        if passage and passage.fetched <= flash.left and (
                passage.tiles < engine.tiles or not passage.tiles):
            self._apply(passage)
            return
        now, left, tiles, index = self.now, flash.left, engine.tiles, fetch.index
        layers = engine.begun, engine.ended
        counts = tuple(self.counts[engine.ended])
        while fetch.index == index:
            self.stream()
            self.step()
        # Where a layer ends or the flash has sent all, it matters what the state leaves out.
        if flash.left and layers == (engine.begun, engine.ended) and (
                engine.tiles or not tiles):
            new = self.counts[engine.ended]
            known[key] = Passage(
                self.now - now, left - flash.left, tiles - engine.tiles,
                tuple(after - before for after, before in zip(new, counts, strict=True)),
                self.state)

    def _apply(self, passage: Passage) -> None:
        counts = self.counts[self.engine.ended]
        for cause, cycles in enumerate(passage.counts):
            counts[cause] += cycles
        self.now += passage.cycles
        self.flash.left -= passage.fetched
        self.engine.tiles -= passage.tiles
        self.fetch.index += 1
        self.state = passage.state

    @property
    def state(self) -> State:
        """All that tells what will happen, but the packets, the layers, and how much of them is
        left. Only at the head of a packet."""
        flash, fetch, feeder = self.flash, self.fetch, self.feeder
        drain, engine = self.drain, self.engine
        return (flash.wait, flash.free, flash.fetched, flash.shown,
                fetch.arriving, fetch.holds, fetch.weights, fetch.levels,
                feeder.valid, feeder.arriving, feeder.word,
                drain.left, drain.writes, drain.releases, drain.filled,
                engine.idle, engine.running, engine.words, engine.segment)

    @state.setter
    def state(self, state: State) -> None:
        flash, fetch, feeder = self.flash, self.fetch, self.feeder
        drain, engine = self.drain, self.engine
        (flash.wait, flash.free, flash.fetched, flash.shown,
         fetch.arriving, fetch.holds, fetch.weights, fetch.levels,
         feeder.valid, feeder.arriving, feeder.word,
         drain.left, drain.writes, drain.releases, drain.filled,
         _, engine.running, engine.words, engine.segment) = state

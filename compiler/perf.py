"""How many cycles a frame takes, layer by layer, and where they go: what the gateware's counters
will say, exactly.

The control of the gateware is stepped through (`compiler.perf_units`), which it allows since no
cycle depends on data. Two things make that fast. While the units wait for the flash, and a
halfword comes in every slot, the rest of a weight word is a matter of multiplication. And what
happens in a pass depends on the pass and on the state at its beginning, which both recur, so it
is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from compiler.perf_task import Pass, Task
from compiler.perf_units import Drain, Feeder, Fetch, Flash, Job, Walker
from compiler.schedule.packets import Packet
from hdl.config import Config
from hdl.counters import LAYERS
from hdl.flash import FlashTiming
from hdl.isa import Cause, Opcode, Target


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


class Programmed(Protocol):
    """What has a program for a configuration: a schedule."""

    @property
    def config(self) -> Config: ...

    @property
    def program(self) -> Sequence[Packet]: ...


def estimate(schedule: Programmed) -> Performance:
    """Return the cycles of a frame of ``schedule``."""
    return simulate(schedule.config, schedule.program)


def simulate(config: Config, program: Sequence[Packet], *, skip: bool = True) -> Performance:
    """Return the cycles of a frame that carries out ``program``.

    The result is the same, but much later, where ``skip`` is False and every cycle is stepped.
    """
    machine = Machine(config, program)
    known: dict[Key, Passage] = {}
    while not machine.done:
        if not skip:
            machine.step()
        elif machine.begins:
            machine.go_on(known)
        else:
            machine.stream()
            machine.step()
    names = [packet.name for packet in program if packet.opcode is Opcode.LAYER]
    causes = [dict(zip(Cause, counts, strict=True)) for counts in machine.counts]
    return Performance(
        frame=machine.now,
        layers=tuple(LayerCycles(name, counts)
                     for name, counts in zip(names, causes, strict=False)),
        after=causes[-1],
        flash_busy=machine.flash_busy,
    )


@dataclass(frozen=True)
class Passage:
    """What happens from the beginning of a pass to that of the next."""

    cycles: int
    fetched: int  # halfwords
    counts: tuple[int, ...]
    state: State


Key = tuple[State, Task, Pass, int, bool]


class Machine:
    """The accelerator from the first cycle of a frame on."""

    def __init__(self, config: Config, program: Sequence[Packet]) -> None:
        jobs = [Job.of(packet.opcode, packet.count, config) for packet in program]
        self.tasks = [Task.of(packet.descriptor, config) for packet in program
                      if packet.descriptor]
        halves = sum(map(len, program)) + CRC_HALVES
        timing = FlashTiming.from_config(config)
        self.flash = Flash(timing.slot, timing.latency, timing.first, halves, timing.credits)
        # A command takes all cycles to the first slot, but one where it begins with an opcode.
        self._command = timing.first - (not config.flash_continuous)
        self._halves = halves
        self.fetch = Fetch(jobs, config.weight_depth, config.level_depth)
        self.two_ports = config.two_ports
        self.feeder = Feeder()
        self.drain = Drain()
        self.begun = 0           # layers
        self.ended = 0
        self.running = False
        self.draining = False    # a segment has ended, and the next must not
        self.segment = 0         # words of this segment so far
        self.begins = False      # a pass begins in this cycle
        self.walker: Walker
        self.turn: Pass
        self.now = 0
        self.counts = [[0] * len(Cause) for _ in range(len(self.tasks) + 1)]

    @property
    def done(self) -> bool:
        return self.fetch.index == len(self.fetch.jobs)

    @property
    def flash_busy(self) -> int:
        """Cycles so far in which the clock of the flash ran: a slot begins after its fetch."""
        flash = self.flash
        slots = (self._halves - flash.left) * flash.slot
        return self._command + slots - flash.ahead

    @property
    def task(self) -> Task:
        """The layer that began last."""
        return self.tasks[self.begun - 1]

    def step(self) -> None:
        """Let a cycle pass."""
        flash, fetch, drain = self.flash, self.fetch, self.drain
        holds, idle = fetch.holds, self.begun == self.ended
        finished = not (self.draining or drain.works & 1 or drain.pending)
        urgent = not self.two_ports and drain.pending and bool(
            drain.emits & 1 or self.task.target is Target.SUMS)
        released = self.task.stride if drain.releases & 1 else 0
        self.begins = False

        # The engine
        reads = moves = uses = ends = last = False
        if self.running:
            cause, reads, moves, uses, ends, last = self._engine(urgent)
        else:
            cause = Cause.PROGRAM if idle else Cause.DRAIN
        self.counts[self.ended][cause] += 1
        self.now += 1

        # The memory serves results that cannot wait, the feeder, other results, and copies; with
        # two ports, results and the feeder together.
        fed = reads and not urgent
        granted = drain.pending and (self.two_ports or not fed)
        taken = fetch.step(flash.shown > 0, not fed and not drain.pending, idle, released)
        flash.step(taken)
        if drain.early & 1:
            self.draining = False
        drain.step(granted)
        if uses:
            self._use(ends, last)
        if self.running:
            self._walk(moves, last)
        elif idle:
            if holds:
                self.begun += 1
                self.running = True
                self.walker = Walker(self.task)
                drain.filled = 0
                self.segment = 0
        elif finished:
            fetch.holds = False
            self.ended += 1

    def _engine(self, urgent: bool) -> tuple[Cause, bool, bool, bool, bool, bool]:
        """Return what this cycle goes to; whether the feeder claims the memory; whether a step is
        made, uses a word, ends a segment; and whether it is the last of its pass."""
        feeder, fetch = self.feeder, self.fetch
        void, reads = feeder.steps[feeder.place] if feeder.rows else (False, False)
        last = feeder.rows == 1 and feeder.last
        valid = feeder.rows > 0 and (not last or self.walker.wait == 0)
        ends = last or (not void and self.segment + 1 == self.task.segment)
        if not (fetch.readable or void):
            return Cause.WEIGHTS, False, False, False, ends, last
        if valid and ends and self.draining:
            return Cause.DRAIN, reads, False, False, ends, last
        moves = valid and not (reads and urgent)
        uses = moves and not void
        return Cause.WORK if uses else Cause.ACTIVATIONS, reads, moves, uses, ends, last

    def _use(self, ends: bool, last: bool) -> None:
        """A weight word goes into a unit."""
        task, turn = self.task, self.turn
        free = turn.group_last and (task.fixed or turn.part_last)
        self.fetch.use(last and not free and (turn.part_last or not task.fixed), free)
        self.segment += 1
        if ends:
            self.segment = 0
            self.draining = True
            self.drain.harvest(task, turn, final=last and (task.fixed or turn.part_last))

    def _walk(self, moves: bool, last: bool) -> None:
        """The feeder makes a step, and a pass may begin."""
        feeder, walker = self.feeder, self.walker
        if moves:
            feeder.step()
        if moves and last and self.turn.last:
            self.running = False
        elif walker.wait == 0 and feeder.rows == 0:
            self.turn = walker.turn()
            feeder.begin(self.task, self.turn.slot)
            self.begins = True
        if walker.wait > 0:
            walker.wait -= 1

    def stream(self) -> None:
        """Pass the cycles in which a weight word comes from the flash, but for its last halfword,
        where all else waits for it."""
        flash, fetch, drain = self.flash, self.fetch, self.drain
        if (fetch.weights or fetch.head or drain.works or drain.pending or fetch.arriving
                or not self.running or not self.feeder.rows or self.walker.wait > 0
                or self.draining
                or fetch.jobs[fetch.index].opcode not in STREAMED or not flash.streams):
            return
        halves = min(fetch.jobs[fetch.index].size - fetch.place - 1, flash.left)
        fetch.place += halves
        flash.left -= halves
        self.counts[self.ended][Cause.WEIGHTS] += halves * flash.slot
        self.now += halves * flash.slot

    def go_on(self, known: dict[Key, Passage]) -> None:
        """Go from the beginning of a pass to that of the next, by what is ``known``, to which it
        may add."""
        flash, fetch, walker = self.flash, self.fetch, self.walker
        key = self.state, self.task, self.turn, walker.wait, flash.left > 0
        passage = known.get(key)
        if passage and passage.fetched <= flash.left:
            self._apply(passage)
            return
        now, left, index, items = self.now, flash.left, fetch.index, fetch.left
        counts = tuple(self.counts[self.ended])
        self.step()
        while not self.begins and self.running:
            self.stream()
            self.step()
        # What the state leaves out matters where packets or the flash end.
        if self.begins and (flash.left > 0) == (left > 0) and (
                index, items) == (fetch.index, fetch.left):
            new = self.counts[self.ended]
            known[key] = Passage(
                self.now - now, left - flash.left,
                tuple(after - before for after, before in zip(new, counts, strict=True)),
                self.state)

    def _apply(self, passage: Passage) -> None:
        counts = self.counts[self.ended]
        for cause, cycles in enumerate(passage.counts):
            counts[cause] += cycles
        self.now += passage.cycles
        self.flash.left -= passage.fetched
        self.state = passage.state
        self.turn = self.walker.turn()
        self.feeder.begin(self.task, self.turn.slot)
        self.walker.wait -= 1 if self.walker.wait > 0 else 0

    @property
    def state(self) -> State:
        """All that tells what will happen until the next pass, but the layer, the pass, the job
        and how much of it is left. Only where a pass begins."""
        flash, fetch, drain = self.flash, self.fetch, self.drain
        return (flash.wait, flash.free, flash.fetched, flash.shown,
                fetch.index, fetch.left, fetch.head, fetch.place, fetch.arriving, fetch.stores,
                fetch.holds, fetch.weights, fetch.seen, fetch.freeing, fetch.levels,
                drain.works, drain.emits, drain.releases, drain.early, drain.leaves,
                drain.pending, drain.filled, self.draining, self.segment)

    @state.setter
    def state(self, state: State) -> None:
        flash, fetch, drain = self.flash, self.fetch, self.drain
        (flash.wait, flash.free, flash.fetched, flash.shown,
         fetch.index, fetch.left, fetch.head, fetch.place, fetch.arriving, fetch.stores,
         fetch.holds, fetch.weights, fetch.seen, fetch.freeing, fetch.levels,
         drain.works, drain.emits, drain.releases, drain.early, drain.leaves,
         drain.pending, drain.filled, self.draining, self.segment) = state

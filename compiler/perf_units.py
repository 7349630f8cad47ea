"""The control of the gateware, cycle by cycle: who moves, who waits, and for what.

Every class has the name and the state of the module in `hdl` that it mirrors, without data. A
state is that of the registers at the beginning of a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.perf_task import TAKE, Pass, Task, drainage, row
from hdl.config import Config
from hdl.isa import LAYER_HALVES, WALK_HALVES, Loop, Opcode


__all__ = ["Drain", "Feeder", "Fetch", "Flash", "Job", "Walker"]

DESCRIPTOR_HALVES = len(Loop) * WALK_HALVES + LAYER_HALVES
COPIES = Opcode.RESIDENT, Opcode.RESIDENT_FIXED
LEVELS = Opcode.LEVELS, Opcode.LEVELS_WIDE
BEGINNING = 8  # cycles behind the begin of a layer to the first pass
TURNING = 5    # from a pass to the next, if the innermost loop turns
OUTER = 2      # and for each loop that ends, in addition
ENDING = 4     # if all loops end
START = TAKE - 2  # cycles behind a step, as a bit, where the drain begins unless a row leaves


@dataclass(slots=True)
class Flash:
    """`hdl.flash.FlashReader`, from a request that was accepted in the present cycle on."""

    slot: int
    latency: int
    wait: int      # cycles to the next slot
    left: int      # halfwords to fetch
    free: int      # credits
    fetched: int = 0  # a bit for each cycle, the last one lowest: was a halfword fetched?
    shown: int = 0    # halfwords that can be taken

    def step(self, taken: bool) -> None:
        self.fetched <<= 1
        if self.wait:
            self.wait -= 1
        elif self.left and self.free:
            self.fetched |= 1
            self.wait = self.slot - 1
            self.left -= 1
            self.free -= 1
        if self.fetched >> self.latency - 1:
            self.fetched ^= 1 << self.latency - 1
            self.shown += 1
        if taken:
            self.shown -= 1
            self.free += 1

    @property
    def ahead(self) -> int:
        """How many cycles of the last slot are still to come."""
        recent = self.fetched & (1 << self.slot) - 1
        return self.slot + 1 - (recent & -recent).bit_length() if recent else 0

    @property
    def streams(self) -> bool:
        """Whether a halfword is fetched, and one is taken as it comes, once in every slot."""
        repeats = self.fetched ^ self.fetched >> self.slot
        return (not self.shown and self.free > 1
                and self.fetched & (1 << self.slot) - 1 != 0
                and not repeats & (1 << self.latency - 1 - self.slot) - 1)


@dataclass(frozen=True)
class Job:
    """A packet as far as cycles depend on it."""

    opcode: Opcode
    count: int  # of what it holds
    size: int   # of each: halfwords, or addresses of the activation memory that are copied

    @classmethod
    def of(cls, opcode: Opcode, count: int, config: Config) -> Job:
        fixed = opcode in (Opcode.FIXED, Opcode.RESIDENT_FIXED)
        bits = (config.fixed_pe if fixed else config.pe) * config.simd
        match opcode:
            case Opcode.LAYER:
                return cls(opcode, 1, DESCRIPTOR_HALVES)
            case Opcode.WEIGHTS | Opcode.FIXED:
                return cls(opcode, count, bits // 16)
            case Opcode.RESIDENT | Opcode.RESIDENT_FIXED:
                return cls(opcode, count, bits // config.memory_width)
            case Opcode.LEVELS | Opcode.STORE | Opcode.KEPT:
                return cls(opcode, count, 1)
            case Opcode.LEVELS_WIDE:
                return cls(opcode, count, 2)
        return cls(opcode, 0, 0)


@dataclass(slots=True)
class Fetch:
    """`hdl.fetch.Fetch`, and the two queues that it fills."""

    jobs: list[Job]
    weight_depth: int
    level_depth: int
    index: int = 0      # of the job
    head: int = 2       # halfwords of its head that are to come
    place: int = 0      # of the present item, what has come
    left: int = 0       # items
    arriving: int = 0   # 1: a part of a word is read from the memory; 2: the last part
    stores: bool = False  # a halfword waits for the memory
    holds: bool = False  # the descriptor of a layer that has not ended
    weights: int = 0    # words in the queue that are not free
    seen: int = 0       # of them, those that this pass has used
    freeing: bool = False
    levels: int = 0

    @property
    def readable(self) -> bool:
        """Whether there is a weight word."""
        return self.seen < self.weights

    def step(self, valid: bool, memory: bool, idle: bool, released: int) -> bool:
        """Take a halfword if one is ``valid`` and has a place; returns whether it was taken.

        ``memory``: an access would be granted. ``idle``: no layer runs. ``released``: levels that
        leave.
        """
        weights, levels = self.weights, self.levels
        arriving, self.arriving = self.arriving, 0
        self.weights += arriving == 2
        if self.freeing:
            self.weights -= 1
            self.seen -= 1
            self.freeing = False
        self.levels = levels - released
        if self.head:
            if valid:
                self.head -= 1
                self.left = self.jobs[self.index].count
                if not self.head and self.jobs[self.index].opcode == Opcode.KEPT:
                    self.weights += self.left
                    self._next()
            return valid
        job = self.jobs[self.index]
        opcode = job.opcode
        if opcode in COPIES:
            spare = self.weight_depth - weights
            if memory and (self.place or spare > 1 or (spare and not arriving)):
                self.arriving = 2 if self._advance(job) else 1
            return False
        if opcode in (Opcode.END, Opcode.HOLD):  # the host is fast enough
            if idle and not self.holds:
                self._next()
            return False
        if self.stores:
            if memory:
                self.stores = False
                self._advance(job)
            return False
        if not valid:
            return False
        if opcode in LEVELS:
            if levels == self.level_depth:
                return False
            self.levels += self._advance(job)
        elif opcode == Opcode.STORE:
            self.stores = True
        elif opcode == Opcode.LAYER:
            if self.holds:
                return False
            self.holds = self._advance(job)
        else:
            if weights == self.weight_depth:
                return False
            self.weights += self._advance(job)
        return True

    def use(self, rewind: bool, free: bool) -> None:
        """A weight word is used; behind `step` of the same cycle."""
        self.seen = 0 if rewind else self.seen + 1
        self.freeing = free

    def _advance(self, job: Job) -> bool:
        """Go on by a halfword or an address; returns whether an item is complete."""
        self.place += 1
        if self.place < job.size:
            return False
        self.place = 0
        self.left -= 1
        if not self.left:
            self._next()
        return True

    def _next(self) -> None:
        self.index += 1
        self.head = 2


@dataclass(slots=True)
class Walker:
    """`hdl.walker.Walker`: the passes of a layer, and how long the next one still takes."""

    task: Task
    turns: list[int] = field(default_factory=list)  # left of each loop
    slot: int = 0
    wait: int = BEGINNING  # cycles until the next pass is known, or that there is none

    def __post_init__(self) -> None:
        self.turns = list(self.task.counts)
        self.slot = self.task.begin

    def turn(self) -> Pass:
        """Go on to the next pass, and begin to look for the one behind it."""
        made = self.task.passed(self.turns, self.slot)
        self.wait = ENDING
        for loop, left in enumerate(self.turns):
            if left > 1:
                self.turns[loop] -= 1
                self.slot += self.task.slots[loop]
                self.wait = TURNING + OUTER * loop
                break
            self.turns[loop] = self.task.counts[loop]
        return made


@dataclass(slots=True)
class Feeder:
    """`hdl.feeder.Feeder`: a pass, row by row."""

    steps: tuple[tuple[bool, bool], ...] = ()  # of a row: brings it nothing, does it read
    rows: int = 0   # left in the pass, this one included; 0 where there is no pass
    place: int = 0  # in the row

    def begin(self, task: Task, slot: int) -> None:
        self.steps = row(task, slot)
        self.rows = task.rows
        self.place = 0

    @property
    def last(self) -> bool:
        return self.rows == 1 and self.place + 1 == len(self.steps)

    def step(self) -> None:
        self.place += 1
        if self.place == len(self.steps):
            self.place = 0
            self.rows -= 1


@dataclass(slots=True)
class Drain:
    """`hdl.drain.Drain`, from the step of the last word of a segment on. A bit for each cycle to
    come, the next one lowest."""

    works: int = 0
    emits: int = 0
    releases: int = 0
    early: int = 0        # it tells that the next segment may end
    leaves: int = 0       # a row of results leaves
    pending: bool = False
    filled: int = 0       # values that wait for the others of their row

    def step(self, granted: bool) -> None:
        emit = self.emits & 1
        self.pending = bool(emit) or (self.pending and not granted)
        self.works >>= 1
        self.emits >>= 1
        self.releases >>= 1
        self.early >>= 1
        self.leaves >>= 1

    def harvest(self, task: Task, turn: Pass, *, final: bool) -> None:
        """Begin with sums of a segment; behind `step` of the same cycle."""
        delay = max(self.leaves.bit_length() - START, 0) if final else 0
        work = drainage(task, turn, final, self.filled if final else 0, delay)
        self.works |= work.works
        self.emits |= work.emits
        self.releases |= work.releases
        self.early |= work.early
        self.leaves |= work.leaves
        if final:
            self.filled = work.filled

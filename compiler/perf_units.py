"""The control of the gateware, cycle by cycle: who moves, who waits, and for what.

Every class has the name and the state of the module in `hdl` that it mirrors, without data. A
state is that of the registers at the beginning of a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hdl.config import Config
from hdl.isa import Activation, Cause, Layer, Opcode, Target


__all__ = ["Drain", "Drainage", "Engine", "Feeder", "Fetch", "Flash", "Job", "Task"]

CAPTURE = 5  # cycles from the last word of a segment to its capture by a unit
DESCRIPTOR_HALVES = Layer.size // 16
COPIES = Opcode.RESIDENT, Opcode.RESIDENT_FIXED
LEVELS = Opcode.LEVELS, Opcode.LEVELS_WIDE


@dataclass(frozen=True)
class Drainage:
    """What the drain does with a tile, from the cycle after the last word of a segment on."""

    cycles: int    # until it is done
    writes: int    # a bit for each cycle: does it write to the activation memory?
    releases: int  # and does it release the levels of a channel?


@dataclass(frozen=True)
class Task:
    """A layer as far as cycles depend on it."""

    words: int
    segment: int         # words that may be summed before the accumulators are drained
    stride: int
    gathered: int        # bits that a tile adds to those that wait for a whole word
    gather: int          # bits of a whole word
    partial: Drainage    # of a segment that is not the last of its sums
    silent: Drainage     # of one that is, and whose bits wait for others
    final: Drainage      # of one that is, and whose results are written

    @classmethod
    def of(cls, fields: Mapping[str, int], config: Config) -> Task:
        """Read the fields of a descriptor."""
        channels, target, stride = fields["channels"], fields["target"], fields["stride"]
        takes = ((1 << channels) - 1) << CAPTURE  # one cycle a channel
        quick = CAPTURE + channels + 2            # then flush, done
        silent = Drainage(quick, 0, takes)
        slow = cycles_of_channel(fields)
        if target == Target.SUMS:
            final = Drainage(quick, takes << 1, takes)
        elif slow:
            ends = sum(1 << CAPTURE + slow * channel - 1 for channel in range(1, channels + 1))
            final = Drainage(CAPTURE + slow * channels, ends, ends)
        else:
            final = Drainage(quick, 1 << quick - 1, takes)
        gathers = target == Target.BITS and not slow
        return cls(fields["words"], config.segment, stride, channels if gathers else 0,
                   1 << (config.pe - 1).bit_length(), Drainage(quick, 0, 0), silent, final)


def cycles_of_channel(fields: Mapping[str, int]) -> int:
    """Return the cycles that one result takes, or 0 where the drain takes a channel a cycle."""
    if fields["target"] == Target.SUMS:
        return 0
    if fields["activation"] == Activation.RESCALE:
        return 1 + (fields["shift"] + 1) + 2  # take; shift and round; saturate, emit
    if fields["target"] == Target.OCTETS:
        return 1 + (2 * fields["bits"] - 1) + 1  # take; compare, and descend between; emit
    return 0


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
            case Opcode.LEVELS:
                return cls(opcode, count, 1)
            case Opcode.LEVELS_WIDE:
                return cls(opcode, count, 2)
            case Opcode.END:
                return cls(opcode, 0, 0)
        raise ValueError(f"A packet of a program must not be {opcode.name}")


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
    holds: bool = False  # the descriptor of a layer that has not ended
    weights: int = 0    # words in the queue
    levels: int = 0

    def step(self, valid: bool, memory: bool, idle: bool, used: bool, released: int) -> bool:
        """Take a halfword if one is ``valid`` and has a place; returns whether it was taken.

        ``memory``: an access would be granted. ``idle``: no layer runs. ``used``, ``released``:
        a weight word leaves, and some levels.
        """
        weights, levels = self.weights, self.levels
        arriving, self.arriving = self.arriving, 0
        self.weights = weights - used + (arriving == 2)
        self.levels = levels - released
        if self.head:
            if valid:
                self.head -= 1
                self.left = self.jobs[self.index].count
            return valid
        job = self.jobs[self.index]
        opcode = job.opcode
        if opcode in COPIES:
            spare = self.weight_depth - weights
            if memory and (self.place or spare > 1 or (spare and not arriving)):
                self.arriving = 2 if self._advance(job) else 1
            return False
        if opcode == Opcode.END:
            if idle and not self.holds:
                self._next()
            return False
        if not valid:
            return False
        if opcode in LEVELS:
            if levels == self.level_depth:
                return False
            self.levels += self._advance(job)
        elif opcode == Opcode.LAYER:
            if self.holds:
                return False
            self.holds = self._advance(job)
        else:
            if weights == self.weight_depth:
                return False
            self.weights += self._advance(job)
        return True

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
class Feeder:
    """`hdl.feeder.Feeder`, while it is enabled."""

    group: int
    valid: bool = False
    arriving: bool = False
    word: int = 0  # of those of an address

    @property
    def wants(self) -> bool:
        return not (self.valid or self.arriving)

    def step(self, granted: bool, used: bool, last: bool) -> None:
        if used:
            self.word += 1
            if last or self.word == self.group:
                self.word = 0
                self.valid = False
        if self.arriving:
            self.valid = True
        self.arriving = granted


@dataclass(slots=True)
class Drain:
    """`hdl.drain.Drain`, from the issue of the last word of a segment on."""

    left: int = 0      # cycles until it is done, and the next may be issued
    writes: int = 0    # as `Drainage` has them, of the cycles that are left
    releases: int = 0
    filled: int = 0    # bits that wait for the others of their word

    def step(self) -> None:
        if self.left:
            self.left -= 1
            self.writes >>= 1
            self.releases >>= 1

    def start(self, task: Task, final: bool) -> None:
        """Begin in the next cycle."""
        drainage = task.partial
        if final:
            self.filled = (self.filled + task.gathered) % task.gather
            drainage = task.silent if task.gathered and self.filled else task.final
        self.left, self.writes = drainage.cycles, drainage.writes
        self.releases = drainage.releases


@dataclass(slots=True)
class Engine:
    """`hdl.engine.Engine`."""

    tasks: list[tuple[Task, int]]  # and the tiles of each
    begun: int = 0        # layers
    ended: int = 0
    running: bool = False
    tiles: int = 0        # left in this layer
    words: int = 0        # left in this sum
    segment: int = 0      # words left in this segment
    task: Task = field(init=False)  # of the layer that began last

    def __post_init__(self) -> None:
        self.task, _ = self.tasks[0]

    @property
    def idle(self) -> bool:
        return self.begun == self.ended

    @property
    def last_of_segment(self) -> bool:
        return self.words == 1 or self.segment == 1

    def cause(self, weights: int, feed: bool, draining: int) -> Cause:
        """What this cycle goes to."""
        if not self.running:
            return Cause.PROGRAM if self.idle else Cause.DRAIN
        if not weights:
            return Cause.WEIGHTS
        if not feed:
            return Cause.ACTIVATIONS
        return Cause.DRAIN if draining and self.last_of_segment else Cause.WORK

    def begin_layer(self) -> None:
        self.task, self.tiles = self.tasks[self.begun]
        self.words, self.segment = self.task.words, self.task.segment
        self.begun += 1
        self.running = True

    def use_word(self, drain: Drain) -> None:
        last = self.words == 1
        if self.last_of_segment:
            drain.start(self.task, last)
            self.segment = self.task.segment + 1
        self.segment -= 1
        self.words -= 1
        if last:
            self.words = self.task.words
            self.tiles -= 1
            self.running = self.tiles != 0

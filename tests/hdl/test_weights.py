# amaranth: UnusedElaboratable=no

import random
from collections import deque
from itertools import pairwise

import cocotb
import pytest

from hdl.config import Config
from hdl.isa import GROUP
from hdl.weights import LevelQueue, WeightQueue
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


CONFIG = Config(simd=16, weight_depth=8, level_depth=16, sum_width=24)
# Words may stay, and come in four banks, one behind the other.
SIGNS = Config(simd=32, pe=32, weight_depth=8, level_depth=16, sum_width=24, sign_depth=4)


FREE = 2  # cycles from a read to its data, and to the place that it frees


class Words:
    """Which words a queue holds, in the order of their places.

    What is shown comes by groups of channels, each a cycle later than the one before, or at once.
    """

    def __init__(self, config):
        self.depth = config.weight_depth
        self.bits = GROUP * config.simd if config.signs else config.weight_width
        self.groups = config.weight_width // self.bits
        self.words = deque()  # that are not freed
        self.at = 0           # of the next to be read
        self.freed = []       # cycles ago
        self.coming = []      # cycles ago, and what was read
        self.shown = [None] * self.groups
        self.grown = False    # by words that stay, in the cycle before

    @property
    def space(self):
        return self.depth - len(self.words) - len(self.freed)

    def tick(self, written, read, *, free, rewind):
        """Let a cycle pass, in which a word was written, and one read."""
        if read:
            self.coming.append((0, self.words[self.at]))
            self.at += 1
            if free:
                self.words.popleft()
                self.at -= 1
                self.freed.append(0)
            if rewind:
                self.at = 0
        if written is not None:
            self.words.append(written)
        self.freed = [ago + 1 for ago in self.freed if ago + 1 < FREE]
        self.coming = [(ago + 1, word) for ago, word in self.coming if ago < FREE + self.groups]
        for ago, word in self.coming:
            if 0 <= ago - FREE < self.groups:
                self.shown[ago - FREE] = word >> (ago - FREE) * self.bits & (1 << self.bits) - 1

    def check(self, data):
        """Hold what the queue shows to what it should."""
        for at, part in enumerate(self.shown):
            if part is not None:
                assert data >> at * self.bits & (1 << self.bits) - 1 == part


def any_writes(rng, config):
    """Return a word, and the writes that make it, whole or a halfword at a time: (part, lanes)."""
    halves = config.memory_width // 16
    lanes = [(1 << halves) - 1] if rng.random() < 0.5 else [1 << lane for lane in range(halves)]
    parts = range(config.weight_width // config.memory_width)
    return rng.getrandbits(config.weight_width), [(part, lane) for part in parts for lane in lanes]


async def weight_words(world, config, seed, count):
    """Words written in parts; some are freed as they are read, others read again and again."""
    rng, halves = random.Random(seed), config.memory_width // 16
    twin, taken, written = Words(config), 0, 0
    if config.signs:
        world.set("kept", 0)
        world.set("back", 0)
    writes, busy, again, freed = [], 0.5, 0, False
    while taken < count:
        if rng.random() < 0.02:
            busy = rng.random()
        assert (world.get("space"), world.get("spare"), world.get("readable")) \
            == (twin.space > 0, twin.space > 1, twin.at < len(twin.words))
        twin.check(world.get("data"))
        if not writes:
            value, writes = any_writes(rng, config)
        write = twin.space > 0 and rng.random() < busy
        part, lane = writes[0]
        complete = write and len(writes) == 1
        data = value >> part * config.memory_width & (1 << config.memory_width) - 1
        for index in range(halves):  # what is not written may be anything
            if not lane >> index & 1:
                data ^= rng.getrandbits(16) << 16 * index
        read = twin.at < len(twin.words) and rng.random() < 1 - busy
        # A tile is read some times in full; then it is freed, word by word.
        if twin.at == 0 and read and again == 0:
            again = rng.randrange(-6, 4)
        free = again <= 0
        rewind = not free and (rng.random() < 0.3 or twin.at == config.weight_depth - 1)
        if rewind and freed:
            rewind = read = False
        for name, state in (("part", part), ("lanes", lane if write else 0),
                            ("part_data", data), ("complete", complete), ("read", read),
                            ("free", free), ("rewind", rewind)):
            world.set(name, state)
        taken += read
        if read and (free or rewind):
            again -= 1 if again > 0 else -1 if again < 0 else 0
        freed = read and free
        twin.tick(value if complete else None, read, free=free, rewind=rewind)
        if write:
            writes.pop(0)
            written += complete
        await world.tick()
    assert written > 3 * config.weight_depth


def any_cuts(rng, size):
    """Return places from 0 to ``size`` at which so many words are cut."""
    return sorted({0, size, *(rng.randrange(size + 1) for _ in range(3))})


async def words_that_stay(world, config, seed, count):
    """Words are written once, as many as there is room for or fewer; then, frame by frame, they are
    there in any portions, some read again and again. Other words come between such programs."""
    rng, depth = random.Random(seed), config.weight_depth
    for name in ("part", "lanes", "part_data", "complete", "read", "free", "rewind", "kept",
                 "back"):
        world.set(name, 0)

    async def tick(twin, *, word=None, held=(), read=False, free=False, rewind=False):
        for name, state in (("read", read), ("free", free), ("rewind", rewind),
                            ("kept", len(held))):
            world.set(name, state)
        await world.settle()
        assert world.get("readable") == (twin.at < len(twin.words))
        if not twin.grown:  # room is told a cycle later, as nothing is written so soon
            assert (world.get("space"), world.get("spare")) == (twin.space > 0, twin.space > 1)
        twin.check(world.get("data"))
        twin.tick(word, read, free=free, rewind=rewind)
        twin.words.extend(held)
        twin.grown = bool(held)
        await world.tick()

    async def write(twin, word):
        width = config.memory_width
        parts = config.weight_width // width
        for part in range(parts):
            world.set("part", part)
            world.set("lanes", (1 << width // 16) - 1)
            world.set("part_data", word >> part * width & (1 << width) - 1)
            world.set("complete", part == parts - 1)
            await tick(twin, word=word if part == parts - 1 else None)
        world.set("lanes", 0)
        world.set("complete", 0)

    async def go_back(twin):
        """Nothing is there any more but what was read last."""
        world.set("back", 1)
        await tick(twin)
        world.set("back", 0)
        twin.words.clear()
        twin.at, twin.freed = 0, []

    twin = Words(config)
    for _ in range(count):
        size = rng.choice([depth, rng.randrange(1, depth + 1)])
        words = [rng.getrandbits(config.weight_width) for _ in range(size)]
        for word in words:
            await write(twin, word)
        await go_back(twin)
        for _ in range(3):
            portions = [words[a:b] for a, b in pairwise(any_cuts(rng, size))]
            ends, busy, done = any_cuts(rng, size)[1:], rng.choice([0.3, 1]), 0
            again, freed = rng.randrange(3), False
            while done < size:
                held = portions.pop(0) if portions and rng.random() < 0.3 else []
                read, free = twin.at < len(twin.words) and rng.random() < busy, again == 0
                rewind = read and not free and twin.at == ends[0] - done - 1
                if rewind and freed:  # which passes are too long for
                    read = rewind = False
                await tick(twin, held=held, read=read, free=read and free, rewind=rewind)
                again -= rewind
                freed = read and free
                done += freed
                if done == ends[0]:
                    ends.pop(0)
                    again = rng.randrange(3)
            for _ in range(FREE + twin.groups):
                await tick(twin)
            await go_back(twin)


async def levels(world, config, seed, count):
    """Levels in order, read anywhere among those that are there, released some at a time."""
    rng, width, depth = random.Random(seed), config.sum_width, config.level_depth
    twin, first, behind = {}, 0, 0
    wanted, busy = None, 0.5
    while behind < count:
        if rng.random() < 0.02:
            busy = rng.random()
        assert world.get("space") == (behind - first < depth)
        if wanted is not None:
            assert signed(world.get("data"), width) == wanted
        write = behind - first < depth and rng.random() < busy
        value = rng.randrange(-1 << width - 1, 1 << width - 1)
        held = list(range(first, behind))
        at = rng.choice(held) if held else None
        release = 0
        if rng.random() < 0.2:
            release = rng.randrange(min(len(held), depth - 1) + 1)
        world.set("write", write)
        world.set("level", value & (1 << width) - 1)
        world.set("address", at % depth if held else 0)
        world.set("release", release)
        wanted = twin[at] if held else None
        if write:
            twin[behind] = value
            behind += 1
        first += release
        await world.tick()


def test_weight_words():
    in_amaranth(WeightQueue(CONFIG), weight_words, CONFIG, 0, 300)


def test_weight_words_in_one_part():
    config = Config(simd=8, p=8, pe=8, fixed_pe=8, weight_depth=4)
    in_amaranth(WeightQueue(config), weight_words, config, 1, 100)


def test_words_in_banks():
    in_amaranth(WeightQueue(SIGNS), weight_words, SIGNS, 4, 300)


@pytest.mark.parametrize("config", [SIGNS, Config(simd=16, weight_depth=4, sign_depth=4)],
                         ids=["four groups", "one"])
def test_words_that_stay(config):
    in_amaranth(WeightQueue(config), words_that_stay, config, 5, 12)


def test_levels():
    in_amaranth(LevelQueue(CONFIG), levels, CONFIG, 0, 1000)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_weight_words(dut):
    await weight_words(await Verilog.begin(dut), CONFIG, 2, 300)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_levels(dut):
    await levels(await Verilog.begin(dut), CONFIG, 3, 500)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_words_that_stay(dut):
    await words_that_stay(await Verilog.begin(dut), SIGNS, 6, 12)


@pytest.mark.parametrize(("unit", "config", "test"), [
    (WeightQueue, CONFIG, "any_weight_words"), (LevelQueue, CONFIG, "any_levels"),
    (WeightQueue, SIGNS, "any_words_that_stay")])
def test_verilog(unit, config, test, tmp_path):
    assert simulate(unit(config), __name__, tmp_path, only=test) == 1


@pytest.mark.parametrize(("unit", "name"), [(WeightQueue, "weight_depth"),
                                            (LevelQueue, "level_depth")])
def test_wrong_depth(unit, name):
    with pytest.raises(ValueError, match=rf"^'{name}' must be a power of two, not 24$"):
        unit(Config(**{name: 24}))

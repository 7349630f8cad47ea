# amaranth: UnusedElaboratable=no

import random
from collections import deque

import cocotb
import pytest

from hdl.config import Config
from hdl.weights import LevelQueue, WeightQueue
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


CONFIG = Config(simd=16, weight_depth=8, level_depth=16, sum_width=24)


FREE = 2  # cycles from a read to its data, and to the place that it frees


class Words:
    """Which words a queue holds, in the order of their places."""

    def __init__(self, depth):
        self.depth = depth
        self.words = deque()  # that are not freed
        self.at = 0           # of the next to be read
        self.freed = []       # cycles ago
        self.coming = []      # cycles ago, and what was read
        self.shown = None

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
        self.coming = [(ago + 1, word) for ago, word in self.coming]
        if self.coming and self.coming[0][0] == FREE:
            self.shown = self.coming.pop(0)[1]


def any_writes(rng, config):
    """Return a word, and the writes that make it, whole or a halfword at a time: (part, lanes)."""
    halves = config.memory_width // 16
    lanes = [(1 << halves) - 1] if rng.random() < 0.5 else [1 << lane for lane in range(halves)]
    parts = range(config.weight_width // config.memory_width)
    return rng.getrandbits(config.weight_width), [(part, lane) for part in parts for lane in lanes]


async def weight_words(world, config, seed, count):
    """Words written in parts; some are freed as they are read, others read again and again."""
    rng, halves = random.Random(seed), config.memory_width // 16
    twin, taken, written = Words(config.weight_depth), 0, 0
    writes, busy, again, freed = [], 0.5, 0, False
    while taken < count:
        if rng.random() < 0.02:
            busy = rng.random()
        assert (world.get("space"), world.get("spare"), world.get("readable")) \
            == (twin.space > 0, twin.space > 1, twin.at < len(twin.words))
        if twin.shown is not None:
            assert world.get("data") == twin.shown
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


def test_levels():
    in_amaranth(LevelQueue(CONFIG), levels, CONFIG, 0, 1000)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_weight_words(dut):
    await weight_words(await Verilog.begin(dut), CONFIG, 2, 300)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_levels(dut):
    await levels(await Verilog.begin(dut), CONFIG, 3, 500)


@pytest.mark.parametrize("unit", [WeightQueue, LevelQueue])
def test_verilog(unit, tmp_path):
    test = {WeightQueue: "any_weight_words", LevelQueue: "any_levels"}[unit]
    assert simulate(unit(CONFIG), __name__, tmp_path, only=test) == 1


@pytest.mark.parametrize(("unit", "name"), [(WeightQueue, "weight_depth"),
                                            (LevelQueue, "level_depth")])
def test_wrong_depth(unit, name):
    with pytest.raises(ValueError, match=rf"^'{name}' must be a power of two, not 24$"):
        unit(Config(**{name: 24}))

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


async def weight_words(world, config, seed, count):
    """Words written in parts, whole or a halfword at a time, and read as often as can be."""
    rng, halves = random.Random(seed), config.memory_width // 16
    parts = config.weight_width // config.memory_width
    queued, taken, written = deque(), 0, 0
    writes, busy, shown = [], 0.5, None  # of the word in hand
    while taken < count:
        if rng.random() < 0.02:
            busy = rng.random()
        free = config.weight_depth - len(queued)
        assert (world.get("space"), world.get("spare"), world.get("readable")) \
            == (free > 0, free > 1, len(queued) > 0)
        if shown is not None:
            assert world.get("data") == shown
        if not writes:
            value = rng.getrandbits(config.weight_width)
            whole = rng.random() < 0.5
            lanes = [(1 << halves) - 1] if whole else [1 << lane for lane in range(halves)]
            writes = [(part, lane) for part in range(parts) for lane in lanes]
        write = free > 0 and rng.random() < busy
        part, lane = writes[0]
        complete = write and len(writes) == 1
        data = value >> part * config.memory_width & (1 << config.memory_width) - 1
        for index in range(halves):  # what is not written may be anything
            if not lane >> index & 1:
                data ^= rng.getrandbits(16) << 16 * index
        read = bool(queued) and rng.random() < 1 - busy
        world.set("part", part)
        world.set("lanes", lane if write else 0)
        world.set("part_data", data)
        world.set("complete", complete)
        world.set("read", read)
        if read:
            shown = queued.popleft()
            taken += 1
        if write:
            writes.pop(0)
        if complete:
            queued.append(value)
            written += 1
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
    config = Config(simd=8, group=8, pe=8, fixed_pe=8, weight_depth=4)
    in_amaranth(WeightQueue(config), weight_words, config, 1, 100)


def test_levels():
    in_amaranth(LevelQueue(CONFIG), levels, CONFIG, 0, 1000)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_weight_words(dut):
    await weight_words(await Verilog.begin(dut), CONFIG, 2, 100)


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

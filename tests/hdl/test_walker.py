# amaranth: UnusedElaboratable=no

import random

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.isa import Layer, Loop, Walk
from hdl.walker import Walker
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.twins import fields, passes
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config()  # whose places of results have 17 bits
READY, KNOWN = 5, 4  # cycles after a step
AT_ENDS = 2  # more for each loop that ends

ROW = fields(Layer, height=1, depth=1)  # which leaves a place where it is


def any_walks(rng, counts):
    """Return walks of any differences."""
    return {loop: fields(Walk, count=count, **{
        name: rng.getrandbits(Walk[name].width) for name, _ in Walk if name != "count"})
            for loop, count in zip(Loop, [*counts, rng.getrandbits(12)], strict=True)}


def turned(before, after):
    """Return the loop that was turned between two passes."""
    if before is None:
        return Loop.BEGIN
    return max(loop for loop in list(Loop)[:Loop.BEGIN]
               if before.turns[loop] != after.turns[loop])


async def layer(world, rng, config, counts, *, haste):
    """All passes of a layer; a step is made in a share ``haste`` of the cycles where it may."""
    walks = any_walks(rng, counts)
    await enter(world, rng, walks)
    world.set("begin", 1)
    await world.tick()
    world.set("begin", 0)
    before, since = None, 0
    for at in passes(walks, ROW, config):
        loop = turned(before, at)
        since = await until_ready(world, before, since)
        if before is not None:
            assert since == READY + AT_ENDS * loop
        while rng.random() >= haste:
            assert (world.get("ready"), world.get("source")) == (1, walks[loop]["source"])
            await world.tick()
        assert (world.get("ready"), world.get("source")) == (1, walks[loop]["source"])
        world.set("step", 1)
        await world.settle()
        if before is not None:
            assert world.get("output") == before.output
        await world.tick()
        world.set("step", 0)
        assert world.get("turn")
        assert (world.get("x"), world.get("y")) == (walks[loop]["x"], walks[loop]["y"])
        before, since = at, 1
    for _ in range(40):
        await world.tick()
        since += 1
        look(world, before, since)
        assert not world.get("ready")
        assert world.get("ended") == (since >= KNOWN)


async def enter(world, rng, walks):
    """Write the entries, with any pauses."""
    for loop in Loop:
        entry = pack(Walk, **walks[loop])
        for at in range(Walk.size // 16):
            while rng.random() < 0.1:
                world.set("half", rng.getrandbits(16))
                await world.tick()
            world.set("write", 1)
            world.set("half", entry >> 16 * at & 0xFFFF)
            await world.tick()
            world.set("write", 0)


def look(world, present, since):
    if present is not None:
        assert {name: bool(world.get(f"flags__{name}")) for name in present.flags} == present.flags
        if since >= KNOWN:
            assert world.get("output") == present.output
        assert world.get("turn") == (since == 1)


async def until_ready(world, present, since):
    """Wait for the next pass; return how many cycles after the last step that is."""
    patience = 0
    while not world.get("ready"):
        look(world, present, since)
        if present is not None:
            assert not world.get("ended")
        await world.tick()
        since, patience = since + 1, patience + 1
        assert patience < 50, "the walker has stopped"
    look(world, present, since)
    return since


async def layers(world, config, seed, count):
    rng = random.Random(seed)
    for name in ("write", "half", "begin", "step"):
        world.set(name, 0)
    sizes = [[1] * 7, [2] * 7, [1, 1, 1, 1, 1, 1, 3], [3, 1, 1, 1, 1, 1, 1], [300] + 6 * [1]]
    for _ in range(count):
        sizes.append([rng.choice([1, 1, 2, 3]) for _ in range(7)])
        while np.prod(sizes[-1]) > 100:
            sizes[-1][rng.randrange(7)] = 1
    for counts in sizes:
        await layer(world, rng, config, counts, haste=rng.choice([1, 0.5, 0.1]))


@pytest.mark.parametrize("config", [CONFIG, Config(p=1, memory_depth=4096),
                                    Config(p=4, memory_depth=65536)],
                         ids=["17 bits", "14 bits", "20 bits"])
def test_layers(config):
    in_amaranth(Walker(config), layers, config, 0, 15)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 8)


def test_verilog(tmp_path):
    assert simulate(Walker(CONFIG), __name__, tmp_path) == 1

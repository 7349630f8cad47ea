# amaranth: UnusedElaboratable=no

import random

import cocotb

from hdl.counters import CAUSES, LAYERS, Counters
from hdl.isa import Cause
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


async def frame(world, rng, cycles, *, step, stay):
    """Count a frame: ``step`` is the share of cycles in which a layer ends, ``stay`` of those
    that have the cause of the cycle before."""
    counts = [[0] * CAUSES for _ in range(LAYERS)]
    layer, cause = 0, Cause.PROGRAM
    for _ in range(cycles):
        if rng.random() >= stay:
            cause = rng.choice(list(Cause))
        count, ends = rng.random() < 0.9, rng.random() < step
        world.set("count", count)
        world.set("cause", cause)
        world.set("step", ends)
        counts[layer][cause] += count
        layer = min(layer + ends, LAYERS - 1)
        await world.tick()
    world.set("count", 0)
    world.set("step", 0)
    await world.tick()
    return counts


async def clear(world):
    world.set("clear", 1)
    await world.tick()
    world.set("clear", 0)
    cycles = 0
    while world.get("clearing"):
        cycles += 1
        await world.tick()
    assert cycles == LAYERS * CAUSES


async def read(world):
    """Read all counts, octet by octet, one a cycle."""
    data = bytearray()
    for address in range(LAYERS * CAUSES * 4):
        world.set("address", address)
        await world.tick()
        data.append(world.get("octet"))
    words = [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]
    return [words[at:at + CAUSES] for at in range(0, len(words), CAUSES)]


async def frames(world, seed, cycles):
    rng = random.Random(seed)
    for name in ("count", "cause", "step", "address"):
        world.set(name, 0)
    for step, stay in ((0.1, 0.5), (0.0, 0.95), (0.5, 0.0)):
        await clear(world)
        counts = await frame(world, rng, cycles, step=step, stay=stay)
        assert await read(world) == counts
        world.set("address", 4 * rng.randrange(len(Cause)))  # one that is not 0, as a rule
        assert (step == 0.5) <= (sum(counts[-1]) > cycles // 2)  # of the last layer and others
    await clear(world)
    assert await read(world) == [[0] * CAUSES] * LAYERS


async def long_count(world):
    """A count of more than an octet, then one that returns to it."""
    for name in ("count", "cause", "step", "address"):
        world.set(name, 0)
    await clear(world)
    for cause, cycles in ((Cause.WORK, 700), (Cause.DRAIN, 1), (Cause.WORK, 300)):
        world.set("count", 1)
        world.set("cause", cause)
        for _ in range(cycles):
            await world.tick()
    world.set("count", 0)
    await world.tick()
    counts = await read(world)
    assert (counts[0][Cause.WORK], counts[0][Cause.DRAIN]) == (1000, 1)


def test_frames():
    in_amaranth(Counters(), frames, 0, 2000)


def test_long_count():
    in_amaranth(Counters(), long_count)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_frames(dut):
    await frames(await Verilog.begin(dut), 1, 1000)


def test_verilog(tmp_path):
    assert simulate(Counters(), __name__, tmp_path) == 1

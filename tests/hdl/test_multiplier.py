# amaranth: UnusedElaboratable=no

import itertools
import random

import cocotb
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.multiplier import PairMultiplier
from sim.cells import ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


LATENCY = 2


async def sums(world, factors):
    """Multiply and add ``factors``, two pairs of octets a cycle."""
    seen = []
    for at, octets in enumerate([*factors, *[(1, 1, 1, 1)] * (LATENCY - 1)]):
        for name, value in zip(("a0", "b0", "a1", "b1"), octets, strict=True):
            world.set(name, value)
        await world.tick()
        if at >= LATENCY - 1:
            seen.append(signed(world.get("sum"), 17))
    assert seen == [signed(a0, 8) * signed(b0, 8) + signed(a1, 8) * signed(b1, 8)
                    for a0, b0, a1, b1 in factors]


def every_pair():
    return [(a, b, *other) for a in range(256) for b in range(256)
            for other in [(b ^ 0x55, a)]]


def some_pairs(count):
    rng = random.Random(0)
    ends = [0, 1, 127, 128, 129, 255]
    return [*itertools.product(ends, repeat=4), *[
        tuple(rng.randrange(256) for _ in range(4)) for _ in range(count)]]


def test_every_pair():
    in_amaranth(PairMultiplier(), sums, every_pair() + some_pairs(100))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_pair(dut):
    await sums(await Verilog.begin(dut), some_pairs(2000))


def test_block_of_ultraplus(tmp_path):
    """The DSP block, as the tools' own model of it has it."""
    assert simulate(PairMultiplier(), __name__, tmp_path,
                    platform=ICEBreakerPlatform(), cells=[ice40_cells(tmp_path)]) == 1

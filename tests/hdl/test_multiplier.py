# amaranth: UnusedElaboratable=no

import random

import cocotb
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.multiplier import DualMultiplier
from sim.cells import ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


LATENCY = 2


async def products(world, pairs):
    """Multiply ``pairs`` of octets, two pairs a cycle."""
    pairs = [*pairs, *[(0, 0)] * (len(pairs) % 2)]
    cycles = list(zip(pairs[::2], pairs[1::2], strict=True))
    seen = []
    for at, ((a0, b0), (a1, b1)) in enumerate([*cycles, *[((1, 1), (1, 1))] * (LATENCY - 1)]):
        for name, value in (("a0", a0), ("b0", b0), ("a1", a1), ("b1", b1)):
            world.set(name, value)
        await world.tick()
        if at >= LATENCY - 1:
            seen += [signed(world.get("product0"), 16), signed(world.get("product1"), 16)]
    assert seen == [signed(a, 8) * signed(b, 8) for a, b in pairs]


def every_pair():
    return [(a, b) for a in range(256) for b in range(256)]


def some_pairs(count):
    rng = random.Random(0)
    ends = [0, 1, 127, 128, 129, 255]
    return [(a, b) for a in ends for b in ends] + [
        (rng.randrange(256), rng.randrange(256)) for _ in range(count)]


def test_every_pair():
    in_amaranth(DualMultiplier(), products, every_pair())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_pair(dut):
    await products(await Verilog.begin(dut), some_pairs(2000))


def test_block_of_ultraplus(tmp_path):
    """The DSP block, as the tools' own model of it has it."""
    assert simulate(DualMultiplier(), __name__, tmp_path,
                    platform=ICEBreakerPlatform(), cells=[ice40_cells(tmp_path)]) == 1

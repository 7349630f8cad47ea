# amaranth: UnusedElaboratable=no

import os
import random

import cocotb
import pytest
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.loadable_counter import LoadableCounter
from sim.cells import ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


WIDTH = 9


async def any_use(world, up, seed):
    """Load whole numbers and parts, count on from there, and count some of the lower bits."""
    rng = random.Random(seed)
    ones = (1 << WIDTH) - 1
    count = 0
    for name in ("value", "load", "enable"):
        world.set(name, 0)
    for _ in range(2000):
        assert world.get("count") == count
        load, value = rng.random() < 0.2, rng.choice((0, ones, rng.getrandbits(WIDTH)))
        enable = rng.choice((0, ones, ones, ones, rng.getrandbits(WIDTH)))
        if not load:
            enable = (1 << enable.bit_length()) - 1
        world.set("load", load)
        world.set("value", value)
        world.set("enable", enable)
        await world.tick()
        following = value if load else count + (1 if up else -1)
        count = (count & ~enable | following & enable) & ones


@pytest.mark.parametrize("up", [False, True])
def test_any_use(up):
    in_amaranth(LoadableCounter(width=WIDTH, up=up), any_use, up, 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_use_of_cells(dut):
    await any_use(await Verilog.begin(dut), os.environ["UP"] == "True", 1)


@pytest.mark.parametrize("up", [False, True])
def test_cells(up, tmp_path):
    assert simulate(LoadableCounter(width=WIDTH, up=up), __name__, tmp_path, env={"UP": str(up)},
                    platform=ICEBreakerPlatform(), cells=[ice40_cells(tmp_path)]) == 1

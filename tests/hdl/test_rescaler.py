# amaranth: UnusedElaboratable=no

import cocotb
import numpy as np
import pytest

from hdl.fixed import rescale
from hdl.rescaler import Rescaler
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


async def hold(world, values, width, settings):
    """Hold octets of ``values``, one each cycle, to the rule; ``settings``: shift, bits, signed."""
    for shift, bits, sign in settings:
        low = -(1 << bits - 1) if sign else 0
        world.set("shift", shift)
        world.set("bits", bits)
        world.set("signed", sign)
        before = None
        for value in [*values, 0]:
            world.set("value", int(value) & (1 << width) - 1)
            await world.settle()
            if before is not None:
                expected = rescale(before, shift, low, low + (1 << bits) - 1) & 0xFF
                assert world.get("octet") == expected, (before, shift, bits, sign)
            await world.tick()
            before = int(value)


def settings(shifts):
    return [(shift, bits, sign) for shift in shifts for bits in range(1, 9) for sign in (0, 1)]


@pytest.mark.parametrize("shift", range(8))
def test_every_small_sum(shift):
    values = range(-1 << 9, 1 << 9)
    in_amaranth(Rescaler(width=10), lambda world: hold(world, values, 10, settings([shift])))


def edges(rng, width, count):
    """Sums about where a result changes, and any others, of any size."""
    near = (1 << rng.integers(0, width - 1, count)) + rng.integers(-2, 3, count)
    values = near * rng.choice([-1, 1], count) + (rng.integers(-255, 256, count)
                                                  << rng.integers(0, width - 9, count))
    return np.clip(values, -1 << width - 1, (1 << width - 1) - 1)


@pytest.mark.parametrize("width", [24, 28, 32])
def test_any_sum(width):
    values = edges(np.random.default_rng(0), width, 60)
    in_amaranth(Rescaler(width=width),
                lambda world: hold(world, values, width, settings(range(0, 32, 3))))


def test_nothing_of_no_bits():
    async def bench(world):
        for value in (-100, -1, 0, 1, 100):
            world.set("value", value & 0x3FF)
            await world.tick()
            assert world.get("octet") == 0

    in_amaranth(Rescaler(width=10), bench)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def any_sum(dut):
    world = await Verilog.begin(dut)
    values = edges(np.random.default_rng(1), 28, 40)
    await hold(world, values, 28, settings(range(0, 28, 3)))


def test_verilog(tmp_path):
    assert simulate(Rescaler(width=28), __name__, tmp_path) == 1

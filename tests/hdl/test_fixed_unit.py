# amaranth: UnusedElaboratable=no

import cocotb
import numpy as np
import pytest
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.config import Config
from hdl.fixed_unit import FixedUnit
from sim.cells import ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


KEEP, CAPTURE = 2, 4  # cycles after a word, as those of the array
CONFIG = Config(pe=8, fixed_pe=4, simd=32)


def pack(octets):
    return int.from_bytes(octets.astype(np.int8).tobytes(), "little")


async def any_sums(world, config, rng, count):
    """Sums of words, one right after another; the widest among them."""
    width = config.fixed_width
    sizes = rng.integers(config.fixed_pe + 3, min(config.segment + 1, 30), count)
    sizes[0] = config.segment
    expected, keeps, captures, stream = [], set(), {}, []
    for index, size in enumerate(sizes):
        a = rng.integers(-128, 128, (size, 1, config.fixed_simd))
        w = rng.integers(-128, 128, (size, config.fixed_pe, config.fixed_simd))
        if index < 2:
            a[:], w[:] = -128, rng.choice([-128, 127], (1, config.fixed_pe, 1))
        keep = rng.random(size) < (1 if index < 2 else 0.8)
        expected.append(((a * w).sum(-1) * keep[:, None]).sum(0))
        keeps |= {len(stream) + KEEP + word for word in range(size) if keep[word]}
        stream += [(pack(a[word]), pack(w[word])) for word in range(size)]
        captures[len(stream) - 1 + CAPTURE] = index

    got = np.zeros((count, config.fixed_pe), int)
    tile, channel = 0, config.fixed_pe  # what shifts out
    for cycle in range(len(stream) + CAPTURE + 2 * config.fixed_pe):
        a, w = stream[cycle] if cycle < len(stream) else (0, 0)
        if cycle - 1 in captures:
            tile, channel = captures[cycle - 1], 0
        world.set("activations", a)
        world.set("weights", w)
        world.set("keep", cycle in keeps)
        world.set("capture", cycle in captures)
        shift = channel < config.fixed_pe and cycle % 7 != 3
        world.set("shift", shift)
        await world.settle()
        if shift:
            got[tile, channel] = signed(world.get("sum"), width)
            channel += 1
        await world.tick()
    assert (got == np.array(expected)).all()


@pytest.mark.parametrize("config", [
    CONFIG,
    Config(pe=8, fixed_pe=4, simd=8, p=4),
    Config(pe=8, fixed_pe=8, simd=16, fixed_width=20),
    Config(pe=16, fixed_pe=4, simd=64),
], ids=["4x4", "4x1", "8x2", "4x8"])
def test_sums(config):
    in_amaranth(FixedUnit(config), any_sums, config, np.random.default_rng(0), 12)


def test_widest_sums_fit():
    """The accumulator holds a segment of the largest products, and not a word more."""
    config = Config(simd=16, fixed_width=20, binary_width=16)
    largest = config.fixed_simd * 128 * 128
    assert config.segment * largest < 1 << 19 <= (config.segment + 1) * largest
    in_amaranth(FixedUnit(config), any_sums, config, np.random.default_rng(1), 3)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums(dut):
    await any_sums(await Verilog.begin(dut), CONFIG, np.random.default_rng(2), 20)


def test_verilog(tmp_path):
    assert simulate(FixedUnit(CONFIG), __name__, tmp_path) == 1


def test_cells_of_ice40(tmp_path):
    assert simulate(FixedUnit(CONFIG), __name__, tmp_path, platform=ICEBreakerPlatform(),
                    cells=[ice40_cells(tmp_path)]) == 1

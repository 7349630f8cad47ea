# amaranth: UnusedElaboratable=no

import random

import cocotb
import pytest
from amaranth_boards.icebreaker import ICEBreakerPlatform

from hdl.config import Config
from hdl.memory import ActivationMemory
from sim.cells import MODELS, ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(memory_depth=64)


async def accesses(world, config, seed, count):
    """Any writes and reads, one a cycle; octets are kept apart."""
    rng, octets = random.Random(seed), config.memory_width // 8
    twin = [bytearray(octets) for _ in range(config.memory_depth)]
    for at in range(config.memory_depth):
        world.set("address", at)
        world.set("write", 1)
        world.set("mask", (1 << octets) - 1)
        world.set("write_data", 0)
        await world.tick()
    for _ in range(count):
        address = rng.choice([0, 1, config.memory_depth - 1, rng.randrange(config.memory_depth)])
        write, mask = rng.getrandbits(1), rng.choice([(1 << octets) - 1, rng.getrandbits(octets)])
        data = rng.randbytes(octets)
        world.set("address", address)
        world.set("write", write)
        world.set("mask", mask)
        world.set("write_data", int.from_bytes(data, "little"))
        await world.tick()
        for lane in range(octets):
            if write and mask >> lane & 1:
                twin[address][lane] = data[lane]
        if not write:
            assert world.get("read_data") == int.from_bytes(twin[address], "little")


@pytest.mark.parametrize("config", [CONFIG, Config(simd=8, p=4, memory_depth=100)],
                         ids=["64x64", "100x32"])
def test_accesses(config):
    in_amaranth(ActivationMemory(config), accesses, config, 0, 3000)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_accesses(dut):
    await accesses(await Verilog.begin(dut), CONFIG, 1, 3000)


def test_verilog(tmp_path):
    assert simulate(ActivationMemory(CONFIG), __name__, tmp_path) == 1


@pytest.mark.parametrize("cells", [ice40_cells, lambda _: MODELS], ids=["of Yosys", "ours"])
def test_blocks_of_ultraplus(tmp_path, cells):
    """The single-port RAM, as the tools' own model of it has it, and as that of netlists does."""
    assert simulate(ActivationMemory(CONFIG), __name__, tmp_path, platform=ICEBreakerPlatform(),
                    cells=[cells(tmp_path)]) == 1


def test_too_deep_for_ultraplus():
    with pytest.raises(ValueError, match=r"^'memory_depth' must be at most 16384 on iCE40UP5K, "
                                         r"not 16385$"):
        ActivationMemory(Config(memory_depth=16385)).elaborate(ICEBreakerPlatform())

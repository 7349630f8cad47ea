# amaranth: UnusedElaboratable=no

import random
import zlib

import cocotb

from hdl.crc32 import Crc32
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


def section(octets):
    return octets + zlib.crc32(octets).to_bytes(4, "little")


async def count(world, rng, octets, *, stall):
    """Begin anew, let octets come, and return whether they match, nibble by nibble."""
    world.set("start", 1)
    world.set("valid", 0)
    world.set("nibble", 0)
    await world.tick()
    world.set("start", 0)
    matches = []
    for nibble in (octet >> shift & 15 for octet in octets for shift in (0, 4)):
        while rng.random() < stall:
            world.set("valid", 0)
            world.set("nibble", rng.getrandbits(4))
            await world.tick()
        world.set("valid", 1)
        world.set("nibble", nibble)
        await world.tick()
        matches.append(world.get("match"))
    return matches


async def sections(world, seed):
    rng = random.Random(seed)
    for size in (0, 1, 2, 3, 7, 20, 200):
        data = section(rng.randbytes(size))
        assert await count(world, rng, data, stall=0.3) == [0] * (2 * len(data) - 1) + [1]


async def flips(world, seed):
    rng = random.Random(seed)
    data = section(rng.randbytes(9))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert (await count(world, rng, damaged, stall=0))[-1] == 0


def test_sections():
    in_amaranth(Crc32(), sections, 0)


def test_flips():
    in_amaranth(Crc32(), flips, 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_section(dut):
    await sections(await Verilog.begin(dut), 1)


def test_verilog(tmp_path):
    assert simulate(Crc32(), __name__, tmp_path) == 1

# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from hdl import protocol
from hdl.crc import Crc


def simulate(bench):
    dut = Crc()

    async def testbench(ctx):
        await bench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


async def pass_bits(ctx, dut, octets):
    for octet in octets:
        for place in range(8):
            ctx.set(dut.bit, octet >> place & 1)
            ctx.set(dut.valid, 1)
            await ctx.tick()
    ctx.set(dut.valid, 0)


async def count(ctx, dut, octets):
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    await pass_bits(ctx, dut, octets)


async def checksum(ctx, dut):
    """Let the checksum pass, as it is shown, and return it."""
    value = 0
    for place in range(16):
        bit = ctx.get(dut.check)
        value |= bit << place
        ctx.set(dut.bit, bit)
        ctx.set(dut.valid, 1)
        await ctx.tick()
    ctx.set(dut.valid, 0)
    return value


def test_known_answer():
    assert protocol.crc16(b"123456789") == 0x6F91


def test_every_octet_in_many_states():
    rng = random.Random(0)

    async def bench(ctx, dut):
        for octet in range(256):
            octets = bytes((*rng.randbytes(octet % 7), octet))
            await count(ctx, dut, octets)
            assert await checksum(ctx, dut) == protocol.crc16(octets)

    simulate(bench)


def test_holds_between_bits():
    async def bench(ctx, dut):
        await count(ctx, dut, b"lo")
        ctx.set(dut.bit, 1)
        await ctx.tick().repeat(5)
        await pass_bits(ctx, dut, b"om")
        assert await checksum(ctx, dut) == protocol.crc16(b"loom")

    simulate(bench)


def test_nothing_is_left_behind_a_checksum():
    async def bench(ctx, dut):
        for octets in (b"", b"l", b"loom"):
            await count(ctx, dut, octets + protocol.crc16(octets).to_bytes(2, "little"))
            assert await checksum(ctx, dut) == 0

    simulate(bench)


def test_start_outweighs_a_bit():
    async def bench(ctx, dut):
        await count(ctx, dut, b"x")
        ctx.set(dut.start, 1)
        ctx.set(dut.valid, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert await checksum(ctx, dut) == protocol.crc16(b"")

    simulate(bench)


@pytest.mark.parametrize("bits", [1, 2])
def test_every_small_error_is_seen(bits):
    packet = protocol.pack(protocol.Command.WRITE, 3, b"\x01\x02\x03\x04\x05")
    size = 8 * len(packet)
    good = int.from_bytes(packet, "big")
    for first in range(size):
        for second in range(first if bits == 2 else size - 1, size):
            flips = 1 << first | (1 << second if bits == 2 and second != first else 0)
            with pytest.raises(ValueError, match="^(A packet|The CRC of the packet) must"):
                protocol.unpack((good ^ flips).to_bytes(len(packet), "big"))

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


async def count(ctx, dut, octets):
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    ctx.set(dut.octets.valid, 1)
    for octet in octets:
        ctx.set(dut.octets.payload, octet)
        await ctx.tick()
    ctx.set(dut.octets.valid, 0)


def test_known_answer():
    assert protocol.crc16(b"123456789") == 0x29B1


def test_every_octet_in_many_states():
    rng = random.Random(0)

    async def bench(ctx, dut):
        for octet in range(256):
            octets = bytes((*rng.randbytes(octet % 7), octet))
            await count(ctx, dut, octets)
            assert ctx.get(dut.value) == protocol.crc16(octets)

    simulate(bench)


def test_holds_between_octets():
    async def bench(ctx, dut):
        await count(ctx, dut, b"loom")
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.value) == protocol.crc16(b"loom")

    simulate(bench)


def test_sends_itself():
    rng = random.Random(1)

    async def bench(ctx, dut):
        for size in range(40):
            octets = rng.randbytes(size)
            await count(ctx, dut, octets)
            for octet in protocol.crc16(octets).to_bytes(2, "big"):
                assert ctx.get(dut.value) >> 8 == octet
                ctx.set(dut.octets.valid, 1)
                ctx.set(dut.octets.payload, octet)
                await ctx.tick()
            ctx.set(dut.octets.valid, 0)
            assert ctx.get(dut.value) == 0

    simulate(bench)


def test_start_outweighs_an_octet():
    async def bench(ctx, dut):
        await count(ctx, dut, b"x")
        ctx.set(dut.start, 1)
        ctx.set(dut.octets.valid, 1)
        await ctx.tick()
        assert ctx.get(dut.value) == protocol.crc16(b"")

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

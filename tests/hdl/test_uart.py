# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from hdl.uart import CHARACTER_BITS, UartReceiver, UartTransmitter, divisor


CYCLE = 1e-6


def simulate(dut, bench, *, background=()):
    """Run ``bench`` to its end; it must not wait for anything but time."""
    sim = Simulator(dut)
    sim.add_clock(CYCLE)
    for other in background:
        sim.add_testbench(other, background=True)
    sim.add_testbench(bench)
    sim.run()


def character(octet, *, stop=1):
    return [0, *(octet >> bit & 1 for bit in range(8)), stop]


def collector(dut, octets):
    async def bench(ctx):
        async for _, _, valid, octet in ctx.tick().sample(dut.octets.valid, dut.octets.payload):
            if valid:
                octets.append(octet)
    return bench


async def send(ctx, dut, bits, bit_time):
    for bit in bits:
        ctx.set(dut.rx, bit)
        await ctx.delay(bit_time)


@pytest.mark.parametrize("cycles", [4, 5, 8])
@pytest.mark.parametrize("mismatch", [-0.02, 0.0, 0.02])
def test_every_octet_arrives(cycles, mismatch):
    dut = UartReceiver(divisor=cycles)
    rng = random.Random(cycles)
    bit_time = cycles * CYCLE * (1 + mismatch)
    octets, order = [], rng.sample(range(256), 256)

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        for octet in order:
            if rng.random() < 0.5:  # otherwise the next start bit follows the stop bit
                await ctx.delay(rng.random() * 3 * bit_time)
            await send(ctx, dut, character(octet), bit_time)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == order


def test_low_stop_bit_drops_the_octet():
    dut, octets = UartReceiver(divisor=4), []

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        await send(ctx, dut, [*character(0x55, stop=0), 1], 4 * CYCLE)
        await send(ctx, dut, character(0x33), 4 * CYCLE)
        await send(ctx, dut, [0] * 50, 4 * CYCLE)  # a break is no octet either
        assert not ctx.get(dut.active)
        await send(ctx, dut, [1, *character(0xCC)], 4 * CYCLE)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0x33, 0xCC]


def test_short_glitch_is_no_start_bit():
    dut, octets = UartReceiver(divisor=8), []

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        await send(ctx, dut, [0], 3 * CYCLE)
        await send(ctx, dut, [1, 1], 8 * CYCLE)
        assert not ctx.get(dut.active)
        await send(ctx, dut, character(0x5A), 8 * CYCLE)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0x5A]


@pytest.mark.parametrize("cycles", [4, 7])
def test_every_octet_leaves(cycles):
    dut = UartTransmitter(divisor=cycles)

    async def bench(ctx):
        ctx.set(dut.octets.valid, 1)
        for octet in range(256):
            ctx.set(dut.octets.payload, octet)
            assert ctx.get(dut.octets.ready)
            assert ctx.get(dut.tx)
            await ctx.tick()
            for bit in character(octet):
                for _ in range(cycles):
                    assert not ctx.get(dut.octets.ready)
                    assert ctx.get(dut.tx) == bit
                    await ctx.tick()
        ctx.set(dut.octets.valid, 0)
        for _ in range(CHARACTER_BITS * cycles):
            assert ctx.get(dut.tx)
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize(("clock_hz", "baud", "cycles"), [
    (24_000_000, 3_000_000, 8), (12_000_000, 3_000_000, 4), (50_000_000, 3_000_000, 17),
    (30_000_000, 115_200, 260)])
def test_divisor(clock_hz, baud, cycles):
    assert divisor(clock_hz, baud) == cycles


@pytest.mark.parametrize(("clock_hz", "baud"), [(9_000_000, 3_000_000), (25_000_000, 3_000_000)])
def test_baud_out_of_reach(clock_hz, baud):
    with pytest.raises(ValueError, match=f"^'baud' must be within 2.5% of {clock_hz} divided by "
                                         f"a whole number of at least 4, not {baud}$"):
        divisor(clock_hz, baud)


@pytest.mark.parametrize("component", [UartReceiver, UartTransmitter])
def test_wrong_divisor(component):
    with pytest.raises(ValueError, match=r"^'divisor' must be at least 4, not 3$"):
        component(divisor=3)

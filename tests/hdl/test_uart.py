# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from hdl.uart import CHARACTER_BITS, Uart, divisor


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


def collector(dut, octets, bits=None):
    """Keep what passes, and with what bits before it."""
    async def bench(ctx):
        passing = []
        async for _, _, passed, octet, bit_passed, bit in ctx.tick().sample(
                dut.passed, dut.octet, dut.bit_passed, dut.bit):
            if bit_passed:
                passing.append(bit)
            if passed:
                octets.append(octet)
                if bits is not None:
                    bits.append(passing[-8:])
    return bench


async def send(ctx, dut, bits, bit_time):
    for bit in bits:
        ctx.set(dut.rx, bit)
        await ctx.delay(bit_time)


@pytest.mark.parametrize("cycles", [4, 5, 8])
@pytest.mark.parametrize("mismatch", [-0.02, 0.0, 0.02])
def test_every_octet_arrives(cycles, mismatch):
    dut = Uart(divisor=cycles)
    rng = random.Random(cycles)
    bit_time = cycles * CYCLE * (1 + mismatch)
    octets, bits, order = [], [], rng.sample(range(256), 256)

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        for octet in order:
            if rng.random() < 0.5:  # otherwise the next start bit follows the stop bit
                await ctx.delay(rng.random() * 3 * bit_time)
            await send(ctx, dut, character(octet), bit_time)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets, bits)])
    assert octets == order
    assert bits == [character(octet)[1:9] for octet in order]


def test_low_stop_bit_drops_the_octet():
    dut, octets = Uart(divisor=4), []

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        await send(ctx, dut, [*character(0x55, stop=0), 1], 4 * CYCLE)
        await send(ctx, dut, character(0x33), 4 * CYCLE)
        await send(ctx, dut, [0] * 50, 4 * CYCLE)  # a break is no octet either
        await send(ctx, dut, [1, *character(0xCC)], 4 * CYCLE)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0x33, 0xCC]


def test_short_glitch_is_no_start_bit():
    dut, octets = Uart(divisor=8), []

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * CYCLE)
        await send(ctx, dut, [0], 3 * CYCLE)
        await send(ctx, dut, [1, 1], 8 * CYCLE)
        await send(ctx, dut, character(0x5A), 8 * CYCLE)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0x5A]


async def offer(ctx, dut, octet):
    """Have ``octet`` taken, and wait for its first bit to begin."""
    ctx.set(dut.replies.valid, 1)
    ctx.set(dut.replies.payload, octet)
    await ctx.tick().until(dut.replies.ready)
    ctx.set(dut.replies.valid, 0)


@pytest.mark.parametrize("cycles", [4, 7])
def test_every_octet_leaves(cycles):
    dut = Uart(divisor=cycles)
    octets, bits = [], []

    async def bench(ctx):
        ctx.set(dut.sending, 1)
        for octet in range(256):
            assert ctx.get(dut.tx)
            await offer(ctx, dut, octet)
            ctx.set(dut.rx, octet % 2)  # in vain
            for bit in character(octet):
                for _ in range(cycles):
                    assert ctx.get(dut.tx) == bit
                    if bit is not character(octet)[-1]:
                        assert not ctx.get(dut.replies.ready)
                    await ctx.tick()
        for _ in range(CHARACTER_BITS * cycles):
            assert ctx.get(dut.tx)
            await ctx.tick()

    simulate(dut, bench, background=[collector(dut, octets, bits)])
    assert octets == list(range(256))
    assert bits == [character(octet)[1:9] for octet in range(256)]


def test_octets_follow_each_other():
    dut = Uart(divisor=4)

    async def bench(ctx):
        ctx.set(dut.sending, 1)
        ctx.set(dut.replies.valid, 1)
        ctx.set(dut.replies.payload, 0xFF)
        await ctx.tick().until(dut.replies.ready)
        for _ in range(5):
            for bit in character(0xFF):
                for _ in range(4):
                    assert ctx.get(dut.tx) == bit
                    await ctx.tick()

    simulate(dut, bench)


def test_check_bits_leave_in_place_of_an_octet():
    dut, octets = Uart(divisor=4), []

    async def bench(ctx):
        ctx.set(dut.sending, 1)
        ctx.set(dut.checking, 1)
        await offer(ctx, dut, 0x00)
        for place in range(8):
            await ctx.tick().until(dut.bit_passed)
            ctx.set(dut.check, 0xB4 >> place + 1 & 1)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0xB4]


@pytest.mark.parametrize("early", [0, 1, 2])
def test_reply_to_the_end_of_a_stop_bit(early):
    """The other end may begin as soon as it has seen the middle of our stop bit."""
    dut, octets = Uart(divisor=4), []

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        ctx.set(dut.sending, 1)
        await offer(ctx, dut, 0x81)
        await ctx.tick().until(dut.passed)
        ctx.set(dut.sending, 0)
        await ctx.delay((4 - early) * CYCLE)
        await send(ctx, dut, character(0x3A), 4 * CYCLE)
        await ctx.delay(20 * CYCLE)

    simulate(dut, bench, background=[collector(dut, octets)])
    assert octets == [0x81, 0x3A]


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


def test_wrong_divisor():
    with pytest.raises(ValueError, match=r"^'divisor' must be at least 4, not 3$"):
        Uart(divisor=3)

# amaranth: UnusedElaboratable=no

import os
import random
from dataclasses import replace
from itertools import accumulate

import cocotb
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth_boards.icebreaker import ICEBreakerPlatform
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

import hdl.flash
from hdl.config import Config
from hdl.flash import FlashReader, FlashTiming, SimulatedPads
from hdl.flash_queue import FlashQueue
from sim.bench import reset, start
from sim.cells import ice40_cells
from sim.flash_chip import FlashChip, Part, Start
from sim.runner import simulate


# The process of the simulator gets what it tests from the environment.
CLOCK_HZ = int(os.environ.get("FLASH_CLOCK_HZ", 1_000_000))  # slow, to wait for few cycles
DEPTH = 16
IMAGE = random.Random(0).randbytes(1 << 16)
MODES = {
    "full":         {"flash_full_rate": True, "flash_continuous": True},
    "half":         {"flash_full_rate": False, "flash_continuous": True},
    "full_command": {"flash_full_rate": True, "flash_continuous": False},
    "half_command": {"flash_full_rate": False, "flash_continuous": False},
    "full_two":     {"flash_full_rate": True, "flash_continuous": False, "flash_lines": 2},
    "half_two":     {"flash_full_rate": False, "flash_continuous": False, "flash_lines": 2},
}


def config(mode, *, clock_hz=CLOCK_HZ, depth=DEPTH):
    return Config(clock_hz=clock_hz, flash_depth=depth, **MODES[mode])


class PinnedReader(wiring.Component):
    """A reader with pins."""

    def __init__(self, config):
        self._config = config
        super().__init__({
            "requests": In(stream.Signature(16)),
            "halves":   Out(stream.Signature(16)),
            "idle":     Out(1),
            "awake":    Out(1),
            "busy":     Out(1),
            "cs_n":     Out(1),
            "sck":      Out(2),
            "io_o":     Out(4),
            "io_oe":    Out(4),
            "io_i":     In(4),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = FlashReader(self._config)
        m.submodules.pins = pins = SimulatedPads()
        wiring.connect(m, reader.pads, pins.pads)
        wiring.connect(m, wiring.flipped(self.requests), reader.requests)
        wiring.connect(m, wiring.flipped(self.halves), reader.halves)
        for name in ("idle", "awake", "busy"):
            m.d.comb += getattr(self, name).eq(getattr(reader, name))
        for name in ("cs_n", "sck", "io_o", "io_oe"):
            m.d.comb += getattr(self, name).eq(getattr(pins, name))
        m.d.comb += pins.io_i.eq(self.io_i)
        return m


# In the simulator

async def connect(dut, chip):
    """Let the chip see the pins in both halves of each fast cycle."""
    while True:
        await FallingEdge(dut.fast_clk)
        pins = [int(getattr(dut, name).value) for name in ("cs_n", "sck", "io_o", "io_oe")]
        cs_n, sck, io_o, io_oe = pins
        chip.step(cs_n, sck & 1, io_o, io_oe)
        dut.io_i.value = chip.step(cs_n, sck >> 1, io_o, io_oe)


class Trace:
    """What happened on the streams, and in which core cycle."""

    def __init__(self):
        self.parts, self.halves = [], []     # cycles, and cycles with payloads
        self.idle = []                       # one entry a cycle
        self.offered, self.ready = [], []    # one entry a cycle
        self.awake = None                    # first cycle
        self.busy = 0                        # how many cycles

    async def watch(self, dut):
        while True:
            await RisingEdge(dut.clk)
            if dut.requests__valid.value and dut.requests__ready.value:
                self.parts.append(self.cycles)
            if dut.halves__valid.value and dut.halves__ready.value:
                self.halves.append((self.cycles, int(dut.halves__payload.value)))
            if self.awake is None and dut.awake.value:
                self.awake = self.cycles
            self.busy += int(dut.busy.value)
            self.offered.append(int(dut.requests__valid.value))
            self.ready.append(int(dut.halves__ready.value))
            self.idle.append(int(dut.idle.value))

    @property
    def cycles(self):
        return len(self.ready)


async def request(dut, bursts, rng, *, idle):
    for part in (part for burst in bursts for number in burst for part in (
            number & 0xffff, number >> 16 | rng.getrandbits(8) << 8)):
        if idle:
            await ClockCycles(dut.clk, rng.randrange(1, idle))
        dut.requests__payload.value = part
        dut.requests__valid.value = 1
        await RisingEdge(dut.clk)
        while not dut.requests__ready.value:
            await RisingEdge(dut.clk)
        dut.requests__valid.value = 0


async def take(dut, rng, share):
    """Be ready in a share of the cycles, with pauses long enough to fill the queue."""
    while True:
        await RisingEdge(dut.clk)
        dut.halves__ready.value = rng.random() < share
        if share < 1 and rng.random() < 0.01:
            dut.halves__ready.value = 0
            await ClockCycles(dut.clk, 8 * DEPTH)


async def read(dut, bursts, *, chip, share=1.0, idle=0, seed=0):
    """Run ``bursts`` after a reset, and return what happened."""
    rng, trace = random.Random(seed), Trace()
    dut.requests__valid.value = 0
    dut.halves__ready.value = int(share == 1)
    tasks = [cocotb.start_soon(connect(dut, chip))]
    try:
        await reset(dut)
        tasks += [cocotb.start_soon(trace.watch(dut)),
                  cocotb.start_soon(request(dut, bursts, rng, idle=idle))]
        if share < 1:
            tasks.append(cocotb.start_soon(take(dut, rng, share)))
        count = sum(halves for _, halves in bursts)
        while len(trace.halves) < count:
            await RisingEdge(dut.clk)
            assert trace.cycles < 500 + CLOCK_HZ // 2000 + 100 * count, "the reader has stopped"
        await ClockCycles(dut.clk, 20)
    finally:
        for task in tasks:
            task.cancel()
    return trace


def expected(bursts):
    return [IMAGE[at] | IMAGE[at + 1] << 8
            for address, halves in bursts for at in range(address, address + 2 * halves, 2)]


def replay(timing, bursts, trace):
    """Return when each part of a request and each halfword must be taken, by the recurrence of
    `FlashTiming`.

    What the user of the reader decides is read from the trace: in which cycles a request was
    offered, and in which a halfword would be taken.
    """
    offered, ready = trace.offered, trace.ready
    accepted, taken = [], []
    free = trace.awake
    for _, halves in bursts:
        for _ in range(4):
            accepted.append(next(at for at in range(free, trace.cycles) if offered[at]))
            free = accepted[-1] + 1
        slot = accepted[-1] + timing.first
        for _ in range(halves):
            if len(taken) >= timing.credits:
                slot = max(slot, taken[-timing.credits] + 1)
            shown = max(slot + timing.latency, taken[-1] + 1 if taken else 0)
            taken.append(next(at for at in range(shown, trace.cycles) if ready[at]))
            last, slot = slot, slot + timing.slot
        free = last + timing.next
    return accepted, taken


def check(trace, bursts, chip):
    timing = FlashTiming.from_config(config(MODE))
    assert chip.complaints == []
    assert [payload for _, payload in trace.halves] == expected(bursts)
    parts, halves = replay(timing, bursts, trace)
    assert (trace.parts, [at for at, _ in trace.halves]) == (parts, halves)
    check_idle(trace, bursts, parts, halves)


def check_idle(trace, bursts, parts, halves):
    """The reader is idle from the cycle after a burst's last halfword was taken, to the request.
    """
    ends = [halves[end - 1] for end in accumulate(halves for _, halves in bursts)]
    assert all(trace.idle[at] for at in range(trace.awake, parts[3]))
    for end, begin in zip(ends, [*parts[7::4], trace.cycles], strict=True):
        assert all(trace.idle[at] for at in range(end + 1, begin))
    for begin, end in zip(parts[3::4], ends, strict=True):
        assert not any(trace.idle[at] for at in range(begin + 1, end + 1))


MODE = os.environ.get("FLASH_MODE", "full")
PARTS = [Part.IM] if MODES[MODE]["flash_continuous"] else [Part.IM, Part.IQ]


def flash(**others):
    return FlashChip(size=len(IMAGE), step_ns=1e9 / (4 * CLOCK_HZ), image=IMAGE, **others)


def any_bursts(rng, count):
    for _ in range(count):
        halves = rng.choice([1, 2, 3, rng.randrange(1, 5 * DEPTH)])
        yield rng.randrange(len(IMAGE) - 2 * halves), halves


@cocotb.test()
@cocotb.parametrize(begin=list(Start), part=PARTS)
async def any_start(dut, begin, part):
    bursts = list(any_bursts(random.Random(begin), 6))
    chip = flash(start=begin, part=part)
    await start(dut)
    trace = await read(dut, bursts, chip=chip)
    check(trace, bursts, chip)

    timing = FlashTiming.from_config(config(MODE))
    way = hdl.flash.READS[config(MODE).flash_lines]
    command = way.beats // (2 if config(MODE).flash_full_rate else 1)
    opcode = 0 if MODES[MODE]["flash_continuous"] else 8
    assert trace.busy == len(way.bits) + command + timing.slot + sum(
        opcode + command + timing.slot * halves for _, halves in bursts)


@cocotb.test()
@cocotb.parametrize(share=[0.9, 0.4, 0.1], idle=[0, 40])
async def any_stall(dut, share, idle):
    bursts = list(any_bursts(random.Random(share), 8))
    chip = flash()
    await start(dut)
    trace = await read(dut, bursts, chip=chip, share=share, idle=idle)
    check(trace, bursts, chip)


@cocotb.test()
async def any_reset(dut):
    rng, chip = random.Random(0), flash()
    await start(dut)
    for _ in range(8):
        bursts = list(any_bursts(rng, 3))
        cut = cocotb.start_soon(read(dut, list(any_bursts(rng, 50)), chip=chip))
        await ClockCycles(dut.clk, rng.randrange(20, 1500))
        cut.cancel()
        told = len(chip.complaints)
        trace = await read(dut, bursts, chip=chip)
        assert [line for line in chip.complaints[told:] if "cs_n rises after" not in line] == []
        assert [payload for _, payload in trace.halves] == expected(bursts)


@cocotb.test()
async def sabotaged(dut):
    bursts = [(0, 4 * DEPTH), (100, 2)]
    chip = flash()
    await start(dut)
    with pytest.raises(AssertionError, match=os.environ["FLASH_FAILURE"]):
        check(await read(dut, bursts, chip=chip, share=0.3), bursts, chip)


# In pytest

@pytest.mark.parametrize("mode", MODES)
def test_verilog(mode, tmp_path):
    simulate(PinnedReader(config(mode)), __name__, tmp_path, only="any_",
             env={"FLASH_MODE": mode})


def test_cells(tmp_path):
    simulate(PinnedReader(config("full")), __name__, tmp_path, only="any_stall/share=0.4/idle=0",
             platform=ICEBreakerPlatform(), cells=[ice40_cells(tmp_path)])


@pytest.mark.parametrize("mode", ["full", "half_command", "full_two"])
def test_fastest_clock(mode, tmp_path):
    clock_hz = 50_000_000
    simulate(PinnedReader(config(mode, clock_hz=clock_hz)), __name__, tmp_path,
             only="any_start/begin=POWER_DOWN/part=IM",
             env={"FLASH_MODE": mode, "FLASH_CLOCK_HZ": str(clock_hz)})


def reads(lines, **others):
    return hdl.flash.READS | {lines: replace(hdl.flash.READS[lines], **others)}


WITHOUT_QUAD_ENABLE = [
    part.replace(b"\x31\x02", b"\x31\x00") for part in hdl.flash.READS[4].script]


@pytest.mark.parametrize(("mode", "constant", "value", "failure"), [
    ("full", "SETTLE_NS", 2000, "before the chip is ready"),
    ("full", "READS", reads(4, script=WITHOUT_QUAD_ENABLE), "while QE is 0"),
    ("full", "MODE_CONTINUOUS", 0xf, "float when they are sampled"),
    ("full", "READS", reads(4, beats=10), "float when they are sampled"),
    ("full", "PADS_LATENCY", 3, r"assert \["),  # wrong data
    ("full", "DEPTH", 8, r"assert \(\["),        # wrong cycles
    ("full_two", "READS", reads(2, released=4), "float when they are sampled"),
    ("full_two", "READS", reads(2, released=-4), "drive the same line"),
    ("full_two", "MODE_COMMAND", 0xa, "continuous read on two lines"),
])
def test_sabotage(mode, constant, value, failure, tmp_path, monkeypatch):
    depth = value if constant == "DEPTH" else DEPTH
    monkeypatch.setattr(hdl.flash, constant, value, raising=constant != "DEPTH")
    simulate(PinnedReader(config(mode, depth=depth)), __name__, tmp_path, only="sabotaged",
             env={"FLASH_MODE": mode, "FLASH_FAILURE": failure})


def test_timing():
    assert FlashTiming.from_config(config("full")) == FlashTiming(
        slot=2, first=6, latency=6, next=4, credits=DEPTH)
    assert FlashTiming.from_config(config("half_command")) == FlashTiming(
        slot=4, first=21, latency=8, next=6, credits=DEPTH)
    assert FlashTiming.from_config(config("full_two")) == FlashTiming(
        slot=4, first=17, latency=8, next=6, credits=DEPTH)


def test_wrong_clock():
    with pytest.raises(ValueError, match=r"^The clock of the flash must be at most 100000000 Hz, "
                                         r"not 100000002$"):
        FlashReader(config("full", clock_hz=50_000_001))


def test_wrong_depth():
    with pytest.raises(ValueError, match=r"^'depth' must be a power of two of at least 2, not 24$"):
        FlashQueue(depth=24)

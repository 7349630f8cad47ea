# amaranth: UnusedElaboratable=no

import random

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer

from hdl import protocol
from hdl.link import Access, Link
from hdl.link_identity import Fact
from hdl.protocol import COUNTERS, Command, Status
from sim.bench import pack, start, unpack
from sim.runner import simulate
from tests.hdl.link_board import CONFIG, COUNTER_BYTES, GAP_OCTETS, ISA, MEMORY_BYTES, twin


PERIOD_NS = 8
BIT_NS = 4 * PERIOD_NS
SILENCE_NS = 600 * PERIOD_NS  # longer than the gap, and than a stalled WRITE takes


async def send(dut, octets):
    for octet in octets:
        for bit in (0, *(octet >> place & 1 for place in range(8)), 1):
            dut.rx.value = bit
            await Timer(BIT_NS, unit="ns")


async def listen(dut, octets):
    while True:
        await FallingEdge(dut.tx)
        await Timer(BIT_NS // 2, unit="ns")
        octet = 0
        for place in range(8):
            await Timer(BIT_NS, unit="ns")
            octet |= int(dut.tx.value) << place
        await Timer(BIT_NS, unit="ns")
        assert dut.tx.value == 1, "the stop bit of a reply is low"
        octets.append(octet)


async def serve(dut, core, rng, stall):
    """Carry accesses out as the core does, each cycle's choice at random."""
    pending = []
    while True:
        ready = rng.random() >= stall
        dut.accesses__ready.value = ready
        offered = bool(pending) and rng.random() >= stall
        dut.octets__valid.value = offered
        if offered:
            dut.octets__payload.value = pending[0]
        await RisingEdge(dut.clk)
        taken = offered and bool(dut.octets__ready.value)
        while offered and not taken:
            dut.accesses__ready.value = 0
            await RisingEdge(dut.clk)
            taken, ready = bool(dut.octets__ready.value), False
        if taken:
            pending.pop(0)
        if ready and dut.accesses__valid.value:
            access = unpack(Access(), dut.accesses__payload.value.to_unsigned())
            where = access["address"]
            space = core.counters if where >= COUNTERS else core.memory
            if access["write"]:
                space[where % COUNTERS] = access["data"]
            else:
                pending.append(space[where % COUNTERS])


async def tell(dut, image_hash, rng):
    """Tell the hash again and again, so that it meets octets that arrive."""
    while True:
        for index in range(8):
            payload = pack(Fact(), index=index, nibble=image_hash >> 4 * index & 15)
            dut.facts__valid.value = 1
            dut.facts__payload.value = payload
            await RisingEdge(dut.clk)
            while not dut.facts__ready.value:
                await RisingEdge(dut.clk)
        dut.facts__valid.value = 0
        await ClockCycles(dut.clk, rng.randrange(1, 10))


async def count_runs(dut, runs):
    while True:
        await RisingEdge(dut.clk)
        if dut.run.value:
            runs.append(1)


def conversation(rng):
    """Return requests of every kind, some of them damaged or cut short."""
    for sequence in range(1, 40):
        command = rng.choice(tuple(Command))
        where = protocol.address(rng.choice((0, MEMORY_BYTES - 30, MEMORY_BYTES - 3, COUNTERS)))
        payload = {Command.WRITE: where + rng.randbytes(rng.randrange(1, 30)),
                   Command.READ: where + bytes((rng.randrange(1, 30),))}.get(command, b"")
        packet = bytearray(protocol.pack(command, sequence // 2, payload))
        fate = rng.random()
        if fate < 0.2:
            packet[rng.randrange(len(packet))] ^= 1 << rng.randrange(8)
        elif fate < 0.3:
            del packet[rng.randrange(len(packet)):]
        yield bytes(packet)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(("stall", [0.0, 0.6]), ("seed", [1, 2]))
async def verilog_equals_the_twin(dut, stall, seed):
    rng, core, model, runs, replies = random.Random(seed), twin(), twin(), [], bytearray()
    expected_runs = []
    model.on_run = lambda: expected_runs.append(1)
    dut.rx.value = 1
    dut.accesses__ready.value = 0
    dut.octets__valid.value = 0
    dut.status.value = Status.READY
    dut.facts__valid.value = 0
    model.image_hash = 0x1234_5678
    await start(dut, period_ns=PERIOD_NS)
    cocotb.start_soon(listen(dut, replies))
    cocotb.start_soon(serve(dut, core, rng, stall))
    cocotb.start_soon(count_runs(dut, runs))
    cocotb.start_soon(tell(dut, model.image_hash, rng))
    await Timer(SILENCE_NS, unit="ns")
    for packet in conversation(random.Random(seed)):
        model.silence()
        expected = model.receive(packet)
        await send(dut, packet)
        await Timer(SILENCE_NS + 12 * BIT_NS * len(expected), unit="ns")
        assert replies == expected
        assert core.memory == model.memory
        assert runs == expected_runs
        replies.clear()
    assert len(runs) > 1


def test_verilog(tmp_path):
    link = Link(CONFIG, ISA, counter_bytes=COUNTER_BYTES, gap_octets=GAP_OCTETS)
    assert simulate(link, __name__, tmp_path) == 4

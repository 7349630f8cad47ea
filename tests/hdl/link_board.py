"""A board in Amaranth's simulator: the link, a memory behind it, and a line to it."""

import random
from collections import deque

from amaranth.sim import Simulator

from hdl.config import Config
from hdl.link import Link
from hdl.protocol import COUNTERS, Status
from sim.link import LinkModel


__all__ = ["BIT", "CONFIG", "COUNTER_BYTES", "GAP_OCTETS", "ISA", "MEMORY_BYTES",
           "SimulatedBoard", "twin"]


CONFIG = Config(memory_depth=64, clock_hz=24_000_000, baud=6_000_000)
MEMORY_BYTES = CONFIG.memory_depth * CONFIG.memory_width // 8
COUNTER_BYTES = 16
GAP_OCTETS = 4
ISA = 7
CYCLE = 1e-6
BIT = 4 * CYCLE
PATIENCE = 60_000 * CYCLE        # longer than any packet with its reply


def twin(**facts):
    """Return the model of a board as `SimulatedBoard` is one."""
    model = LinkModel(memory_bytes=MEMORY_BYTES, counter_bytes=COUNTER_BYTES,
                      config_hash=CONFIG.hash, isa_version=ISA)
    model.memory[:] = random.Random(3).randbytes(MEMORY_BYTES)
    model.counters[:] = random.Random(4).randbytes(COUNTER_BYTES)
    for name, value in facts.items():
        setattr(model, name, value)
    return model


class SimulatedBoard:
    """The gateware under a `compiler.host.Transport`; time passes only while something is read.

    ``core`` holds what lies behind the link, and gets what the link does to it; ``stall`` is the
    share of cycles in which an access, or its octet, waits.
    """

    def __init__(self, *, stall=0.0, seed=0, run_cycles=300, gap_octets=GAP_OCTETS):
        self.core = twin()
        self.runs = self.reloads = self.grants = 0
        self._stall = stall
        self._rng = random.Random(seed)
        self._run_cycles = run_cycles
        self.wants = 0  # grants, all in all, that are wanted before a run ends
        self._outgoing = deque()
        self._incoming = bytearray()
        self._now = 0.0
        self._gap = 2 * gap_octets * 10 * BIT  # the gateware rounds up to a power of two
        self._link = Link(CONFIG, ISA, counter_bytes=COUNTER_BYTES, gap_octets=gap_octets)
        self._simulator = Simulator(self._link)
        self._simulator.add_clock(CYCLE)
        for bench in (self._drive, self._tell, self._listen, self._serve, self._start):
            self._simulator.add_testbench(bench, background=True)
        self.silence()

    # The host's side

    def write(self, octets):
        self._outgoing.extend(octets)

    def read(self, max_bytes, timeout):
        deadline = self._now + timeout
        while not self._incoming and self._now < deadline:
            self._advance(20 * BIT)
        octets = bytes(self._incoming[:max_bytes])
        del self._incoming[:max_bytes]
        return octets

    def silence(self):
        """Let the line be idle for as long as separates packets."""
        while self._outgoing:
            self._advance(10 * BIT)
        self._advance(10 * BIT + self._gap)

    def exchange(self, octets):
        """Send ``octets``, and return all that comes until the line has been idle for a gap."""
        self.write(octets)
        self.silence()
        replies, limit = b"", self._now + PATIENCE
        while part := self.read(512, self._gap + 10 * len(octets) * CYCLE):
            replies += part
            assert self._now < limit, "the board does not stop talking"
        return replies

    def _advance(self, time):
        self._now += time
        self._simulator.run_until(self._now)

    # The board's side

    async def _drive(self, ctx):
        link, core = self._link, self.core
        while True:
            ctx.set(link.status, core.status)
            if not self._outgoing:
                await ctx.delay(BIT)
                continue
            octet = self._outgoing[0]
            for bit in (0, *(octet >> place & 1 for place in range(8)), 1):
                ctx.set(link.rx, bit)
                await ctx.delay(BIT)
            self._outgoing.popleft()

    async def _tell(self, ctx):
        facts, told = self._link.facts, None
        while True:
            if told == self.core.image_hash:
                await ctx.delay(BIT)
                continue
            told = self.core.image_hash
            ctx.set(facts.valid, 1)
            for index in range(8):
                ctx.set(facts.payload.index, index)
                ctx.set(facts.payload.nibble, told >> 4 * index & 15)
                await ctx.tick().until(facts.ready)
            ctx.set(facts.valid, 0)

    async def _listen(self, ctx):
        while True:
            await ctx.negedge(self._link.tx)
            await ctx.delay(BIT / 2)
            bits = []
            for _ in range(9):
                await ctx.delay(BIT)
                bits.append(ctx.get(self._link.tx))
            assert bits[8], "the stop bit of a reply is low"
            self._incoming.append(sum(bit << place for place, bit in enumerate(bits[:8])))

    async def _serve(self, ctx):
        access = self._link.accesses
        while True:
            while not ctx.get(access.valid):
                await ctx.posedge(access.valid)
            asked = ctx.get(access.payload.as_value())
            while self._rng.random() < self._stall:
                await ctx.tick()
                assert ctx.get(access.payload.as_value()) == asked, "an access has changed"
            ctx.set(access.ready, 1)
            where, write, data = (ctx.get(field) for field in (
                access.p.address, access.p.write, access.p.data))
            await ctx.tick()
            ctx.set(access.ready, 0)
            space = self.core.counters if where >= COUNTERS else self.core.memory
            if write:
                space[where % COUNTERS] = data
            else:
                await self._give(ctx, space[where % COUNTERS])

    async def _give(self, ctx, octet):
        octets = self._link.octets
        while self._rng.random() < self._stall:
            await ctx.tick()
        ctx.set(octets.payload, octet)
        ctx.set(octets.valid, 1)
        taken = False
        while not taken:
            _, _, taken = await ctx.tick().sample(octets.ready)
        ctx.set(octets.valid, 0)

    async def _start(self, ctx):
        link, core = self._link, self.core
        while True:
            strobes = link.run, link.reload, link.grant
            if not any(await ctx.changed(*strobes)):
                continue
            _, _, run, reload, grant = await ctx.tick().sample(*strobes)
            self.runs += run
            self.reloads += reload
            self.grants += grant
            assert not any(map(ctx.get, strobes)), "a strobe takes two cycles"
            core.status = Status.STARTING if reload else Status.RUNNING
            ctx.set(link.status, core.status)
            await ctx.delay(self._run_cycles * CYCLE)
            core.status = Status.READY
            if (run or grant) and self.grants < self.wants:
                core.status = Status.WANTING

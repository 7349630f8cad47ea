"""A bench around the core: what feeds its queues, and the memory."""

from amaranth import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.core import Core
from hdl.isa import Layer, Loop, Walk
from sim.bench import pack


__all__ = ["Board", "Served"]


class Served(wiring.Component):
    """A `Core`, whose memory is outside: it is read where ``reads`` is set, and may be refused for
    a cycle to its reading (``serve_feed``) and to its results (``serve_drain``)."""

    def __init__(self, config):
        self._core = Core(config)
        self._two_ports = config.two_ports
        passed = dict(self._core.signature.members)
        self._inner = ["request", "grant", "write", "urgent", "pending", "written"]
        for name in self._inner:
            del passed[name]
        super().__init__(passed | {
            "serve_feed":  In(1),
            "serve_drain": In(1),
            "writes":      Out(config.memory_width // 8),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        connect(m, flipped(self.layers), core.layers)
        for name, member in core.signature.members.items():
            if name in self._inner or name == "layers":
                continue
            inner, outer = getattr(core, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)

        # One port: results that cannot wait, reads, other results.
        two = self._two_ports
        m.d.comb += core.grant.eq(self.serve_feed & (two | ~core.urgent))
        m.d.comb += core.written.eq(core.pending & (
            core.urgent | (self.serve_drain & (two | ~core.reads))))
        m.d.comb += self.writes.eq(Mux(core.written, core.write, 0))
        return m


class Board:
    """What surrounds a `Served` core: the memory, and what fills the queues, in the order of a
    program.

    It reads from ``inputs``, a list of words, and writes to ``outputs``, octets.
    """

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        # Of all addresses that there are for a power of two.
        depth = 1 << (config.memory_depth - 1).bit_length()
        self.inputs = [rng.getrandbits(config.simd) for _ in range(depth * config.p)]
        self.outputs = bytearray(depth * config.memory_width // 8)
        self.cycles = 0
        for name in ("walk", "half", "layers__payload", "layers__valid", "part", "lanes",
                     "part_data", "complete", "level_write", "level", "serve_feed",
                     "serve_drain", "read_data",
                     *(["kept", "sign_write", "back"] if config.signs else [])):
            world.set(name, 0)

    async def run(self, layer, walks, queued, *, arrival=1.0, feed=1.0, drain=1.0):
        """Run a layer; ``queued`` are weight words and levels, ("weight" or "level", value), and
        numbers of words that stay ("kept").

        Returns its cycles. The rates are those of writes to the queues, and of the cycles in which
        the memory serves the feeder and the drain.
        """
        world, rng, begin = self.world, self.rng, self.cycles
        for loop in Loop:
            entry = pack(Walk, **walks[loop])
            for at in range(Walk.size // 16):
                world.set("walk", 1)
                world.set("half", entry >> 16 * at & 0xFFFF)
                await self.tick(None)
        world.set("walk", 0)
        world.set("layers__payload", pack(Layer, **layer))
        world.set("layers__valid", 1)
        writes = self.writes_of(queued)
        write, ended, patience = next(writes, None), False, 0
        while not ended:
            offered = write if rng.random() < arrival else None
            world.set("serve_feed", rng.random() < feed)
            world.set("serve_drain", rng.random() < drain)
            taken, ended = await self.tick(offered)
            if taken:
                write = next(writes, None)
            patience = 0 if taken else patience + 1
            assert patience < 20_000, "the units have stopped"
        world.set("layers__valid", 0)
        assert write is None, "the layer ended before it took all weights"
        return self.cycles - begin

    async def load(self, queued):
        """Write what stays, as before a first frame: weight words, and levels of bits by groups
        ("sign")."""
        self.world.set("layers__valid", 0)
        for write in self.writes_of(queued):
            taken, _ = await self.tick(write)
            assert taken, "it must fit"

    async def go_back(self):
        """End a frame."""
        self.world.set("back", 1)
        await self.tick(None)
        self.world.set("back", 0)

    def writes_of(self, queued):
        """Writes to the queues: of words in parts."""
        config = self.config
        width = config.memory_width
        for kind, value in queued:
            if kind == "level":
                yield {"level_write": 1, "level": value & (1 << config.sum_width) - 1}
                continue
            if kind == "sign":
                yield {"sign_write": 1, "level": value & 0xFFFF}
                continue
            if kind == "kept":
                yield {"kept": value}
                continue
            parts = config.weight_width // width
            for part in range(parts):
                yield {"part": part, "lanes": (1 << width // 16) - 1, "complete": part == parts - 1,
                       "part_data": value >> part * width & (1 << width) - 1}

    async def tick(self, write):
        """Let a cycle pass, in which ``write`` is offered; returns whether it was taken, and
        whether a layer ended."""
        world, config = self.world, self.config
        stays = write is not None and ("kept" in write or "sign_write" in write)
        taken = write is not None and (stays or bool(
            world.get("level_space" if "level" in write else "space")))
        for name in ("lanes", "complete", "level_write",
                     *(["kept", "sign_write"] if config.signs else [])):
            world.set(name, 0)
        for name, value in (write if taken else {}).items():
            world.set(name, value)
        await world.settle()
        writes, read = world.get("writes"), self.rng.getrandbits(config.memory_width)
        if world.get("reads"):
            assert config.two_ports or not writes
            place = world.get("read_address") * config.p
            read = sum(word << config.simd * slot for slot, word in enumerate(
                self.inputs[place:place + config.p]))
        if writes:
            octets = config.memory_width // 8
            data = world.get("write_data").to_bytes(octets, "little")
            begin = world.get("address") * octets
            for lane in range(octets):
                if writes >> lane & 1:
                    self.outputs[begin + lane] = data[lane]
        ended = bool(world.get("layers__ready"))
        await world.tick()
        world.set("read_data", read)
        self.cycles += 1
        return taken, ended

"""The units as the accelerator connects them, without what feeds their queues, and a bench."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.array import XnorArray
from hdl.drain import Drain
from hdl.engine import Engine
from hdl.feeder import Feeder
from hdl.fixed_unit import FixedUnit
from hdl.isa import Cause, Layer, Loop, Walk
from hdl.walker import Walker
from hdl.weights import LevelQueue, WeightQueue
from sim.bench import pack


__all__ = ["Board", "Core"]


class Core(wiring.Component):
    """Walker, feeder, engine, queues, units and drain. The memory is outside: it is read where
    ``reads`` is set, and may be refused for a cycle to the feeder and the drain."""

    def __init__(self, config):
        self._config = config
        super().__init__({
            "write":        In(1),
            "half":         In(16),
            "layers":       In(stream.Signature(Layer)),
            "space":        Out(1),
            "part":         In(range(config.weight_width // config.memory_width)),
            "lanes":        In(config.memory_width // 16),
            "part_data":    In(config.memory_width),
            "complete":     In(1),
            "level_space":  Out(1),
            "level_write":  In(1),
            "level":        In(config.sum_width),
            "serve_feed":   In(1),
            "serve_drain":  In(1),
            "reads":        Out(1),
            "read_address": Out(range(config.memory_depth)),
            "read_data":    In(config.memory_width),
            "writes":       Out(config.memory_width // 8),
            "address":      Out(range(config.memory_depth)),
            "write_data":   Out(config.memory_width),
            "cause":        Out(Cause),
        })

    def elaborate(self, platform):
        config = self._config
        m = Module()
        m.submodules.weights = weights = WeightQueue(config)
        m.submodules.levels = levels = LevelQueue(config)
        m.submodules.walker = walker = Walker(config)
        m.submodules.feeder = feeder = Feeder(config)
        m.submodules.engine = engine = Engine(config)
        m.submodules.array = array = XnorArray(config)
        m.submodules.fixed = fixed = FixedUnit(config)
        m.submodules.drain = drain = Drain(config)

        connect(m, flipped(self.layers), engine.layers)
        for name in ("part", "lanes", "part_data", "complete"):
            m.d.comb += getattr(weights, name).eq(getattr(self, name))
        m.d.comb += self.space.eq(weights.space)
        m.d.comb += self.level_space.eq(levels.space)
        m.d.comb += levels.write.eq(self.level_write)
        m.d.comb += levels.level.eq(self.level)
        m.d.comb += self.cause.eq(engine.cause)

        layer = self.layers.payload
        m.d.comb += walker.write.eq(self.write)
        m.d.comb += walker.half.eq(self.half)
        m.d.comb += walker.begin.eq(engine.begin)
        m.d.comb += walker.step.eq(feeder.step)
        m.d.comb += feeder.layer.eq(layer)
        m.d.comb += feeder.begin.eq(engine.begin)
        for name in ("source", "ready", "turn", "x", "y"):
            m.d.comb += getattr(feeder, name).eq(getattr(walker, name))
        m.d.comb += feeder.last_pass.eq(walker.ended)
        m.d.comb += feeder.next.eq(engine.next)
        for name in ("valid", "wants", "reads", "void", "last"):
            m.d.comb += getattr(engine, f"feed_{name}").eq(getattr(feeder, name))
        connect(m, walker.flags, engine.flags)
        m.d.comb += engine.output.eq(walker.output)
        m.d.comb += engine.weight_valid.eq(weights.readable)
        m.d.comb += weights.read.eq(engine.use)
        m.d.comb += weights.free.eq(walker.flags.group_last
                                    & (walker.flags.part_last | layer.fixed))
        m.d.comb += weights.rewind.eq(feeder.last & ~weights.free
                                      & (walker.flags.part_last | ~layer.fixed))
        for unit in (array, fixed):
            m.d.comb += unit.capture.eq(engine.capture)
            m.d.comb += unit.shift.eq(drain.shift)
            m.d.comb += unit.weights.eq(weights.data)
        m.d.comb += array.activations.eq(feeder.activations)
        m.d.comb += fixed.activations.eq(feeder.activations[:config.simd])
        m.d.comb += array.keep.eq(Mux(layer.fixed, 0, feeder.keep))
        m.d.comb += fixed.keep.eq(layer.fixed & feeder.keep[0])

        m.d.comb += drain.layer.eq(layer)
        m.d.comb += drain.restart.eq(engine.begin)
        m.d.comb += drain.capture.eq(engine.capture)
        connect(m, engine.harvest, drain.harvest)
        m.d.comb += drain.half.eq(array.half)
        m.d.comb += drain.sum.eq(fixed.sum)
        m.d.comb += drain.level.eq(levels.data)
        m.d.comb += levels.address.eq(drain.level_address)
        m.d.comb += levels.release.eq(drain.level_release)
        m.d.comb += engine.drained.eq(drain.drained)
        m.d.comb += engine.resting.eq(drain.resting)

        # One port: results that cannot wait, reads, other results.
        results = Signal()
        m.d.comb += results.eq(drain.write.any())
        m.d.comb += engine.grant.eq(self.serve_feed & ~drain.urgent)
        m.d.comb += self.reads.eq(feeder.reads & engine.next)
        m.d.comb += drain.grant.eq(results & (drain.urgent | (self.serve_drain & ~self.reads)))
        m.d.comb += self.read_address.eq(feeder.address)
        m.d.comb += feeder.read_data.eq(self.read_data)
        m.d.comb += self.writes.eq(Mux(drain.grant, drain.write, 0))
        m.d.comb += self.address.eq(drain.address)
        m.d.comb += self.write_data.eq(drain.write_data)
        return m


class Board:
    """What surrounds a `Core`: the memory, and what fills the queues, in the order of a program.

    It reads from ``inputs``, a list of words, and writes to ``outputs``, octets.
    """

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        # Of all addresses that there are for a power of two.
        depth = 1 << (config.memory_depth - 1).bit_length()
        self.inputs = [rng.getrandbits(config.simd) for _ in range(depth * config.p)]
        self.outputs = bytearray(depth * config.memory_width // 8)
        self.cycles = 0
        for name in ("write", "half", "layers__payload", "layers__valid", "part", "lanes",
                     "part_data", "complete", "level_write", "level", "serve_feed",
                     "serve_drain", "read_data"):
            world.set(name, 0)

    async def run(self, layer, walks, queued, *, arrival=1.0, feed=1.0, drain=1.0):
        """Run a layer; ``queued`` are weight words and levels, ("weight" or "level", value).

        Returns its cycles. The rates are those of writes to the queues, and of the cycles in which
        the memory serves the feeder and the drain.
        """
        world, rng, begin = self.world, self.rng, self.cycles
        for loop in Loop:
            entry = pack(Walk, **walks[loop])
            for at in range(Walk.size // 16):
                world.set("write", 1)
                world.set("half", entry >> 16 * at & 0xFFFF)
                await self.tick(None)
        world.set("write", 0)
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

    def writes_of(self, queued):
        """Writes to the queues: of words in parts."""
        config = self.config
        width = config.memory_width
        for kind, value in queued:
            if kind == "level":
                yield {"level_write": 1, "level": value & (1 << config.sum_width) - 1}
                continue
            parts = config.weight_width // width
            for part in range(parts):
                yield {"part": part, "lanes": (1 << width // 16) - 1, "complete": part == parts - 1,
                       "part_data": value >> part * width & (1 << width) - 1}

    async def tick(self, write):
        """Let a cycle pass, in which ``write`` is offered; returns whether it was taken, and
        whether a layer ended."""
        world, config = self.world, self.config
        taken = write is not None and bool(
            world.get("level_space" if "level" in write else "space"))
        world.set("lanes", 0)
        world.set("complete", 0)
        world.set("level_write", 0)
        for name, value in (write if taken else {}).items():
            world.set(name, value)
        await world.settle()
        writes, read = world.get("writes"), self.rng.getrandbits(config.memory_width)
        if world.get("reads"):
            assert not writes
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

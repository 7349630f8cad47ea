"""What runs layers: the queues, the walker, the feeder, the units and the drain, as one."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.array import XnorArray
from hdl.drain import Drain
from hdl.engine import Engine
from hdl.feeder import Feeder
from hdl.fixed_unit import FixedUnit
from hdl.isa import KEPT_BITS, Activation, Cause, Layer
from hdl.signs import SignDrain, SignLevels
from hdl.walker import Walker
from hdl.weights import LevelQueue, WeightQueue


__all__ = ["Core"]


RESULTS = "write", "urgent", "pending", "address", "write_data"


class Core(wiring.Component):
    """Takes descriptors, weights and levels, and turns activations into results. Both are in a
    memory outside, with one port.

    Members
    -------
    walk, half : In(1), In(16)
        Of `hdl.walker.Walker`: a halfword of the loops of the next layer.
    layers : In(stream.Signature(Layer))
        Descriptors; each is taken when its layer has ended.
    space, spare, part, lanes, part_data, complete
        Of `hdl.weights.WeightQueue`.
    level_space, level_write, level
        Of `hdl.weights.LevelQueue`.
    idle, end, cause
        Of `hdl.engine.Engine`.
    request, grant : Out(1), In(1)
        It would read; nobody else has the memory in this cycle.
    reads : Out(1)
        It reads ``read_address`` (Out); ``read_data`` (In(memory_width)) comes in the next cycle.
    kept : In
        With `Config.signs`, as the next two: of `hdl.weights.WeightQueue`.
    sign_write : In(1)
        ``level`` is for `hdl.signs.SignLevels`.
    back : In(1)
        The packets begin again.
    write, urgent, pending : Out(memory_width // 8), Out(1), Out(1)
        Results of which octets are to be written at ``address`` (Out), from ``write_data``
        (Out(memory_width)), until ``written`` (In(1)); they must be in this cycle; there are some.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "walk":         In(1),
            "half":         In(16),
            "layers":       In(stream.Signature(Layer)),
            "space":        Out(1),
            "spare":        Out(1),
            "part":         In(range(config.weight_width // config.memory_width)),
            "lanes":        In(config.memory_width // 16),
            "part_data":    In(config.memory_width),
            "complete":     In(1),
            "level_space":  Out(1),
            "level_write":  In(1),
            "level":        In(signed(config.sum_width)),
            "idle":         Out(1),
            "end":          Out(1),
            "cause":        Out(Cause),
            "request":      Out(1),
            "grant":        In(1),
            "reads":        Out(1),
            "read_address": Out(range(config.memory_depth)),
            "read_data":    In(config.memory_width),
            "write":        Out(config.memory_width // 8),
            "urgent":       Out(1),
            "pending":      Out(1),
            "address":      Out(range(config.memory_depth)),
            "write_data":   Out(config.memory_width),
            "written":      In(1),
        } | ({
            "kept":         In(KEPT_BITS),
            "sign_write":   In(1),
            "back":         In(1),
        } if config.signs else {}))

    def elaborate(self, platform):
        config, layer = self._config, self.layers.payload
        m = Module()

        m.submodules.weights = weights = WeightQueue(config)
        m.submodules.levels  = levels  = LevelQueue(config)
        m.submodules.walker  = walker  = Walker(config)
        m.submodules.feeder  = feeder  = Feeder(config)
        m.submodules.engine  = engine  = Engine(config)
        m.submodules.array   = array   = XnorArray(config)
        m.submodules.fixed   = fixed   = FixedUnit(config)
        m.submodules.drain   = drain   = Drain(config)

        # Queues
        for name in ("part", "lanes", "part_data", "complete"):
            m.d.comb += getattr(weights, name).eq(getattr(self, name))
        m.d.comb += self.space.eq(weights.space)
        m.d.comb += self.spare.eq(weights.spare)
        m.d.comb += self.level_space.eq(levels.space)
        m.d.comb += levels.write.eq(self.level_write)
        m.d.comb += levels.level.eq(self.level)

        # Queues to units
        connect(m, flipped(self.layers), engine.layers)
        m.d.comb += walker.write.eq(self.walk)
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

        # Units to memory
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

        m.d.comb += self.request.eq(engine.request)
        m.d.comb += engine.grant.eq(self.grant)
        m.d.comb += self.reads.eq(feeder.reads & engine.next)
        m.d.comb += self.read_address.eq(feeder.address)
        m.d.comb += feeder.read_data.eq(self.read_data)
        for name in RESULTS:
            m.d.comb += getattr(self, name).eq(getattr(drain, name))
        m.d.comb += drain.grant.eq(self.written)
        if config.signs:
            self._connect_signs(m)
        for name in ("idle", "end", "cause"):
            m.d.comb += getattr(self, name).eq(getattr(engine, name))

        return m

    def _connect_signs(self, m):
        """Let layers of `Activation.SIGN` leave their results by a drain of their own."""
        config, layer = self._config, self.layers.payload
        weights, feeder, engine, array, drain = (getattr(m.submodules, name) for name in (
            "weights", "feeder", "engine", "array", "drain"))

        m.submodules.sign_levels = levels = SignLevels(config)
        m.submodules.sign_drain  = signs  = SignDrain(config)
        m.d.comb += weights.kept.eq(self.kept)
        m.d.comb += levels.write.eq(self.sign_write)
        m.d.comb += levels.level.eq(self.level)
        for unit in (weights, levels, signs):
            m.d.comb += unit.back.eq(self.back)
        m.d.comb += array.double.eq(feeder.double)
        m.d.comb += array.shift_all.eq(signs.shift)
        m.d.comb += signs.layer.eq(layer)
        m.d.comb += signs.restart.eq(engine.begin)
        connect(m, engine.harvest, signs.harvest)
        m.d.comb += signs.group.eq(array.group)
        m.d.comb += signs.levels.eq(levels.data)
        m.d.comb += levels.address.eq(signs.level_address)
        m.d.comb += signs.grant.eq(self.written)

        mine = layer.activation == Activation.SIGN
        m.d.comb += signs.capture.eq(engine.capture & mine)
        with m.If(mine):
            m.d.comb += drain.capture.eq(0)
            m.d.comb += engine.drained.eq(signs.drained)
            m.d.comb += engine.resting.eq(signs.resting)
            for name in RESULTS:
                m.d.comb += getattr(self, name).eq(getattr(signs, name))

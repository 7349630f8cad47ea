"""The drain: from the sums of a unit to results in the activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.isa import Activation, Layer, Target


__all__ = ["SUM_OCTETS", "Drain"]


SUM_OCTETS = 4


class Drain(wiring.Component):
    """Takes the sums of one tile, a channel at a time, and writes what `hdl.isa.Activation` and
    `hdl.isa.Target` make of them.

    In the cycle after ``capture`` it begins. A sum, or a threshold of one bit, takes a cycle; see
    `compiler.perf` for the others. Sums that are not ``final`` are kept, and added to those of the
    next capture. ``done`` comes with the last write.

    Members
    -------
    layer : In(Layer)
        Descriptor; stays as it is from ``capture`` until ``done``.
    restart : In(1)
        A layer begins: results go to ``layer.output`` on.
    capture : In(1)
        The units capture sums.
    first, final : In(1)
        They are the first of their channels; the last.
    shift : Out(1)
        Step to the next channel.
    half : In(signed(binary_width))
        Half sum of a channel, from the array; 0 in a layer of the fixed-point unit.
    sum : In(signed(fixed_width))
        Sum of a channel, from the fixed-point unit; 0 in a layer of the array.
    level_address : Out
        Which level is read; ``level`` is its value in the next cycle.
    level_release : Out
        How many levels are needed no more.
    write : Out(memory_width // 8)
        Octets of the activation memory that are written at ``address``, from ``write_data``.
    done : Out(1)
        The tile is finished; the next capture may come from the next cycle on.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layer":         In(Layer),
            "restart":       In(1),
            "capture":       In(1),
            "first":         In(1),
            "final":         In(1),
            "shift":         Out(1),
            "half":          In(signed(config.binary_width)),
            "sum":           In(signed(config.fixed_width)),
            "level_address": Out(range(config.level_depth)),
            "level":         In(signed(config.sum_width)),
            "level_release": Out(range(config.level_depth)),
            "write":         Out(config.memory_width // 8),
            "address":       Out(range(config.memory_depth)),
            "write_data":    Out(config.memory_width),
            "done":          Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        m = Module()

        total   = Signal(signed(config.sum_width))
        channel = Signal(range(config.pe + 1))
        steps   = Signal(range(32))
        final_channel = Signal()
        m.d.comb += final_channel.eq(channel + 1 == layer.channels)

        m.submodules.partials = partials = Memory(
            shape=signed(config.sum_width), depth=config.pe, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        keep    = partials.write_port()
        partial = partials.read_port()

        # One address names the level that is added next: it is `step` after the first of this
        # channel. In a heap whose root has index 0, the children of i are 2i + 1 and 2i + 2.
        base   = Signal.like(self.level_address)
        origin = Signal.like(self.level_address)
        step   = Signal(8)
        node   = Signal(8)
        below  = Signal(8)
        passed = ~total[-1]
        m.d.comb += below.eq(Cat(passed, node) + 1)
        m.d.comb += self.level_address.eq(base + step)

        # One adder takes a channel's sum, goes down a level, and rounds.
        begin    = Signal()
        rounding = Signal()
        half     = Signal()  # of the bits that a shift dropped, the highest
        rest     = Signal()  # and whether any other is set
        augend   = Signal(signed(config.sum_width))
        addend   = Signal(signed(config.sum_width))
        summed   = Signal(signed(config.sum_width))
        m.d.comb += augend.eq(total)
        m.d.comb += addend.eq(self.level)
        with m.If(begin):
            m.d.comb += augend.eq(self.sum | (self.half << 1))  # the idle unit's are 0
            with m.If(~self.first):
                m.d.comb += addend.eq(partial.data)
        with m.If(rounding):
            m.d.comb += addend.eq(half & (rest | total[0]))
        m.d.comb += summed.eq(augend + addend)

        # Results leave as bits that were gathered, as an octet, or as a sum.
        result = Signal(max(config.pe, 8))
        filled = Signal(range(config.pe))  # bits of `result` that wait for the others
        emit   = Signal()
        place  = Signal(range(config.memory_depth * config.memory_width // 8))
        width  = {Target.BITS: config.pe // 8, Target.OCTETS: 1, Target.SUMS: SUM_OCTETS}
        inner  = exact_log2(len(self.write))  # bits of `place` that name an octet of an address
        for target, octets in width.items():
            with m.If(emit & (layer.target == target)):
                lanes = ((1 << octets) - 1) << Cat(Const(0, exact_log2(octets)),
                                                   place[exact_log2(octets):inner])
                m.d.comb += self.write.eq(lanes)
                m.d.sync += place.eq(place + octets)
        m.d.comb += self.address.eq(place[inner:])
        sums = layer.target == Target.SUMS
        extended = Signal(signed(8 * SUM_OCTETS))
        m.d.comb += extended.eq(total)
        octet = result[:8] ^ Cat(Const(0, 7), layer.flip)
        small = Mux(layer.target == Target.OCTETS, octet.replicate(len(result) // 8), result)
        m.d.comb += self.write_data.eq(Mux(
            sums, extended.replicate(config.memory_width // len(extended)),
            small.replicate(config.memory_width // len(result))))
        with m.If(self.restart):
            m.d.sync += place.eq(layer.output)
            m.d.sync += filled.eq(0)

        rescale = layer.activation == Activation.RESCALE
        slowly  = Signal()  # a channel takes more than one cycle
        m.d.comb += slowly.eq(self.final & ~sums & (rescale | (layer.target == Target.OCTETS)))
        fresh   = Signal()  # `total` is what the cycle before took from a unit
        m.d.sync += fresh.eq(begin & ~slowly)
        m.d.comb += keep.addr.eq(channel - 1)
        m.d.comb += keep.data.eq(total)
        m.d.comb += keep.en.eq(fresh & ~self.final)
        m.d.comb += partial.addr.eq(channel + begin)

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.sync += channel.eq(0)
                m.d.comb += partial.addr.eq(0)
                with m.If(self.capture):
                    m.next = "TAKE"

            with m.State("TAKE"):
                m.d.comb += begin.eq(1)
                m.d.comb += self.shift.eq(1)
                m.d.sync += channel.eq(channel + 1)
                m.d.sync += total.eq(summed)
                m.d.sync += node.eq(0)
                m.d.sync += half.eq(0)
                m.d.sync += rest.eq(0)
                m.d.sync += steps.eq(Mux(rescale, layer.shift, layer.bits))
                with m.If(slowly):
                    m.next = "STEP"
                with m.Else():
                    m.d.comb += step.eq(layer.stride)
                    m.d.sync += base.eq(self.level_address)
                    m.d.comb += self.level_release.eq(Mux(self.final, layer.stride, 0))
                    with m.If(final_channel):
                        m.next = "FLUSH"

            with m.State("FLUSH"):
                m.next = "DONE"

            with m.State("DONE"):
                m.d.comb += emit.eq(self.final & ~sums & (filled == 0))
                m.d.comb += self.done.eq(1)
                m.d.sync += base.eq(Mux(self.final, base, origin))
                m.d.sync += origin.eq(Mux(self.final, base, origin))
                m.next = "IDLE"

            with m.State("STEP"):
                m.d.sync += steps.eq(steps - 1)
                with m.If(rescale):
                    with m.If(steps == 0):
                        m.d.comb += rounding.eq(1)
                        m.d.sync += total.eq(summed)
                        m.next = "SATURATE"
                    with m.Else():
                        m.d.sync += total.eq(total >> 1)
                        m.d.sync += half.eq(total[0])
                        m.d.sync += rest.eq(rest | half)
                with m.Else():
                    m.d.comb += step.eq(below)
                    m.d.sync += node.eq(below)
                    with m.If(steps == 1):
                        # The leaves of a heap lie behind its nodes, in the order of their values.
                        m.d.sync += result.eq(below - layer.stride)
                        with m.If(layer.bits == 1):
                            m.d.sync += result.eq(Mux(passed, 1, 0xFF))
                        m.next = "EMIT"
                    with m.Else():
                        m.next = "DESCEND"

            with m.State("DESCEND"):
                m.d.sync += total.eq(summed)
                m.next = "STEP"

            with m.State("SATURATE"):
                m.d.sync += result.eq(saturated(m, total, layer.bits, layer.signed))
                m.next = "EMIT"

            with m.State("EMIT"):
                m.d.comb += emit.eq(1)
                m.d.comb += step.eq(layer.stride)
                m.d.sync += base.eq(self.level_address)
                m.d.comb += self.level_release.eq(layer.stride)
                with m.If(channel == layer.channels):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += origin.eq(self.level_address)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "TAKE"

        with m.If(fresh & self.final):
            m.d.comb += emit.eq(sums)
            m.d.sync += result.eq(Cat(result[1:], passed))
            m.d.sync += filled.eq(filled + 1)

        return m


def saturated(m, value, bits, signed):
    """Return the low 8 bits of ``value``, saturated to the range of ``bits``, 1 to 8, and sign.

    The counterpart of `hdl.fixed.saturate`.
    """
    mask   = Signal(8)  # of the magnitude
    beyond = Signal()
    octet  = Signal(8)
    sign   = value[-1]
    m.d.comb += mask.eq(((1 << bits) - 1) >> signed)
    m.d.comb += beyond.eq(Cat(value[:8] & ~mask, value[8:-1])
                          != Cat(~mask & sign.replicate(8), sign.replicate(len(value) - 9)))
    with m.If(sign & ~signed):
        m.d.comb += octet.eq(0)
    with m.Elif(beyond):
        m.d.comb += octet.eq(mask ^ sign.replicate(8))
    with m.Else():
        m.d.comb += octet.eq(value[:8])
    return octet

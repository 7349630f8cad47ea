"""The drain: from the sums of a unit to results in the activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.engine import Harvest
from hdl.isa import Activation, Layer, Target


__all__ = ["SUM_OCTETS", "Drain"]


SUM_OCTETS = 4
EARLY = 6  # channels that are still to be taken when the next sums may be on their way


class Drain(wiring.Component):
    """Takes the sums of one pass, channel by channel and pixel by pixel, and writes what
    `hdl.isa.Activation` and `hdl.isa.Target` make of them.

    In the cycle after ``capture`` it begins. Sums that are not final are kept, and added to those
    of the next capture. A sum, or a threshold of one bit, takes a cycle; see `compiler.perf` for
    the others. Bits are gathered to words of ``pe``; where they are pooled, those of a window are
    joined first. A result that is to be written waits in a register until the memory has time,
    or until the next one comes.

    Members
    -------
    layer : In(Layer)
        Descriptor; stays as it is from ``capture`` until the drain is resting.
    restart : In(1)
        A layer begins.
    capture : In(1)
        The units capture sums, which are what ``harvest`` (In(Harvest(config))) says.
    shift : Out(1)
        Step to the next channel; behind the last comes the first of the next pixel.
    half : In(signed(binary_width))
        Half sum of a channel, from the array; 0 in a layer of the fixed-point unit.
    sum : In(signed(fixed_width))
        Sum of a channel, from the fixed-point unit; 0 in a layer of the array.
    level_address : Out
        Which level is read; ``level`` is its value in the next cycle.
    level_release : Out
        How many levels are needed no more.
    write : Out(memory_width // 8)
        Octets of the activation memory that are to be written at ``address``, from
        ``write_data``; stays until ``grant`` (In(1)).
    urgent : Out(1)
        It must be granted in this cycle.
    drained : Out(1)
        The next capture may come from the seventh cycle after this one on.
    resting : Out(1)
        Nothing is left to do.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layer":         In(Layer),
            "restart":       In(1),
            "capture":       In(1),
            "harvest":       In(Harvest(config)),
            "shift":         Out(1),
            "half":          In(signed(config.binary_width)),
            "sum":           In(signed(config.fixed_width)),
            "level_address": Out(range(config.level_depth)),
            "level":         In(signed(config.sum_width)),
            "level_release": Out(range(config.level_depth)),
            "write":         Out(config.memory_width // 8),
            "address":       Out(range(config.memory_depth)),
            "write_data":    Out(config.memory_width),
            "grant":         In(1),
            "urgent":        Out(1),
            "drained":       Out(1),
            "resting":       Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        m = Module()

        first, blank, double, adds, final, group_last, part_last, window_last, sole = (
            Signal(name=name) for name in ("first", "blank", "double", "adds", "final",
                                           "group_last", "part_last", "window_last", "sole"))
        pixels = Signal(range(config.p))  # to come, behind this one
        coming = Signal.like(pixels)  # behind the first
        new_window = Signal(init=1)  # the next pass begins a window
        flags  = self.harvest.flags
        m.d.comb += coming.eq(Mux(layer.single, 0,
                                  Mux(flags.across_last, layer.pixels, config.p - 1)))
        with m.If(self.capture):
            m.d.sync += first.eq(self.harvest.first)
            m.d.sync += blank.eq(self.harvest.blank)
            m.d.sync += double.eq(self.harvest.double)
            m.d.sync += adds.eq(self.harvest.adds)
            m.d.sync += final.eq(self.harvest.final)
            m.d.sync += group_last.eq(flags.group_last)
            m.d.sync += part_last.eq(flags.part_last | ~layer.fixed)
            m.d.sync += window_last.eq(flags.window_last)
            # Their place is known until those of the next pass with results are on their way.
            m.d.sync += sole.eq(self.harvest.final & flags.part_first & flags.part_last
                                & Mux(layer.pool, new_window & flags.window_last, coming == 0))
            with m.If(self.harvest.final):
                m.d.sync += new_window.eq(flags.window_last)
            m.d.sync += pixels.eq(coming)

        total   = Signal(signed(config.sum_width))
        channel = Signal(range(config.pe))
        channel_last = Signal()
        early = Signal()
        steps   = Signal(range(32))
        m.d.comb += channel_last.eq(channel + 1 == layer.channels)
        m.d.comb += early.eq((pixels == 0) & (
            channel == Mux(layer.channels > EARLY, layer.channels - EARLY, 0)))

        # Sums that are not final, in the order in which they are taken; behind them there is 0.
        m.submodules.partials = partials = Memory(
            shape=signed(config.sum_width), depth=2 * config.p * config.pe, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        keep    = partials.write_port()
        partial = partials.read_port()
        taken   = Signal(range(config.p * config.pe))

        # One address names the level that is added next: it is `step` after the first of this
        # channel. In a heap whose root has index 0, the children of i are 2i + 1 and 2i + 2.
        base   = Signal.like(self.level_address)
        start  = Signal.like(self.level_address)  # of these sums
        origin = Signal.like(self.level_address)  # of the tile
        step   = Signal(8)
        node   = Signal(8)
        below  = Signal(8)
        passed = ~total[-1]
        m.d.comb += below.eq(Cat(passed, node) + 1)

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
            with m.If(~first):
                m.d.comb += addend.eq(Mux(double, partial.data << 1, partial.data))
        with m.If(rounding):
            m.d.comb += addend.eq(half & (rest | total[0]))
        m.d.comb += summed.eq(augend + addend)

        # What the next sum needs of the levels when a channel is done.
        leave = Signal()
        ahead = Signal.like(self.level_address)
        pixel_ends = Signal()
        ends = Signal()
        m.d.comb += ends.eq(pixel_ends & (pixels == 0))
        m.d.comb += ahead.eq(base + layer.stride)
        m.d.comb += pixel_ends.eq(leave & channel_last)
        # Another pixel begins in the next cycle, with the levels of the first.
        m.d.comb += self.level_address.eq(
            Mux(pixel_ends & (pixels != 0), start, base + step))
        with m.If(leave):
            m.d.sync += channel.eq(channel + 1)
            m.d.comb += self.level_release.eq(
                Mux(final & group_last & (pixels == 0), layer.stride, 0))
            m.d.sync += base.eq(ahead)
            with m.If(channel_last):
                m.d.sync += channel.eq(0)
                m.d.sync += pixels.eq(pixels - 1)
                with m.If(~final | (pixels != 0)):
                    m.d.sync += base.eq(start)
                with m.Elif(group_last):
                    m.d.sync += start.eq(ahead)
                    m.d.sync += origin.eq(ahead)
                with m.Elif(part_last):
                    m.d.sync += base.eq(origin)
                    m.d.sync += start.eq(origin)
                with m.Else():
                    m.d.sync += start.eq(ahead)

        # Results leave as bits that were gathered, as an octet, or as a sum.
        result = Signal(max(config.pe, 8))
        filled = Signal(range(config.pe))  # bits of `result` that wait for the others
        joins  = Signal()  # bits are joined with those of the pixel before
        emit   = Signal()
        fresh_place = Signal()  # the next result is the first of the pass
        fresh_pixel = Signal()  # or of another pixel of it
        place  = Signal(range(config.memory_depth * config.memory_width // 8))
        width  = {Target.BITS: config.pe // 8, Target.OCTETS: 1, Target.SUMS: SUM_OCTETS}
        inner  = exact_log2(len(self.write))  # bits of `place` that name an octet of an address
        sums   = layer.target == Target.SUMS
        octets = layer.target == Target.OCTETS
        bits   = ~sums & ~octets
        with m.If(self.capture):
            m.d.sync += fresh_place.eq(1)

        # Bits
        new     = Signal.like(result)  # `result` with one more
        closing = Signal()  # the pixel is the last of its window
        fresh   = Signal()  # `total` is what the cycle before took from a unit
        full    = Signal()
        with m.If(leave):
            m.d.sync += closing.eq(~layer.pool | (window_last & (pixels == 0)))
        m.d.comb += new.eq(Cat(result[1:], passed | (joins & result[0])))
        m.d.comb += full.eq(fresh & final & bits & (filled == config.pe - 1))

        pending = Signal()
        made    = Signal.like(result)
        onward  = Signal.like(place)
        m.d.comb += self.urgent.eq(pending & (emit | sums))
        m.d.comb += onward.eq(Mux(bits | fresh_pixel, layer.pitch << 2, 0)
                              + Mux(sums, SUM_OCTETS, octets))
        with m.If(self.grant):
            m.d.sync += pending.eq(0)
        with m.If(emit):
            m.d.sync += pending.eq(1)
            m.d.sync += place.eq(Mux(fresh_place, self.harvest.output, place + onward))
            m.d.sync += fresh_place.eq(0)
            m.d.sync += fresh_pixel.eq(pixel_ends)
            octet = result[:8] ^ Cat(Const(0, 7), layer.flip)
            m.d.sync += made.eq(Mux(bits, new, octet.replicate(len(made) // 8)))
        with m.If(fresh & final & bits):
            m.d.sync += result.eq(new)
            m.d.sync += filled.eq(filled + 1)
        with m.If(full):
            m.d.comb += emit.eq(closing)
            m.d.sync += joins.eq(~closing)
        with m.If(self.restart):
            m.d.sync += filled.eq(0)
            m.d.sync += joins.eq(0)
        for target, size in width.items():
            with m.If(pending & (layer.target == target)):
                lanes = ((1 << size) - 1) << Cat(Const(0, exact_log2(size)),
                                                 place[exact_log2(size):inner])
                m.d.comb += self.write.eq(lanes)
        m.d.comb += self.address.eq(place[inner:])
        extended = Signal(signed(8 * SUM_OCTETS))
        m.d.comb += extended.eq(total)
        m.d.comb += self.write_data.eq(Mux(
            sums, extended.replicate(config.memory_width // len(extended)),
            made.replicate(config.memory_width // len(made))))

        rescale = layer.activation == Activation.RESCALE
        slowly  = Signal()  # a channel takes more than one cycle
        m.d.comb += slowly.eq(final & (~bits | adds))
        m.d.sync += fresh.eq(begin & ~slowly)
        m.d.comb += keep.addr.eq((taken - 1)[:len(taken)])
        m.d.comb += keep.data.eq(total)
        m.d.comb += keep.en.eq(fresh & ~final)
        m.d.comb += partial.addr.eq(Cat((taken + begin)[:len(taken)], blank))

        working = Signal()
        ended   = Signal()  # with the sum that is being written
        m.d.comb += self.resting.eq(~working & ~pending)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.sync += taken.eq(0)
                m.d.comb += partial.addr.eq(Cat(Const(0, len(taken)), self.harvest.blank))
                with m.If(self.capture):
                    m.next = "TAKE"

            with m.State("TAKE"):
                m.d.comb += working.eq(1)
                m.d.comb += begin.eq(1)
                m.d.comb += self.shift.eq(1)
                m.d.sync += taken.eq(taken + 1)
                m.d.sync += total.eq(summed)
                m.d.sync += node.eq(0)
                m.d.sync += half.eq(0)
                m.d.sync += rest.eq(0)
                m.d.sync += steps.eq(Mux(rescale, layer.shift, layer.bits))
                with m.If(adds):
                    m.next = "ADD"
                with m.Elif(slowly):
                    m.next = "STEP"
                    with m.If(sums):
                        m.next = "EMIT"
                with m.Else():
                    m.d.comb += step.eq(layer.stride)
                    m.d.comb += leave.eq(1)
                    m.d.comb += self.drained.eq(early & ~sole)
                    with m.If(ends):
                        m.next = "FLUSH"

            with m.State("ADD"):
                m.d.comb += working.eq(1)
                m.d.sync += total.eq(summed)
                m.next = "STEP"
                with m.If(sums):
                    m.next = "EMIT"
                with m.If(bits):
                    m.d.sync += fresh.eq(1)
                    m.d.comb += step.eq(layer.stride)
                    m.d.comb += leave.eq(1)
                    m.next = "TAKE"
                    with m.If(ends):
                        m.next = "LAST"

            with m.State("LAST"):
                m.d.comb += working.eq(1)
                m.d.comb += self.drained.eq(1)
                m.next = "IDLE"

            with m.State("FLUSH"):
                m.d.comb += working.eq(1)
                m.d.comb += self.drained.eq(sole)
                m.next = "IDLE"

            with m.State("STEP"):
                m.d.comb += working.eq(1)
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
                m.d.comb += working.eq(1)
                m.d.sync += total.eq(summed)
                m.next = "STEP"

            with m.State("SATURATE"):
                m.d.comb += working.eq(1)
                m.d.sync += result.eq(saturated(m, total, layer.bits, layer.signed))
                m.next = "EMIT"

            with m.State("EMIT"):
                m.d.comb += working.eq(1)
                m.d.comb += emit.eq(1)
                m.d.comb += step.eq(layer.stride)
                m.d.comb += leave.eq(1)
                m.d.sync += ended.eq(ends)
                m.next = "TAKE"
                with m.If(sums):
                    m.next = "WRITE"
                with m.Elif(ends):
                    m.d.comb += self.drained.eq(1)
                    m.next = "IDLE"

            with m.State("WRITE"):
                m.d.comb += working.eq(1)
                m.next = "TAKE"
                with m.If(ended):
                    m.d.comb += self.drained.eq(1)
                    m.next = "IDLE"

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

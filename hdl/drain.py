"""The drain: from the sums of a unit to results in the activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.engine import Harvest
from hdl.gather import Gather, results
from hdl.isa import SERIAL, Activation, Layer, Target
from hdl.rescaler import Rescaler


__all__ = ["Drain"]


EARLY = 6  # values behind the one with which the next sums may be on their way


class Drain(wiring.Component):
    """Takes the sums of one pass, channel by channel and pixel by pixel, and writes what
    `hdl.isa.Activation` and `hdl.isa.Target` make of them.

    In the cycle after ``capture`` it begins, unless it would bring values while planes are leaving.
    Sums that are not final are kept, and added to those of the next capture. A sum, a threshold of
    one bit and a shift take a cycle; see `compiler.perf` for the others.

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
    write, address, write_data, grant, urgent, pending
        Of `hdl.gather.results`.
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
            **results(config),
            "drained":       Out(1),
            "resting":       Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        sums    = layer.target == Target.SUMS
        bits    = layer.target == Target.BITS
        planes  = layer.target == Target.PLANES
        octets  = layer.target == Target.OCTETS
        rescale = layer.activation == Activation.RESCALE
        m = Module()

        m.submodules.gather = gather = Gather(config)
        m.d.comb += gather.layer.eq(layer)
        m.d.comb += gather.restart.eq(self.restart)
        m.d.comb += gather.output.eq(self.harvest.output)
        m.d.comb += gather.grant.eq(self.grant)
        for name in ("write", "address", "write_data", "urgent", "pending"):
            m.d.comb += getattr(self, name).eq(getattr(gather, name))

        # What these sums are
        start = Signal()
        flags = self.harvest.flags
        first, serial, double, final, group_last, part_last, window_last, sole = (
            Signal(name=name) for name in ("first", "serial", "double", "final", "group_last",
                                           "part_last", "window_last", "sole"))
        plane  = Signal(range(SERIAL + 1), init=SERIAL)  # behind the first: 0 is the second
        late   = Signal()  # the next capture must wait until the last pixel begins to leave
        pixels = Signal(range(config.p))  # to come, behind this one
        coming = Signal.like(pixels)  # behind the first
        closes = Signal()  # the last pixel is the last of its window
        new_window = Signal(init=1)  # the next pass begins a window
        m.d.comb += coming.eq(Mux(layer.single, 0,
                                  Mux(flags.across_last, layer.pixels, config.p - 1)))
        m.d.comb += closes.eq(~layer.pool | flags.window_last)
        # The last results of the pass before are still on their way.
        starts = Signal(2)
        m.d.sync += starts.eq(Cat(start & self.harvest.final, starts[0]))
        m.d.comb += gather.start.eq(starts[1])
        with m.If(start):
            m.d.sync += first.eq(self.harvest.first)
            m.d.sync += serial.eq(self.harvest.serial)
            m.d.sync += double.eq(self.harvest.double)
            with m.If(self.harvest.first):
                m.d.sync += plane.eq(SERIAL)
            with m.Elif(self.harvest.double):
                m.d.sync += plane.eq(plane + 1)
            m.d.sync += final.eq(self.harvest.final)
            m.d.sync += group_last.eq(flags.group_last)
            m.d.sync += part_last.eq(flags.part_last | ~layer.fixed)
            m.d.sync += window_last.eq(flags.window_last)
            # Their place is known until those of the next pass with results are on their way.
            m.d.sync += sole.eq(self.harvest.final & bits & flags.part_first & flags.part_last
                                & Mux(layer.pool, new_window & flags.window_last, coming == 0))
            m.d.sync += late.eq(self.harvest.final & planes & flags.part_first & flags.part_last
                                & closes)
            with m.If(self.harvest.final):
                m.d.sync += new_window.eq(flags.window_last)
            m.d.sync += pixels.eq(coming)

        total   = Signal(signed(config.sum_width))
        behind  = Signal(range(config.pe))  # channels of this pixel
        opens   = Signal()  # the channel is the pixel's first
        early   = Signal()
        steps   = Signal(4)
        m.d.comb += early.eq((pixels == 0) & ((behind == EARLY) | (opens & (behind < EARLY))))

        # Sums that are not final, in the order in which they are taken.
        m.submodules.partials = partials = Memory(
            shape=signed(config.sum_width), depth=config.p * config.pe, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        keep    = partials.write_port()
        partial = partials.read_port()
        taken   = Signal(range(config.p * config.pe))
        kept    = Signal()

        # One address names the level that is added next: it is `step` after the first of this
        # channel. In a heap whose root has index 0, the children of i are 2i + 1 and 2i + 2.
        base   = Signal.like(self.level_address)
        pass_base = Signal.like(self.level_address)  # of these sums
        tile_base = Signal.like(self.level_address)  # of the tile
        step   = Signal(8)
        node   = Signal(8)
        below  = Signal(8)
        passed = ~total[-1]
        m.d.comb += below.eq(Cat(passed, node) + 1)

        # One adder takes a channel's sum, and goes down a level.
        begin  = Signal()
        augend = Signal(signed(config.sum_width))
        addend = Signal(signed(config.sum_width))
        summed = Signal(signed(config.sum_width))
        carry  = Signal()
        m.d.comb += augend.eq(total)
        m.d.comb += addend.eq(self.level)
        with m.If(begin):
            m.d.comb += augend.eq(self.sum | (self.half << 1))  # the idle unit's are 0
            with m.If(~first):
                m.d.comb += addend.eq(Mux(double, partial.data << 1, partial.data))
            with m.Elif(serial):
                m.d.comb += addend.eq(self.level[:-SERIAL].as_signed())
        low_bits = Array(reversed(self.level[-SERIAL:]))
        m.d.comb += carry.eq(begin & double & low_bits[plane])
        m.d.comb += summed.eq(augend + addend + carry)

        # What the next sum needs of the levels when a channel is done.
        leave = Signal()
        ahead = Signal.like(self.level_address)
        pixel_ends = Signal()
        ends = Signal()
        m.d.comb += ends.eq(pixel_ends & (pixels == 0))
        m.d.comb += ahead.eq(base + layer.stride)
        m.d.comb += pixel_ends.eq(leave & (behind == 0))
        # Another pixel begins in the next cycle, with the levels of the first.
        m.d.comb += self.level_address.eq(
            Mux(pixel_ends & (pixels != 0), pass_base, base + step))
        with m.If(self.restart | pixel_ends):
            m.d.sync += behind.eq(layer.channels - 1)
            m.d.sync += opens.eq(1)
        with m.Elif(leave):
            m.d.sync += behind.eq(behind - 1)
            m.d.sync += opens.eq(0)
        with m.If(leave):
            m.d.comb += self.level_release.eq(
                Mux(final & group_last & (pixels == 0), layer.stride, 0))
            m.d.sync += base.eq(ahead)
            with m.If(behind == 0):
                m.d.sync += pixels.eq(pixels - 1)
                with m.If(~final | (pixels != 0)):
                    m.d.sync += base.eq(pass_base)
                with m.Elif(group_last):
                    m.d.sync += pass_base.eq(ahead)
                    m.d.sync += tile_base.eq(ahead)
                with m.Elif(part_last):
                    m.d.sync += base.eq(tile_base)
                    m.d.sync += pass_base.eq(tile_base)
                with m.Else():
                    m.d.sync += pass_base.eq(ahead)

        # A value is made in the cycle after its sum has left, or, by a shift, one later; and handed
        # on in the next.
        word    = min(config.fixed_simd, config.pe)
        filled  = Signal(range(config.pe))  # values of the row before this one
        row     = Signal(3)  # what is told of a value: it completes its row, closes, ends
        row_1   = Signal.like(row)
        row_2   = Signal.like(row)
        turns   = Signal()  # with this value, planes are there
        found   = Signal(8)
        ready   = Signal()  # it is in `total`, or `found`
        shifted = Signal()
        m.d.comb += row.eq(Cat(
            (filled % word == word - 1) & (octets | (filled // word == config.pe // word - 1)),
            ~layer.pool | (window_last & (pixels == 0)), pixel_ends))
        m.d.comb += turns.eq(final & planes & row[:2].all())
        with m.If(leave & final):
            m.d.sync += filled.eq(filled + 1)
        with m.If(self.restart):
            m.d.sync += filled.eq(0)
        m.d.sync += ready.eq(leave & final)
        m.d.sync += shifted.eq(ready & rescale)
        m.d.sync += row_1.eq(row)
        m.d.sync += row_2.eq(row_1)

        m.submodules.rescaler = rescaler = Rescaler(width=config.sum_width)
        m.d.comb += rescaler.value.eq(total)
        m.d.comb += rescaler.shift.eq(layer.shift)
        m.d.comb += rescaler.bits.eq(Mux(rescale, layer.bits, 0))
        m.d.comb += rescaler.signed.eq(layer.signed & rescale)
        m.d.sync += gather.valid.eq(Mux(rescale, shifted, ready & ~sums))
        m.d.sync += Cat(gather.completes, gather.closes, gather.ends).eq(
            Mux(rescale, row_2, row_1))
        # Of the three, those that are not wanted are 0.
        m.d.sync += gather.value.eq(
            (rescaler.octet | found | (bits & passed)) ^ Cat(Const(0, 7), layer.flip))
        m.d.comb += gather.sum.eq(total)
        m.d.comb += gather.sum_valid.eq(ready & sums)
        m.d.comb += gather.sum_ends.eq(row_1[2])

        slowly = Signal()  # a channel takes more than one cycle
        heap   = Signal()
        m.d.comb += heap.eq(~bits & ~rescale)
        m.d.comb += slowly.eq(final & heap)
        m.d.comb += keep.addr.eq((taken - 1)[:len(taken)])
        m.d.comb += keep.data.eq(total)
        m.d.sync += kept.eq(leave & ~final)
        m.d.comb += keep.en.eq(kept)
        m.d.comb += partial.addr.eq((taken + begin)[:len(taken)])

        # Planes leave before other values come.
        leaves  = Signal()
        waiting = Signal()  # until planes have left
        blocked = Signal()
        working = Signal()
        ended   = Signal()  # with the sum that is being written
        soon    = Signal(3)  # the next capture may come; but the place of an octet stays longer
        with m.If(gather.left):
            m.d.sync += leaves.eq(0)
        with m.If(leave & turns):
            m.d.sync += leaves.eq(1)
        m.d.comb += blocked.eq(leaves & self.harvest.final)
        m.d.comb += start.eq((self.capture | waiting) & ~blocked)
        m.d.sync += waiting.eq((self.capture | waiting) & blocked)
        m.d.comb += self.resting.eq(~working & ~leaves & ~shifted & ~gather.valid & gather.resting)
        m.d.sync += soon.eq(soon << 1)
        with m.If(Mux(octets, soon[2], soon[0]) | (gather.leaving & late & ~working)):
            m.d.comb += self.drained.eq(1)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.sync += taken.eq(0)
                m.d.comb += partial.addr.eq(0)
                with m.If(start):
                    m.next = "TAKE"

            with m.State("WAIT"):
                m.d.comb += working.eq(1)
                m.d.comb += gather.hurry.eq(1)
                with m.If(~leaves):
                    m.next = "TAKE"

            with m.State("TAKE"):
                m.d.comb += working.eq(1)
                m.d.comb += begin.eq(1)
                m.d.comb += self.shift.eq(1)
                m.d.sync += taken.eq(taken + 1)
                m.d.sync += total.eq(summed)
                m.d.sync += node.eq(0)
                m.d.sync += found.eq(0)
                m.d.sync += steps.eq(layer.bits)
                with m.If(slowly):
                    m.next = "STEP"
                    with m.If(sums):
                        m.next = "EMIT"
                with m.Else():
                    m.d.comb += step.eq(layer.stride)
                    m.d.comb += leave.eq(1)
                    m.d.sync += soon[0].eq(early & ~late & ~sole)
                    with m.If(ends):
                        m.next = "FLUSH"
                    with m.Elif(turns):
                        m.next = "WAIT"

            with m.State("FLUSH"):
                m.d.comb += working.eq(1)
                m.d.sync += soon[0].eq(sole)
                m.next = "IDLE"

            with m.State("STEP"):
                m.d.comb += working.eq(1)
                m.d.comb += step.eq(below)
                m.d.sync += node.eq(below)
                m.d.sync += steps.eq(steps - 1)
                m.d.sync += found.eq(Cat(passed, found))
                m.next = "DESCEND"
                with m.If(steps == 1):
                    with m.If((layer.bits == 1) & ~planes):
                        m.d.sync += found.eq(Cat(Const(1, 1), (~passed).replicate(7)))
                    m.next = "EMIT"

            with m.State("DESCEND"):
                m.d.comb += working.eq(1)
                m.d.sync += total.eq(summed)
                m.next = "STEP"

            with m.State("EMIT"):
                m.d.comb += working.eq(1)
                m.d.comb += step.eq(layer.stride)
                m.d.comb += leave.eq(1)
                m.d.sync += ended.eq(ends)
                m.next = "TAKE"
                with m.If(sums):
                    m.next = "WRITE"
                with m.Elif(ends):
                    m.d.sync += soon[0].eq(~late)
                    m.next = "FLUSH"
                with m.Elif(turns):
                    m.next = "WAIT"

            with m.State("WRITE"):
                m.d.comb += working.eq(1)
                m.next = "TAKE"
                with m.If(ended):
                    m.d.comb += self.drained.eq(1)
                    m.next = "IDLE"

        return m

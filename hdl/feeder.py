"""Brings activation words from the memory to the units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.isa import Feed, Layer


__all__ = ["Feeder"]


KEEP = 4  # cycles from a step to what is told of its word


class Feeder(wiring.Component):
    """Walks over the rows of a pass, a step at a time.

    A step brings every pixel a word. What it needs of the memory is asked for in the cycle in which
    it is made, and comes in the next one; nothing waits between the memory and the units, so a
    step is made when all else is ready. Its words are in ``activations`` two cycles after it.

    In `Feed.CHAIN` each pixel takes the word of the pixel behind it; the one at the end takes words
    of an address one by one, and ``held`` keeps those that are not its turn yet. A row that does
    not begin with the first word of an address costs steps that bring nothing (``void``).

    Members
    -------
    layer : In(Layer)
        The descriptor.
    begin : In(1)
        A layer begins.
    source, ready, last_pass : In
        Of the next pass, from the walker: where it begins, relative to the last row of this one;
        it is known; or there is none.
    step : Out(1)
        On to the next pass.
    turn, x, y : In
        In the cycle after that, the difference of its place in the picture.
    valid : Out(1)
        There is a step.
    wants : Out(1)
        There is one that reads, or will be when the next pass is known.
    reads : Out(1)
        It reads the memory at ``address`` (Out); ``read_data`` (In(memory_width)) comes in the
        cycle after the step.
    void : Out(1)
        It brings no word.
    last : Out(1)
        It is the last of a pass.
    next : In(1)
        Make it.
    activations : Out(p * simd)
        Words of the pixels, pixel 0 lowest.
    keep : Out(p)
        Pixels for which the word of two cycles ago counts.
    double : Out(1)
        With ``keep``: it is the first of a bit plane that is not the first (`Feed.PLANES`).
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layer":       In(Layer),
            "begin":       In(1),
            "source":      In(16),
            "ready":       In(1),
            "last_pass":   In(1),
            "step":        Out(1),
            "turn":        In(1),
            "x":           In(8),
            "y":           In(8),
            "valid":       Out(1),
            "wants":       Out(1),
            "reads":       Out(1),
            "address":     Out(range(config.memory_depth)),
            "read_data":   In(config.memory_width),
            "void":        Out(1),
            "last":        Out(1),
            "next":        In(1),
            "activations": Out(config.p * config.simd),
            "keep":        Out(config.p),
            "double":      Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        slots = exact_log2(config.p)  # bits of a place that name a word of an address
        m = Module()

        # Where we are: words left in the row, rows left in the pass.
        active = Signal()
        fresh  = Signal()  # the row's first step
        phase  = Signal(slots)  # steps of this row so far, modulo p
        voids  = Signal(slots)  # steps to come that bring nothing
        taps   = Signal.like(layer.taps)
        depth  = Signal(7)
        height = Signal(4)
        row_ends, depth_ends, height_ends = (
            Signal(name=f"{name}_ends") for name in ("row", "depth", "height"))
        m.d.comb += self.void.eq(voids.any())
        m.d.comb += self.last.eq(row_ends & depth_ends & height_ends & ~self.void)
        m.d.comb += self.valid.eq(active & (~self.last | self.ready | self.last_pass))
        m.d.comb += self.step.eq(self.ready & (~active | (self.next & self.last)))

        load = Signal()  # all pixels take the words of an address
        chain = (layer.feed == Feed.CHAIN) | (layer.feed == Feed.PLANES) if config.signs else (
            layer.feed == Feed.CHAIN)
        m.d.comb += load.eq(fresh | (layer.feed == Feed.WHOLE)
                            | ((layer.feed == Feed.GROUP) & (phase == 0)))
        m.d.comb += self.reads.eq(load | (chain & (phase == 1 % config.p)))

        m.d.comb += self.wants.eq(active & self.reads)

        row  = Signal(16)  # place of its first word
        onto = Signal(16)  # and of the row that follows
        m.d.comb += onto.eq(row + Mux(active & ~self.last, layer.step << slots, self.source))
        new_row = Signal()
        m.d.comb += new_row.eq(self.step | (self.next & row_ends & ~self.void))
        with m.If(self.next):
            m.d.sync += fresh.eq(0)
            m.d.sync += phase.eq(phase + 1)
            with m.If(self.reads):
                m.d.sync += self.address.eq(
                    self.address + Mux(layer.feed == Feed.GROUP, config.p, 1))
            with m.If(self.void):
                m.d.sync += voids.eq(voids - 1)
            with m.Else():
                m.d.sync += taps.eq(taps - 1)
                m.d.sync += row_ends.eq(taps == 2)
        with m.If(new_row):
            m.d.sync += row.eq(onto)
            m.d.sync += self.address.eq(onto >> slots)
            m.d.sync += voids.eq(onto[:slots])
            m.d.sync += fresh.eq(1)
            m.d.sync += phase.eq(0)
            m.d.sync += taps.eq(layer.taps)
            m.d.sync += row_ends.eq(layer.taps == 1)
            m.d.sync += depth.eq(depth - 1)
            m.d.sync += depth_ends.eq(depth == 2)
            with m.If(depth_ends):
                m.d.sync += depth.eq(layer.depth)
                m.d.sync += depth_ends.eq(layer.depth == 1)
                m.d.sync += height.eq(height - 1)
                m.d.sync += height_ends.eq(height == 2)
        with m.If(self.step):
            m.d.sync += active.eq(1)
            m.d.sync += depth.eq(layer.depth)
            m.d.sync += depth_ends.eq(layer.depth == 1)
            m.d.sync += height.eq(layer.height)
            m.d.sync += height_ends.eq(layer.height == 1)
        with m.Elif(self.next & self.last):
            m.d.sync += active.eq(0)
        with m.If(self.begin):
            m.d.sync += row.eq(0)

        # The cycle after: what was read is there.
        move, loads, reads, first, void, line_ends = (
            Signal(name=f"{name}_1")
            for name in ("move", "loads", "reads", "first", "void", "line_ends"))
        slot = Signal(slots)  # of the row's first word
        m.d.sync += slot.eq(row)
        m.d.sync += move.eq(self.next)
        m.d.sync += loads.eq(load)
        m.d.sync += reads.eq(self.reads)
        m.d.sync += first.eq(fresh)
        m.d.sync += void.eq(self.void)
        m.d.sync += line_ends.eq(self.next & row_ends & depth_ends & ~self.void & ~self.last)

        # Places in the picture: of the pass, of the address that was read, and of its line.
        x      = Signal(8)
        y      = Signal(8)
        column = Signal(8)
        here   = Signal(8)
        m.d.comb += here.eq(Mux(first, x - slot, column))
        with m.If(self.turn):
            m.d.sync += x.eq(x + self.x)
        m.d.sync += y.eq(y + Mux(self.turn, self.y, line_ends))
        with m.If(move & reads):
            m.d.sync += column.eq(here + Mux(layer.feed == Feed.WHOLE, 1, config.p))
        with m.If(self.begin):
            m.d.sync += x.eq(0)
            m.d.sync += y.eq(0)
        unbounded = layer.columns == 0
        on_line = Signal()
        m.d.comb += on_line.eq(y < layer.lines)
        inside = Signal(config.p)
        for index in range(config.p):
            at = Signal(8, name=f"at_{index}")
            m.d.comb += at.eq(here + index)
            m.d.comb += inside[index].eq(unbounded | ((at < layer.columns) & on_line))

        border = Cat(*[Cat(Const(0, 7), layer.zero)] * (config.simd // 8))
        words  = [Signal(config.simd, name=f"word_{index}") for index in range(config.p)]
        counts = Signal(config.p)
        held   = Signal((config.p - 1) * config.simd)
        held_inside = Signal(config.p - 1)
        with m.If(move):
            for index, word in enumerate(words):
                read = self.read_data.word_select(index, config.simd)
                if index + 1 < config.p:
                    source, good = words[index + 1], counts[index + 1]
                elif config.p == 1:
                    source, good = read, inside[0]
                else:
                    source = Mux(reads, self.read_data[:config.simd], held[:config.simd])
                    good = Mux(reads, inside[0], held_inside[0])
                m.d.sync += word.eq(Mux(loads, read, source))
                m.d.sync += counts[index].eq(Mux(loads, inside[index], good))
                bad = (~inside[index] & loads) | (~good & ~loads)
                with m.If(bad):
                    m.d.sync += word.eq(border)
            m.d.sync += held.eq(Mux(reads, self.read_data[config.simd:], held[config.simd:]))
            m.d.sync += held_inside.eq(Mux(reads, inside[1:], held_inside[1:]))
        m.d.comb += self.activations.eq(Cat(*words))

        # Which of them count, and from which on sums double
        live = Signal()
        kept = Signal(config.p)
        m.d.sync += live.eq(move & ~void)
        with m.If(live):
            m.d.sync += kept.eq(counts | ~layer.skip.replicate(config.p))
        with m.Else():
            m.d.sync += kept.eq(0)
        m.d.sync += self.keep.eq(kept)
        if config.signs:
            doubles = Signal()  # the row is the first of its plane
            delayed = Signal(KEEP - 1)
            with m.If(new_row):
                m.d.sync += doubles.eq((layer.feed == Feed.PLANES) & depth_ends & ~self.step)
            m.d.sync += Cat(delayed, self.double).eq(Cat(self.next & fresh & doubles, delayed))

        return m

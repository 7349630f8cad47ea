"""Counts where cycles go."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.isa import Cause


__all__ = ["CAUSES", "LAYERS", "Counters"]


LAYERS = 32  # the last also counts for the layers after it
CAUSES = 8   # places for each layer


class Counters(wiring.Component):
    """A count of 32 bits for each layer and each cause, in one block of memory.

    Members
    -------
    clear : In(1)
        Forget, before anything is counted again; takes a cycle for each count, in which
        ``clearing`` (Out(1)) is set.
    count : In(1)
        This cycle is one of ``cause`` (In(Cause)), in the present layer.
    step : In(1)
        The next cycle belongs to the next layer.
    total : Out(32)
        Cycles since ``clear``.
    address : In
        Octet that is read while nothing is counted: count ``LAYERS * CAUSES`` words of 4 octets.
    octet : Out(8)
        Its value, in the next cycle.
    """

    clear:    In(1)
    clearing: Out(1)
    count:    In(1)
    cause:    In(Cause)
    step:     In(1)
    total:    Out(32)
    address:  In(range(LAYERS * CAUSES * 4))
    octet:    Out(8)

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(
            shape=32, depth=LAYERS * CAUSES, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        write = memory.write_port()
        read = memory.read_port()

        layer = Signal(range(LAYERS))
        with m.If(self.step & (layer != LAYERS - 1)):
            m.d.sync += layer.eq(layer + 1)
        with m.If(self.count):
            m.d.sync += self.total.eq(self.total + 1)

        # A cycle is counted in the cycle after it. The count in hand is written back when another
        # is wanted, which is read meanwhile.
        wanted  = Cat(self.cause, Const(0, 3 - len(self.cause)), layer)
        place   = Signal(len(wanted))
        counted = Signal()
        new     = Signal()  # the count of `place` comes from the memory
        held    = Signal(32)
        value   = Signal(32)
        change  = Signal()
        m.d.comb += value.eq(Mux(new, read.data, held) + 1)
        m.d.comb += change.eq(~self.count | (wanted != place))
        m.d.sync += counted.eq(self.count)
        m.d.sync += place.eq(wanted)
        m.d.sync += new.eq(change | ~counted)
        m.d.sync += held.eq(value)
        m.d.comb += write.addr.eq(place)
        m.d.comb += write.data.eq(Mux(self.clearing, 0, value))
        m.d.comb += write.en.eq((counted & change) | self.clearing)

        octet = Signal(2)
        m.d.comb += read.addr.eq(Mux(self.count, wanted, self.address[2:]))
        m.d.sync += octet.eq(self.address[:2])
        m.d.comb += self.octet.eq(read.data.word_select(octet, 8))

        with m.If(self.clear):
            m.d.sync += self.clearing.eq(1)
            m.d.sync += self.total.eq(0)
            m.d.sync += layer.eq(0)
            m.d.sync += place.eq(0)
        with m.If(self.clearing):
            m.d.sync += place.eq(place + 1)
            with m.If(place == LAYERS * CAUSES - 1):
                m.d.sync += self.clearing.eq(0)

        return m

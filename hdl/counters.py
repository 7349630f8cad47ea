"""Counts where cycles go."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.isa import Cause


__all__ = ["CAUSES", "COUNT_BITS", "LAYERS", "Counters"]


LAYERS = 32      # the last also counts for the layers after it
CAUSES = 8       # places for each layer; the last counts nothing, and is always 0
COUNT_BITS = 28  # of a count, which then begins anew: 11 s at 24 MHz


class Counters(wiring.Component):
    """A count for each layer and each cause, in one block of memory.

    Members
    -------
    clear : In(1)
        Forget, before anything is counted again; takes a cycle for each count, in which
        ``clearing`` (Out(1)) is set and nothing may be counted.
    count : In(1)
        This cycle is one of ``cause`` (In(Cause)), in the present layer.
    step : In(1)
        The next cycle belongs to the next layer.
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
    address:  In(range(LAYERS * CAUSES * 4))
    octet:    Out(8)

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(
            shape=COUNT_BITS, depth=LAYERS * CAUSES, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        write = memory.write_port()
        read = memory.read_port()

        # The last place of a layer is idle, and never written. Clearing walks through the others.
        idle  = CAUSES - 1
        layer = Signal(range(LAYERS))
        place = Signal.like(layer)      # of the cycle before, and the cause
        slot  = Signal(range(CAUSES))
        final, walked, steps = Signal(), Signal(), Signal()
        m.d.comb += final.eq(layer == LAYERS - 1)
        m.d.comb += walked.eq(self.clearing & (slot == idle - 1))
        m.d.comb += steps.eq(self.step & ~final)
        m.d.sync += place.eq(layer)
        m.d.sync += slot.eq(idle)
        with m.If(self.clearing):
            m.d.sync += slot.eq(slot + 1)
        with m.Elif(self.count):
            m.d.sync += slot.eq(self.cause)
        with m.If(walked | steps):
            m.d.sync += layer.eq(layer + 1)
        with m.If(self.clear):
            m.d.sync += layer.eq(0)
            m.d.sync += self.clearing.eq(1)
        with m.Elif(walked & final):
            m.d.sync += self.clearing.eq(0)

        # A cycle is counted in the cycle after it. The count in hand is written back when another
        # is wanted, which is read meanwhile. While one stays in hand the idle place is read: what
        # comes from memory is 0, so one adder, without a choice before it, serves both.
        held    = Signal(COUNT_BITS, reset_less=True)
        value   = Signal(COUNT_BITS)
        stepped = Signal()
        same    = Signal()  # this cycle adds to the count in hand
        m.d.sync += stepped.eq(steps)
        m.d.comb += same.eq(self.count & ~stepped & (slot == self.cause))
        m.d.comb += value.eq(read.data + held + ~self.clearing)
        m.d.sync += held.eq(Mux(same, value, 0))
        m.d.comb += write.addr.eq(Cat(slot, place))
        m.d.comb += write.data.eq(value)
        m.d.comb += write.en.eq((slot != idle) & ~same)

        octet = Signal(2)
        m.d.comb += read.addr.eq(self.address[2:])
        with m.If(self.count):
            m.d.comb += read.addr.eq(Cat(self.cause, Const(0, len(slot) - len(self.cause)), layer))
        with m.If(same | self.clearing):
            m.d.comb += read.addr[:len(slot)].eq(idle)
        m.d.sync += octet.eq(self.address[:2])
        m.d.comb += self.octet.eq(read.data.word_select(octet, 8))

        return m

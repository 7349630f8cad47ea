"""The pins of the flash chip, and the registers between them and the core clock."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["FlashPads", "FlashSerializer", "SimulatedPads"]


class FlashPads(wiring.Signature):
    """What the fabric gives to, and takes from, the input and output registers of the pins.

    Everything belongs to the domain ``fast``.

    Members
    -------
    cs_n : Out(1)
        Chip select, active low.
    sck : Out(2)
        Levels of the clock in the first and in the second half of the cycle.
    io_o, io_oe : Out(4)
        Data to the chip, and for each line whether it is driven. Line 0 is DI, line 1 is DO.
    io_i : In(4)
        What the input registers captured at the end of the cycle before.
    """

    def __init__(self):
        super().__init__({
            "cs_n":  Out(1, init=1),
            "sck":   Out(2),
            "io_o":  Out(4),
            "io_oe": Out(4),
            "io_i":  In(4),
        })


class FlashSerializer(wiring.Component):
    """One or two beats of the clock of the flash for each core cycle.

    A *beat* moves one bit (``single``), or one on each line. At full rate a core cycle holds two
    such beats, otherwise one; it always holds one single beat. The pins show a core cycle's beats
    one core cycle later, and ``halfword`` holds what came back two core cycles later, in its last
    half.

    Parameters
    ----------
    full_rate : bool
        Two beats on all lines in a core cycle.
    lines : int
        4, or 2: then the others are driven high, and not read.

    Members
    -------
    select, clock, drive : In(1)
        Whether the chip is selected, whether the clock runs, whether the lines are driven.
    single, bit : In(1)
        Whether this is a single beat, and its bit; the other lines are driven high.
    nibbles : In(2 * lines) or In(lines)
        What beats on all lines send, the first beat highest.
    halfword : Out(16)
        The last 16 bits received: two bytes, the first in the low bits.
    pads : Out(FlashPads())
    """

    def __init__(self, *, full_rate, lines=4):
        self._full_rate = full_rate
        self._lines = lines
        super().__init__({
            "select":   In(1),
            "clock":    In(1),
            "drive":    In(1),
            "single":   In(1),
            "bit":      In(1),
            "nibbles":  In(2 * lines if full_rate else lines),
            "halfword": Out(16),
            "pads":     Out(FlashPads()),
        })

    def elaborate(self, platform):
        m = Module()
        lines = self._lines

        core     = Signal(reset_less=True)
        seen     = Signal(reset_less=True)
        second   = Signal()  # second half of a core cycle
        nibble   = Signal(lines)
        received = Signal(16)

        m.d.sync += core.eq(~core)
        m.d.fast += seen.eq(core)
        m.d.fast += second.eq(core ^ seen)

        m.d.fast += self.pads.cs_n.eq(~self.select)
        m.d.fast += self.pads.io_oe.eq(self.drive.replicate(4))
        m.d.fast += self.pads.io_o.eq(Mux(self.single, Cat(self.bit, C(0b111, 3)),
                                       Cat(nibble, C(0b11, 4 - lines))))

        if self._full_rate:
            m.d.comb += nibble.eq(Mux(second, self.nibbles[:lines], self.nibbles[lines:]))
            m.d.fast += self.pads.sck[1].eq(self.clock & ~(self.single & second))
            m.d.fast += received.eq(Cat(self.pads.io_i[:lines], received))
        else:
            m.d.comb += nibble.eq(self.nibbles)
            m.d.fast += self.pads.sck.eq((self.clock & second).replicate(2))
            with m.If(~second):
                m.d.fast += received.eq(Cat(self.pads.io_i[:lines], received))

        m.d.comb += self.halfword.eq(Cat(received[8:], received[:8]))

        return m


class SimulatedPads(wiring.Component):
    """Registers of the same latency as those in an FPGA's pins, for a model of the chip.

    Members
    -------
    pads : In(FlashPads())
    cs_n, sck, io_o, io_oe : Out
        What the pins do in this cycle of ``fast``, ``sck`` in its two halves.
    io_i : In(4)
        What the chip drives at the end of this cycle.
    """

    def __init__(self):
        super().__init__({
            "pads":  In(FlashPads()),
            "cs_n":  Out(1, init=1),
            "sck":   Out(2),
            "io_o":  Out(4, init=0b1111),
            "io_oe": Out(4),
            "io_i":  In(4),
        })

    def elaborate(self, platform):
        m = Module()

        m.d.fast += self.cs_n.eq(self.pads.cs_n)
        m.d.fast += self.sck.eq(self.pads.sck)
        m.d.fast += self.io_o.eq(self.pads.io_o)
        m.d.fast += self.io_oe.eq(self.pads.io_oe)
        m.d.fast += self.pads.io_i.eq(self.io_i)

        return m

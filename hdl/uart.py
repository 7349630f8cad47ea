"""Serial line: eight data bits, least significant first, no parity, one stop bit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


__all__ = ["CHARACTER_BITS", "UartReceiver", "UartTransmitter", "divisor"]


CHARACTER_BITS  = 10     # start, eight data, stop
_MIN_DIVISOR    = 4
_MAX_BAUD_ERROR = 0.025  # leaves as much again for the clocks of both ends


def divisor(clock_hz, baud):
    """Return the cycles of a bit, or raise ValueError where no whole number comes near enough."""
    cycles = round(clock_hz / baud)
    if cycles < _MIN_DIVISOR or abs(cycles * baud / clock_hz - 1) > _MAX_BAUD_ERROR:
        raise ValueError(f"'baud' must be within {_MAX_BAUD_ERROR:.1%} of {clock_hz} divided by "
                         f"a whole number of at least {_MIN_DIVISOR}, not {baud!r}")
    return cycles


def _check_divisor(value):
    if value < _MIN_DIVISOR:
        raise ValueError(f"'divisor' must be at least {_MIN_DIVISOR}, not {value!r}")


class UartReceiver(wiring.Component):
    """Octets from a serial line.

    An octet is offered for one cycle, half a bit before its stop bit ends. A character whose stop
    bit is low is dropped, and so is a start bit that is over before its middle. Sampling is in
    the middle of a bit, to within half a cycle, counted from the edge of the start bit; the clocks
    of both ends may differ by 2 % at any ``divisor``.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, high when idle; asynchronous to the clock.
    octets : Out(stream.Signature(8, always_ready=True))
        What arrived.
    active : Out(1)
        A character is arriving.
    """
    def __init__(self, *, divisor):
        _check_divisor(divisor)
        self._divisor = divisor

        super().__init__({
            "rx":     In(1, init=1),
            "octets": Out(stream.Signature(8, always_ready=True)),
            "active": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        line     = Signal(init=1)
        previous = Signal(init=1)
        timer    = Signal(range(self._divisor))
        bits     = Signal(range(CHARACTER_BITS))

        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        m.d.sync += previous.eq(line)
        m.d.sync += self.octets.valid.eq(0)

        with m.If(~self.active):
            m.d.sync += self.active.eq(previous & ~line)
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            m.d.sync += bits.eq(CHARACTER_BITS - 1)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += timer.eq(self._divisor - 1)
            m.d.sync += bits.eq(bits - 1)
            with m.If(bits == 0):
                m.d.sync += self.active.eq(0)
                m.d.sync += self.octets.valid.eq(line)
            with m.Else():
                m.d.sync += self.octets.payload.eq(Cat(self.octets.payload[1:], line))
            with m.If((bits == CHARACTER_BITS - 1) & line):
                m.d.sync += self.active.eq(0)

        return m


class UartTransmitter(wiring.Component):
    """Octets to a serial line.

    The start bit begins in the cycle after an octet is taken; the next octet is taken
    ``10 * divisor + 1`` cycles after it at the earliest.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Members
    -------
    octets : In(stream.Signature(8))
        What to send.
    tx : Out(1)
        The line, high when idle; straight from a register.
    """
    def __init__(self, *, divisor):
        _check_divisor(divisor)
        self._divisor = divisor

        super().__init__({
            "octets": In(stream.Signature(8)),
            "tx":     Out(1, init=1),
        })

    def elaborate(self, platform):
        m = Module()

        shift = Signal(9, init=0x1FF)
        timer = Signal(range(self._divisor))
        bits  = Signal(range(CHARACTER_BITS + 1))

        m.d.comb += self.tx.eq(shift[0])
        m.d.comb += self.octets.ready.eq(bits == 0)

        with m.If(self.octets.ready):
            with m.If(self.octets.valid):
                m.d.sync += shift.eq(Cat(Const(0, 1), self.octets.payload))
                m.d.sync += bits.eq(CHARACTER_BITS)
            m.d.sync += timer.eq(self._divisor - 1)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += shift.eq(Cat(shift[1:], Const(1, 1)))
            m.d.sync += bits.eq(bits - 1)
            m.d.sync += timer.eq(self._divisor - 1)

        return m

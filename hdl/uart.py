"""Serial line: eight data bits, lowest first, no parity, one stop bit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


__all__ = ["CHARACTER_BITS", "Uart", "divisor"]


CHARACTER_BITS  = 10     # start, eight data, stop
_MIN_DIVISOR    = 4
_MAX_BAUD_ERROR = 0.025  # leaves as much again for the clocks of both ends

# What `Uart` counts: eight data bits between start and stop
IDLE, START, STOP = 0, 6, 15


def divisor(clock_hz, baud):
    """Return the cycles of a bit, or raise ValueError where no whole number comes near enough."""
    cycles = round(clock_hz / baud)
    if cycles < _MIN_DIVISOR or abs(cycles * baud / clock_hz - 1) > _MAX_BAUD_ERROR:
        raise ValueError(f"'baud' must be within {_MAX_BAUD_ERROR:.1%} of {clock_hz} divided by "
                         f"a whole number of at least {_MIN_DIVISOR}, not {baud!r}")
    return cycles


class Uart(wiring.Component):
    """Octets on a serial line, one at a time and one way at a time.

    While ``sending``, octets of ``replies`` go out, one in ten bit times at most. Otherwise octets
    are taken from the line. A character whose stop bit is low is dropped, and so is a start bit
    that is over before its middle. Sampling is in the middle of a bit, to within half a cycle,
    counted from the edge of the start bit; the clocks of both ends may differ by 2 % at any
    ``divisor``.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, high when idle; asynchronous to the clock.
    tx : Out(1)
        The line, high when idle.
    sending : In(1)
        Which way; must not change while a character is under way.
    replies : In(stream.Signature(8))
        What to send.
    checking, check : In(1)
        While ``checking``, bits of ``check`` go out in place of those of the octet.
    octet : Out(8)
        What passed, either way, where ``passed`` (Out(1)) is set. That is for one cycle, about the
        middle of the stop bit of an octet that arrives, and at the beginning of that of an octet
        that leaves.
    bit : Out(1)
        A bit of the octet, the lowest first, where ``bit_passed`` (Out(1)) is set.
    low : Out(1)
        The other end pulls the line down.
    beat : Out(1)
        High for one cycle in a bit time; an octet begins to leave then.
    """
    def __init__(self, *, divisor):
        if divisor < _MIN_DIVISOR:
            raise ValueError(f"'divisor' must be at least {_MIN_DIVISOR}, not {divisor!r}")
        self._divisor = divisor

        super().__init__({
            "rx":         In(1, init=1),
            "tx":         Out(1, init=1),
            "sending":    In(1),
            "replies":    In(stream.Signature(8)),
            "checking":   In(1),
            "check":      In(1),
            "octet":      Out(8),
            "passed":     Out(1),
            "bit":        Out(1),
            "bit_passed": Out(1),
            "low":        Out(1),
            "beat":       Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        # Counts up to the stop bit, and wraps to IDLE behind it.
        bits  = Signal(4)
        timer = Signal(range(self._divisor), reset_less=True)
        idle, stops = Signal(), Signal()
        m.d.comb += idle.eq(bits == IDLE)
        m.d.comb += stops.eq(bits == STOP)
        m.d.comb += self.beat.eq(timer == 0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(self.beat):
            m.d.sync += timer.eq(self._divisor - 1)

        # Levels are inverted, so that everything begins with 0.
        previous = Signal(reset_less=True)
        pulls    = Signal()
        m.submodules.synchronizer = FFSynchronizer(~self.rx, self.low)
        m.d.sync += previous.eq(self.low)
        m.d.comb += self.tx.eq(~pulls)

        # What leaves goes round, so that it is there when it has passed.
        replies, octet = self.replies, self.octet
        m.d.comb += self.bit.eq(Mux(self.sending, Mux(self.checking, self.check, octet[0]),
                                    ~self.low))
        m.d.comb += replies.ready.eq(self.beat & idle & self.sending)
        m.d.comb += self.bit_passed.eq(self.beat & ~idle & ~stops & (bits != START))
        m.d.comb += self.passed.eq(self.beat & stops & (self.sending | ~self.low))
        with m.If(self.beat & ~idle):
            m.d.sync += bits.eq(bits + 1)
            m.d.sync += pulls.eq(self.sending & ~stops & ~self.bit)
            with m.If((bits == START) & ~self.low):
                m.d.sync += bits.eq(IDLE)
            with m.If(~stops):
                m.d.sync += octet.eq(Cat(octet[1:], self.bit))
        with m.If(replies.ready & replies.valid):
            m.d.sync += bits.eq(START + 1)
            m.d.sync += pulls.eq(1)
            m.d.sync += octet.eq(replies.payload)
        with m.If(idle & ~self.sending & self.low & ~previous):
            m.d.sync += bits.eq(START)
            m.d.sync += timer.eq(self._divisor // 2 - 1)

        return m

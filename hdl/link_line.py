"""Octets on the serial line of the host link, one direction at a time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.crc import Crc
from hdl.uart import CHARACTER_BITS, Uart


__all__ = ["Line"]


class Line(wiring.Component):
    """A serial line with a checksum of what passes on it, whether it comes or goes.

    Parameters
    ----------
    divisor : int
        Cycles per bit.
    gap_octets : int
        Idle time that makes a silence, in octet times; rounded up to a power of two bit times.

    Members
    -------
    rx : In(1)
        Line from the host, asynchronous.
    tx : Out(1)
        Line to the host.
    sending : In(1)
        Which way octets pass; what arrives while it is set is lost.
    replies : In(stream.Signature(8))
        What to send.
    octet, passed : Out(8), Out(1)
        What passes, see `hdl.uart.Uart`.
    start : In(1)
        The checksum starts behind the octet that passes now.
    checking : In(1)
        The octet that passes now belongs to the checksum; what is sent is the checksum itself.
    damaged : Out(1)
        Of the checksum that has passed, a bit was wrong.
    lost : Out(1)
        Something arrives in vain.
    silent : Out(1)
        The host has sent nothing for ``gap_octets``.
    """
    def __init__(self, *, divisor, gap_octets):
        if gap_octets < 1:
            raise ValueError(f"'gap_octets' must be at least 1, not {gap_octets!r}")
        self._uart = Uart(divisor=divisor)
        # Counted from the last low bit, which may be all but one bit of an octet before its end.
        self._gap_bits = (gap_octets + 1) * CHARACTER_BITS

        super().__init__({
            "rx":       In(1, init=1),
            "tx":       Out(1, init=1),
            "sending":  In(1),
            "replies":  In(stream.Signature(8)),
            "octet":    Out(8),
            "passed":   Out(1),
            "start":    In(1),
            "checking": In(1),
            "damaged":  Out(1),
            "lost":     Out(1),
            "silent":   Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.uart = uart = self._uart
        m.submodules.crc  = crc  = Crc()

        wiring.connect(m, wiring.flipped(self.replies), uart.replies)
        for name in ("rx", "sending", "checking"):
            m.d.comb += getattr(uart, name).eq(getattr(self, name))
        for name in ("tx", "octet", "passed"):
            m.d.comb += getattr(self, name).eq(getattr(uart, name))
        m.d.comb += self.lost.eq(self.sending & uart.low)

        m.d.comb += uart.check.eq(crc.check)
        m.d.comb += crc.start.eq(self.start)
        m.d.comb += crc.valid.eq(uart.bit_passed)
        m.d.comb += crc.bit.eq(uart.bit)
        with m.If(self.start):
            m.d.sync += self.damaged.eq(0)
        with m.Elif(uart.bit_passed & self.checking & (uart.bit != crc.check)):
            m.d.sync += self.damaged.eq(1)

        idle = Signal(ceil_log2(self._gap_bits) + 1, reset_less=True)
        m.d.comb += self.silent.eq(idle[-1])
        with m.If(uart.low):
            m.d.sync += idle.eq(0)
        with m.Elif(uart.beat & ~self.silent):
            m.d.sync += idle.eq(idle + 1)

        return m

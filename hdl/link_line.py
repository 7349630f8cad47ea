"""Octets on the serial line of the host link, one direction at a time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.crc import Crc
from hdl.uart import CHARACTER_BITS, UartReceiver, UartTransmitter


__all__ = ["Line"]


class Line(wiring.Component):
    """A serial line whose octets, whether they come or go, pass one point with a checksum.

    While ``sending``, the octets of ``replies`` go out and pass as they are taken; what arrives
    meanwhile is lost. Otherwise the octets that arrive pass, and none of ``replies`` is taken.

    Parameters
    ----------
    divisor : int
        Cycles per bit.
    gap_octets : int
        Idle time that makes a silence, in octet times; rounded up to a power of two cycles.

    Members
    -------
    rx : In(1)
        Line from the host, asynchronous.
    tx : Out(1)
        Line to the host.
    sending : In(1)
        Which way octets pass.
    replies : In(stream.Signature(8))
        What to send.
    octets : Out(stream.Signature(8, always_ready=True))
        What passes.
    start : In(1)
        The checksum starts behind the octet that passes now.
    check : Out(16)
        Checksum of the octets that have passed, see `hdl.crc.Crc`.
    lost : Out(1)
        An octet arrived in vain.
    silent : Out(1)
        The host has sent nothing for ``gap_octets``.
    """
    def __init__(self, *, divisor, gap_octets):
        if gap_octets < 1:
            raise ValueError(f"'gap_octets' must be at least 1, not {gap_octets!r}")
        self._divisor = divisor
        self._gap_octets = gap_octets

        super().__init__({
            "rx":      In(1, init=1),
            "tx":      Out(1, init=1),
            "sending": In(1),
            "replies": In(stream.Signature(8)),
            "octets":  Out(stream.Signature(8, always_ready=True)),
            "start":   In(1),
            "check":   Out(16),
            "lost":    Out(1),
            "silent":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.receiver    = receiver    = UartReceiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self._divisor)
        m.submodules.crc         = crc         = Crc()

        m.d.comb += receiver.rx.eq(self.rx)
        m.d.comb += self.tx.eq(transmitter.tx)
        # A copy of the reply, so that choosing it and counting it take a cycle each.
        reply   = Signal(8)
        pending = Signal()
        m.d.sync += reply.eq(self.replies.payload)
        m.d.sync += pending.eq(self.sending & self.replies.valid & ~self.replies.ready)
        m.d.comb += self.replies.ready.eq(pending & transmitter.octets.ready)
        m.d.comb += transmitter.octets.payload.eq(reply)
        m.d.comb += transmitter.octets.valid.eq(pending)

        with m.If(self.sending):
            m.d.comb += self.octets.payload.eq(reply)
            m.d.comb += self.octets.valid.eq(self.replies.ready)
            m.d.comb += self.lost.eq(receiver.octets.valid)
        with m.Else():
            m.d.comb += self.octets.payload.eq(receiver.octets.payload)
            m.d.comb += self.octets.valid.eq(receiver.octets.valid)

        m.d.comb += crc.octets.payload.eq(self.octets.payload)
        m.d.comb += crc.octets.valid.eq(self.octets.valid)
        m.d.comb += crc.start.eq(self.start)
        m.d.comb += self.check.eq(crc.value)

        idle = Signal(ceil_log2(self._gap_octets * CHARACTER_BITS * self._divisor) + 1)
        m.d.comb += self.silent.eq(idle[-1])
        with m.If(receiver.active):
            m.d.sync += idle.eq(0)
        with m.Elif(~self.silent):
            m.d.sync += idle.eq(idle + 1)

        return m

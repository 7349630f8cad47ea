"""The checksum of the host link."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.protocol import CRC_INIT, CRC_POLYNOMIAL


__all__ = ["Crc"]


class Crc(wiring.Component):
    """CRC-16 of bits, as `hdl.protocol.crc16` computes it of octets, the lowest bit first.

    Members
    -------
    start : In(1)
        Begin anew; a bit that comes in the same cycle is not counted.
    valid, bit : In(1), In(1)
        A bit comes.
    check : Out(1)
        The bit that comes next where the checksum is next; counting it brings the one after it up.
    """

    start: In(1)
    valid: In(1)
    bit:   In(1)
    check: Out(1)

    def elaborate(self, platform):
        m = Module()

        value = Signal(16, init=CRC_INIT, reset_less=True)
        m.d.comb += self.check.eq(value[0])

        with m.If(self.start):
            m.d.sync += value.eq(CRC_INIT)
        with m.Elif(self.valid):
            excess = (self.bit ^ value[0]).replicate(16) & CRC_POLYNOMIAL
            m.d.sync += value.eq((value >> 1) ^ excess)

        return m

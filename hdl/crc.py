"""The checksum of the host link."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.protocol import CRC_INIT


__all__ = ["Crc"]


class Crc(wiring.Component):
    """CRC-16 of octets, as `hdl.protocol.crc16` computes it.

    ``value`` is the checksum of the octets since ``start``, from the cycle after the last of them.
    Throughput is one octet per cycle. An octet that comes together with ``start`` is not counted.

    Octets followed by their checksum, high octet first, leave the value 0. The high octet of
    the value is therefore the next to send, twice: counting it brings the low octet up.
    """

    octets: In(stream.Signature(8, always_ready=True))
    start:  In(1)
    value:  Out(16, init=CRC_INIT)

    def elaborate(self, platform):
        m = Module()

        # The polynomial has so few terms that eight steps of it fold into four shifts.
        excess = Signal(8)
        mixed  = Signal(8)
        m.d.comb += excess.eq(self.octets.payload ^ self.value[8:])
        m.d.comb += mixed.eq(excess ^ (excess >> 4))

        with m.If(self.start):
            m.d.sync += self.value.eq(CRC_INIT)
        with m.Elif(self.octets.valid):
            m.d.sync += self.value.eq((self.value << 8) ^ (mixed << 12) ^ (mixed << 5) ^ mixed)

        return m

"""The checksum of a section of an image."""

from functools import reduce
from operator import xor

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["Crc32"]


POLYNOMIAL = 0xEDB8_8320  # of the CRC-32 of zip and Ethernet, bits reversed
RESIDUE    = 0xDEBB_20E3  # what the register holds behind data that end in their CRC


class Crc32(wiring.Component):
    """Tells whether nibbles, of octets the lower one first, end in their own CRC-32.

    With nibbles, no bit of the register depends on more than four others: on iCE40 it is one logic
    cell. Eight bits at a time take twice as much.

    Members
    -------
    start : In(1)
        Begin anew; a nibble that comes in the same cycle is not counted.
    valid, nibble : In(1), In(4)
        A nibble comes.
    match : Out(1)
        The nibbles so far end in their CRC; from the cycle after the last of them.
    """

    start:  In(1)
    valid:  In(1)
    nibble: In(4)
    match:  Out(1)

    def elaborate(self, platform):
        m = Module()

        left  = Signal(32, reset_less=True)  # complement of the register, which begins with ones
        alike = Signal(4)
        m.d.comb += alike.eq(left[:4] ^ self.nibble)  # complement of what the register takes in
        m.d.comb += self.match.eq(left == RESIDUE ^ 0xFFFF_FFFF)

        with m.If(self.start):
            m.d.sync += left.eq(0)
        with m.Elif(self.valid):
            for index in range(32):
                terms = [~alike[bit] for bit in range(4) if _passage(1 << bit) >> index & 1]
                terms.append(left[index + 4] if index + 4 < 32 else Const(1))
                m.d.sync += left[index].eq(reduce(xor, terms))

        return m


def _passage(register):
    """Return the register after four bits that are 0."""
    for _ in range(4):
        register = register >> 1 ^ (POLYNOMIAL if register & 1 else 0)
    return register

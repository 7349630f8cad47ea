"""The queue behind the flash: it never overflows, since room is reserved before data is fetched."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2


__all__ = ["FlashQueue"]


class FlashQueue(wiring.Component):
    """A queue of halfwords in block RAM, with credits.

    Throughput is one halfword a cycle. A halfword stored in one cycle is offered two cycles later
    at the earliest; a credit is free in the cycle after its halfword was taken.

    Parameters
    ----------
    depth : int
        Halfwords in the queue, a power of two.

    Members
    -------
    room : Out(1)
        Whether a credit is free.
    reserve : In(1)
        Takes a credit; only while there is room.
    store, halfword : In(1), In(16)
        Stores a halfword that a credit was taken for.
    halves : Out(stream.Signature(16))
    """

    def __init__(self, *, depth):
        if depth < 2 or depth & depth - 1:
            raise ValueError(f"'depth' must be a power of two of at least 2, not {depth!r}")
        self._depth = depth
        super().__init__({
            "room":     Out(1),
            "reserve":  In(1),
            "store":    In(1),
            "halfword": In(16),
            "halves":   Out(stream.Signature(16)),
        })

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        bits = exact_log2(depth)

        m.submodules.storage = storage = memory.Memory(shape=16, depth=depth, init=[])
        write = storage.write_port()
        read  = storage.read_port()

        credits = Signal(signed(bits + 1), init=depth - 1)  # one less than there are
        shown   = Signal(signed(bits + 1), init=-1)         # one less than can be read
        first   = Signal(bits)
        stored  = Signal()
        taken   = Signal()

        m.d.comb += write.en.eq(self.store)
        m.d.comb += write.data.eq(self.halfword)
        m.d.sync += write.addr.eq(write.addr + self.store)
        m.d.sync += stored.eq(self.store)

        m.d.comb += read.addr.eq(first + taken)
        m.d.sync += first.eq(read.addr)
        m.d.comb += self.halves.payload.eq(read.data)
        m.d.comb += self.halves.valid.eq(~shown[-1])
        m.d.comb += taken.eq(self.halves.valid & self.halves.ready)

        m.d.comb += self.room.eq(~credits[-1])
        with m.If(taken != self.reserve):
            m.d.sync += credits.eq(credits + _step(up=taken, bits=bits + 1))
        with m.If(taken != stored):
            m.d.sync += shown.eq(shown + _step(up=stored, bits=bits + 1))

        return m


def _step(*, up, bits):
    """Return +1 where ``up``, else -1, in as many bits as need one adder."""
    return Cat(C(1, 1), (~up).replicate(bits - 1)).as_signed()

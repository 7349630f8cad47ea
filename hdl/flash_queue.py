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
    empty : Out(1)
        Nothing is stored.
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
            "empty":    Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        bits = exact_log2(depth)

        # A halfword is never read while it is stored, so nothing of that case need be built.
        m.submodules.storage = storage = memory.Memory(
            shape=16, depth=depth, init=[], attrs={"ram_style": "block", "no_rw_check": True})
        write = storage.write_port()
        read  = storage.read_port()

        # What the memory shows is the first halfword, where it is valid; the others are unread.
        owed   = Signal(bits + 1)          # credits that were taken
        unread = Signal(signed(bits + 1))  # 0, or less the number of them
        taken  = Signal()

        m.d.comb += write.en.eq(self.store)
        m.d.comb += write.data.eq(self.halfword)
        m.d.sync += write.addr.eq(write.addr + self.store)

        m.d.comb += self.empty.eq(~self.halves.valid & ~unread[-1])
        m.d.comb += taken.eq(self.halves.valid & self.halves.ready)
        m.d.comb += read.en.eq(unread[-1] & (~self.halves.valid | self.halves.ready))
        m.d.sync += read.addr.eq(read.addr + read.en)
        m.d.comb += self.halves.payload.eq(read.data)
        with m.If(~self.halves.valid | self.halves.ready):
            m.d.sync += self.halves.valid.eq(unread[-1])

        m.d.comb += self.room.eq(~owed[-1])
        with m.If(taken != self.reserve):
            m.d.sync += owed.eq(owed + _step(up=self.reserve, bits=bits + 1))
        with m.If(read.en != self.store):
            m.d.sync += unread.eq(unread + _step(up=read.en, bits=bits + 1))

        return m


def _step(*, up, bits):
    """Return +1 where ``up``, else -1, in as many bits as need one adder."""
    return Cat(C(1, 1), (~up).replicate(bits - 1)).as_signed()

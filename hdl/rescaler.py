"""From a sum to an octet: the rule of `hdl.fixed`, in logic."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["Rescaler"]


class Rescaler(wiring.Component):
    """``value * 2**-shift``, rounded half to even and saturated to ``bits``; one each cycle. The
    counterpart of `hdl.fixed.rescale`.

    Members
    -------
    value : In(signed(width))
        A sum.
    shift : In(5)
        Bits that are dropped.
    bits : In(4)
        Bits of the result, 1 to 8.
    signed : In(1)
        It has a sign.
    octet : Out(8)
        The result for the value of the cycle before.
    """
    def __init__(self, *, width):
        self._width = width
        super().__init__({
            "value":  In(signed(width)),
            "shift":  In(5),
            "bits":   In(4),
            "signed": In(1),
            "octet":  Out(8),
        })

    def elaborate(self, platform):
        m = Module()

        # The longest steps come first. Each keeps what the shorter ones can still bring down to an
        # octet, and the half, below it; all above must be like the sign.
        kept = Signal(self._width + 1)
        m.d.comb += kept.eq(Cat(Const(0, 1), self.value))
        sign = self.value[-1]
        rests, beyond = [], []
        for index in reversed(range(len(self.shift))):
            moves, size = self.shift[index], 1 << index
            width = 8 + size
            wide = Cat(kept, sign.replicate(max(width + size - len(kept), 0)))
            moved = Signal(width, name=f"moved_{size}")
            m.d.comb += moved.eq(Mux(moves, wide[size:], wide[:width]))
            rests.append(moves & kept[:size].any())
            high = kept[width:]
            beyond.append(~moves & (high != sign.replicate(len(high))))
            kept = moved

        floor  = Signal(signed(9))
        half   = Signal()
        rest   = Signal()
        over   = Signal()  # it has more than nine bits
        m.d.sync += half.eq(kept[0])
        m.d.sync += floor.eq(Cat(kept[1:], sign))
        m.d.sync += rest.eq(Cat(rests).any())
        m.d.sync += over.eq(Cat(beyond).any())

        # What rounding made of 255 has nine bits and no sign.
        rounded  = Signal(9)
        mask     = Signal(8)  # of the magnitude
        negative = Signal()
        m.d.comb += rounded.eq(floor + (half & (rest | floor[0])))
        m.d.comb += mask.eq(((1 << self.bits) - 1) >> self.signed)
        m.d.comb += negative.eq(floor[-1] & (over | rounded[-1]))
        excess = (rounded[:8] ^ negative.replicate(8)) & ~mask
        with m.If(negative & ~self.signed):
            m.d.comb += self.octet.eq(0)
        with m.Elif(over | (rounded[-1] & ~floor[-1]) | excess.any()):
            m.d.comb += self.octet.eq(mask ^ negative.replicate(8))
        with m.Else():
            m.d.comb += self.octet.eq(rounded[:8])

        return m

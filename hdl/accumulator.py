"""Running sums that start anew for free."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform, LatticePlatform


__all__ = ["Accumulator", "DoublingAccumulator"]


class Accumulator(wiring.Component):
    """Adds ``addend`` each cycle; where ``load`` is set, it starts anew with it.

    On iCE40 a bit of it is one logic cell: the fourth input of the adder's LUT, which synthesis
    leaves alone, chooses between the sum and the addend.
    """
    def __init__(self, *, width, addend_width):
        self._width = width
        super().__init__({
            "addend": In(signed(addend_width)),
            "load":   In(1),
            "sum":    Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()

        if isinstance(platform, LatticeICE40Platform):
            addend = Signal(signed(self._width))
            m.d.comb += addend.eq(self.addend)
            carry = Const(0)
            for index in range(self._width):
                total = Signal(name=f"total_{index}")
                m.submodules[f"lut_{index}"] = Instance("SB_LUT4",
                    p_LUT_INIT=Const(lut_init(lambda load, a, b, c: b if load else a ^ b ^ c), 16),
                    i_I0=self.load, i_I1=self.sum[index], i_I2=addend[index], i_I3=carry,
                    o_O=total,
                )
                m.d.sync += self.sum[index].eq(total)
                following = Signal(name=f"carry_{index}")
                m.submodules[f"carry_{index}"] = Instance("SB_CARRY",
                    i_I0=self.sum[index], i_I1=addend[index], i_CI=carry, o_CO=following,
                )
                carry = following
        else:
            m.d.sync += self.sum.eq(Mux(self.load, 0, self.sum) + self.addend)

        return m


class DoublingAccumulator(wiring.Component):
    """Adds ``addend`` each cycle to the sum so far, or to twice that where ``double`` is set.
    Behind a cycle in which ``clear`` is set, it starts anew with 0. ``total`` is the sum with the
    addend.

    On ECP5 two bits of it are one carry cell: the fourth input of its LUTs, which synthesis leaves
    alone, chooses what the addend is added to.
    """
    def __init__(self, *, width, addend_width):
        self._width = width
        super().__init__({
            "addend": In(signed(addend_width)),
            "double": In(1),
            "clear":  In(1),
            "total":  Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()

        sum_ = Signal(signed(self._width))
        with m.If(self.clear):
            m.d.sync += sum_.eq(0)
        with m.Else():
            m.d.sync += sum_.eq(self.total)

        if isinstance(platform, LatticePlatform):
            addend = Signal(signed(self._width + 1))
            kept = Cat(sum_, Const(0, 1))
            twice = Cat(Const(0, 1), sum_)
            m.d.comb += addend.eq(self.addend)
            # Where what is added agrees, it is the carry: the LUT's value for C and D of 0.
            init = Const(lut_init(lambda a, b, c, d: a ^ (b if d else c)), 16)
            carry = Const(0)
            for index in range(0, self._width, 2):
                following = Signal(name=f"carry_{index}")
                totals = Signal(2, name=f"totals_{index}")
                m.submodules[f"cell_{index}"] = Instance("CCU2C",
                    p_INIT0=init, p_INIT1=init, p_INJECT1_0="NO", p_INJECT1_1="NO",
                    i_A0=addend[index], i_B0=twice[index], i_C0=kept[index], i_D0=self.double,
                    i_A1=addend[index + 1], i_B1=twice[index + 1], i_C1=kept[index + 1],
                    i_D1=self.double,
                    i_CIN=carry, o_COUT=following, o_S0=totals[0], o_S1=totals[1],
                )
                m.d.comb += self.total[index:index + 2].eq(totals)
                carry = following
        else:
            m.d.comb += self.total.eq(
                Mux(self.double, sum_ << 1, sum_) + self.addend)

        return m


def lut_init(function):
    """Return the table of a LUT4: bit i is ``function`` of the bits of i, I0 first."""
    return sum(function(*(index >> bit & 1 for bit in range(4))) << index for index in range(16))

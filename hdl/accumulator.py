"""A running sum that starts anew for free."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform


__all__ = ["Accumulator"]


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


def lut_init(function):
    """Return the table of a LUT4: bit i is ``function`` of the bits of i, I0 first."""
    return sum(function(*(index >> bit & 1 for bit in range(4))) << index for index in range(16))

"""A number that is loaded, and counts."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform

from hdl.accumulator import lut_init


__all__ = ["LoadableCounter"]


class LoadableCounter(wiring.Component):
    """A number that becomes ``value`` where ``load`` is set, and changes by one where it is not.

    Only bits that ``enable`` has change, so a part of the number can be loaded. When it counts,
    those are the bits from some place on downwards. On iCE40 a bit of it is one logic cell, as one
    of `hdl.accumulator` is.

    Parameters
    ----------
    width : int
        Bits.
    up : bool
        Whether it counts up, not down.

    Members
    -------
    value, load, enable : In(width), In(1), In(width)
    count : Out(width)
        Begins with 0.
    """
    def __init__(self, *, width, up):
        self._width = width
        self._up = up
        super().__init__({
            "value":  In(width),
            "load":   In(1),
            "enable": In(width),
            "count":  Out(width),
        })

    def elaborate(self, platform):
        m = Module()

        following = Signal(self._width)
        if isinstance(platform, LatticeICE40Platform):
            self._add_cells(m, following)
        elif self._up:
            m.d.comb += following.eq(Mux(self.load, self.value, self.count + 1))
        else:
            m.d.comb += following.eq(Mux(self.load, self.value, self.count - 1))
        for index in range(self._width):
            with m.If(self.enable[index]):
                m.d.sync += self.count[index].eq(following[index])

        return m

    def _add_cells(self, m, following):
        # What is added is all zeros and a carry, or all ones, as long as it counts; so the input
        # of the LUT that it has to come through chooses, too.
        up, addend, carry = self._up, Signal(), Const(self._up)
        m.d.comb += addend.eq(self.load if up else ~self.load)
        table = lut_init(lambda value, bit, addend, carry:
                         value if addend == up else bit ^ addend ^ carry)
        for index in range(self._width):
            m.submodules[f"lut_{index}"] = Instance("SB_LUT4",
                p_LUT_INIT=Const(table, 16),
                i_I0=self.value[index], i_I1=self.count[index], i_I2=addend, i_I3=carry,
                o_O=following[index],
            )
            above = Signal(name=f"carry_{index}")
            m.submodules[f"carry_{index}"] = Instance("SB_CARRY",
                i_I0=self.count[index], i_I1=addend, i_CI=carry, o_CO=above,
            )
            carry = above

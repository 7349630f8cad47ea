"""Products of octets, two to a DSP block."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform


__all__ = ["DualMultiplier"]


UNUSED = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "OHOLDTOP", "OHOLDBOT", "OLOADTOP", "OLOADBOT",
          "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "ADDSUBTOP", "ADDSUBBOT", "CI", "ACCUMCI",
          "SIGNEXTIN")  # inputs of one bit of SB_MAC16


class DualMultiplier(wiring.Component):
    """Two products of signed octets, two cycles after their factors; two each cycle.

    On iCE40 UltraPlus it is one `SB_MAC16`; elsewhere the tools choose.
    """

    a0: In(signed(8))
    b0: In(signed(8))
    a1: In(signed(8))
    b1: In(signed(8))

    product0: Out(signed(16))
    product1: Out(signed(16))

    def elaborate(self, platform):
        m = Module()

        if isinstance(platform, LatticeICE40Platform) and platform.device.startswith("iCE40UP"):
            m.submodules.mac = Instance("SB_MAC16",
                p_A_REG=1, p_B_REG=1, p_A_SIGNED=1, p_B_SIGNED=1, p_MODE_8x8=1,
                p_TOP_8x8_MULT_REG=1, p_BOT_8x8_MULT_REG=1,
                p_TOPOUTPUT_SELECT=2, p_BOTOUTPUT_SELECT=2,
                i_CLK=ClockSignal(), i_CE=Const(1),
                i_A=Cat(self.a0, self.a1), i_B=Cat(self.b0, self.b1),
                o_O=Cat(self.product0, self.product1),
                **{f"i_{name}": Const(0) for name in UNUSED},
            )
        else:
            for a, b, product in ((self.a0, self.b0, self.product0),
                                  (self.a1, self.b1, self.product1)):
                factor_a = Signal.like(a)
                factor_b = Signal.like(b)
                m.d.sync += factor_a.eq(a)
                m.d.sync += factor_b.eq(b)
                m.d.sync += product.eq(factor_a * factor_b)

        return m

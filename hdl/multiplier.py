"""Products of octets, two to a DSP block."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform


__all__ = ["PairMultiplier"]


UNUSED = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "OHOLDTOP", "OHOLDBOT", "OLOADTOP", "OLOADBOT",
          "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "ADDSUBTOP", "ADDSUBBOT", "CI", "ACCUMCI",
          "SIGNEXTIN")  # inputs of one bit of SB_MAC16


class PairMultiplier(wiring.Component):
    """``a0 * b0 + a1 * b1`` of signed octets, two cycles after them; one sum each cycle.

    On iCE40 UltraPlus it is one `SB_MAC16`, whose upper half adds the product of the lower one;
    elsewhere the tools choose. The block adds 16 bits, in which only -128 * -128 twice is too much:
    it looks like the lowest number, which no two products make, so its sign is told by the others.
    """

    a0: In(signed(8))
    b0: In(signed(8))
    a1: In(signed(8))
    b1: In(signed(8))

    sum: Out(signed(17))

    def elaborate(self, platform):
        m = Module()

        if isinstance(platform, LatticeICE40Platform) and platform.device.startswith("iCE40UP"):
            product = Signal(16)
            total   = Signal(16)
            m.submodules.mac = Instance("SB_MAC16",
                p_A_REG=1, p_B_REG=1, p_A_SIGNED=1, p_B_SIGNED=1, p_MODE_8x8=1,
                p_TOP_8x8_MULT_REG=1, p_BOT_8x8_MULT_REG=1,
                p_TOPADDSUB_UPPERINPUT=1, p_TOPADDSUB_LOWERINPUT=1,
                p_TOPOUTPUT_SELECT=0, p_BOTOUTPUT_SELECT=2,
                i_CLK=ClockSignal(), i_CE=Const(1),
                i_A=Cat(self.a0, self.a1), i_B=Cat(self.b0, self.b1), i_C=product,
                i_D=Const(0, 16),
                o_O=Cat(product, total),
                **{f"i_{name}": Const(0) for name in UNUSED},
            )
            m.d.comb += self.sum.eq(Cat(total, total[15] & total[8:15].any()))
        else:
            products = []
            for index, (a, b) in enumerate([(self.a0, self.b0), (self.a1, self.b1)]):
                factor_a = Signal.like(a, name=f"a{index}_1")
                factor_b = Signal.like(b, name=f"b{index}_1")
                product = Signal(signed(16), name=f"product_{index}")
                m.d.sync += factor_a.eq(a)
                m.d.sync += factor_b.eq(b)
                m.d.sync += product.eq(factor_a * factor_b)
                products.append(product)
            m.d.comb += self.sum.eq(products[0] + products[1])

        return m

"""Clocks and pins around an accelerator on ECP5."""

from amaranth import *
from amaranth.lib import io

from boards.ecp5_flash import Ecp5FlashPads
from boards.shell import Shell


__all__ = ["Ecp5Shell", "pll_dividers"]


# Limits of the PLL, from Lattice's data sheet of the ECP5.
VCO_HZ = 400e6, 800e6
PHASE_DETECTOR_HZ = 10e6, 400e6
DIVIDER = 128  # the highest of each


def pll_dividers(reference_hz, wanted_hz):
    """Return (CLKI_DIV, CLKFB_DIV, CLKOP_DIV) for a PLL output of exactly ``wanted_hz``, which is
    fed back, and beside which there is room for one of half its rate.

    Raises `ValueError` where there are none.
    """
    for divided in range(1, DIVIDER + 1):
        if not PHASE_DETECTOR_HZ[0] <= reference_hz / divided <= PHASE_DETECTOR_HZ[1]:
            continue
        times, rest = divmod(wanted_hz * divided, reference_hz)
        if rest or not 1 <= times <= DIVIDER:
            continue
        for output in range(1, DIVIDER // 2 + 1):
            if VCO_HZ[0] <= wanted_hz * output <= VCO_HZ[1]:
                return divided, times, output
    raise ValueError(f"'wanted_hz' must be a frequency that the PLL makes of {reference_hz} Hz, "
                     f"not {wanted_hz!r}")


class Ecp5Shell(Shell):
    """`Shell` for a PLL of its family, whose two outputs are in phase."""

    pads = Ecp5FlashPads

    def connect_pll(self, m, platform, sync, fast, locked):
        divided, times, output = pll_dividers(
            int(platform.default_clk_frequency), 2 * self._clock_hz)
        oscillator = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.submodules.oscillator = oscillator
        # An output with a phase of its divider less 1 begins with the cycle of the oscillator.
        # nextpnr knows the rates of both from the oscillator's.
        m.submodules.pll = Instance("EHXPLLL",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            p_CLKI_DIV=divided, p_CLKFB_DIV=times, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=output, p_CLKOP_CPHASE=output - 1,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=2 * output, p_CLKOS_CPHASE=2 * output - 1,
            p_CLKOP_FPHASE=0, p_CLKOS_FPHASE=0,
            i_CLKI=oscillator.i, i_CLKFB=fast.clk, i_RST=Const(0), i_STDBY=Const(0),
            i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1), i_PHASELOADREG=Const(1), i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0), i_ENCLKOS=Const(0),
            o_CLKOP=fast.clk, o_CLKOS=sync.clk, o_LOCK=locked,
        )

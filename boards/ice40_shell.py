"""Clocks and pins around an accelerator on iCE40."""

from amaranth import *

from boards.ice40_flash import Ice40FlashPads
from boards.shell import Shell


__all__ = ["Ice40Shell", "pll_dividers"]


# Limits of the PLL, from Lattice's data sheet of the iCE40 UltraPlus.
VCO_HZ = 533e6, 1066e6
PHASE_DETECTOR_HZ = 10e6, 133e6


def pll_dividers(reference_hz, wanted_hz):
    """Return (DIVR, DIVF, DIVQ) for a PLL output of exactly ``wanted_hz``, with simple feedback.

    Raises `ValueError` where there are none.
    """
    for divr in range(16):
        if not PHASE_DETECTOR_HZ[0] <= reference_hz / (divr + 1) <= PHASE_DETECTOR_HZ[1]:
            continue
        for divq in range(1, 7):
            divf, rest = divmod(wanted_hz * (divr + 1) << divq, reference_hz)
            vco_hz = wanted_hz << divq
            if not rest and 1 <= divf <= 128 and VCO_HZ[0] <= vco_hz <= VCO_HZ[1]:
                return divr, divf - 1, divq
    raise ValueError(f"'wanted_hz' must be a frequency that the PLL makes of {reference_hz} Hz, "
                     f"not {wanted_hz!r}")


class Ice40Shell(Shell):
    """`Shell` for a PLL of its family, whose two outputs are in phase."""

    pads = Ice40FlashPads

    def connect_pll(self, m, platform, sync, fast, locked):
        divr, divf, divq = pll_dividers(int(platform.default_clk_frequency), 2 * self._clock_hz)
        m.submodules.pll = Instance("SB_PLL40_2F_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_DIVR=divr, p_DIVF=divf, p_DIVQ=divq, p_FILTER_RANGE=1,
            p_PLLOUT_SELECT_PORTA="GENCLK", p_PLLOUT_SELECT_PORTB="GENCLK_HALF",
            i_PACKAGEPIN=platform.request(platform.default_clk, dir="-").io,
            i_RESETB=Const(1), i_BYPASS=Const(0),
            o_PLLOUTGLOBALA=fast.clk, o_PLLOUTGLOBALB=sync.clk,
            o_LOCK=locked,
        )
        platform.add_clock_constraint(fast.clk, 2 * self._clock_hz)
        platform.add_clock_constraint(sync.clk, self._clock_hz)

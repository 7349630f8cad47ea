"""Clocks and pins around an accelerator on a Gowin chip."""

from amaranth import *
from amaranth.lib import io

from boards.gowin_flash import GowinFlashPads
from boards.shell import Shell


__all__ = ["GowinShell", "pll_dividers"]


# Limits of the rPLL at speed C6/I5, as Apicula has them.
VCO_HZ = 400e6, 1200e6
PHASE_DETECTOR_HZ = 3e6, 400e6
DIVIDER = 64  # the highest of the input and of the feedback
OUTPUTS = 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128


def pll_dividers(reference_hz, wanted_hz):
    """Return (IDIV_SEL, FBDIV_SEL, ODIV_SEL) for a PLL output of exactly ``wanted_hz``.

    Raises `ValueError` where there are none.
    """
    for divided in range(1, DIVIDER + 1):
        if not PHASE_DETECTOR_HZ[0] <= reference_hz / divided <= PHASE_DETECTOR_HZ[1]:
            continue
        times, rest = divmod(wanted_hz * divided, reference_hz)
        if rest or not 1 <= times <= DIVIDER:
            continue
        for output in OUTPUTS:
            if VCO_HZ[0] <= wanted_hz * output <= VCO_HZ[1]:
                return divided - 1, times - 1, output
    raise ValueError(f"'wanted_hz' must be a frequency that the PLL makes of {reference_hz} Hz, "
                     f"not {wanted_hz!r}")


class GowinShell(Shell):
    """`Shell` for a PLL of its family."""

    pads = GowinFlashPads

    def connect_pll(self, m, platform, sync, fast, locked):
        reference_hz = int(platform.default_clk_frequency)
        divided, times, output = pll_dividers(reference_hz, 2 * self._clock_hz)
        oscillator = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.submodules.oscillator = oscillator
        m.submodules.pll = Instance("rPLL",
            p_DEVICE=platform.family, p_FCLKIN=str(reference_hz / 1e6),
            p_IDIV_SEL=divided, p_FBDIV_SEL=times, p_ODIV_SEL=output,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            p_CLKFB_SEL="internal", p_PSDA_SEL="0000", p_DUTYDA_SEL="1000", p_DYN_DA_EN="false",
            p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false", p_CLKOUTD_BYPASS="false",
            p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT", p_DYN_SDIV_SEL=2,
            i_CLKIN=oscillator.i, i_CLKFB=Const(0), i_RESET=Const(0), i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=fast.clk, o_CLKOUTD=sync.clk, o_LOCK=locked,
        )
        platform.add_clock_constraint(fast.clk, 2 * self._clock_hz)
        platform.add_clock_constraint(sync.clk, self._clock_hz)

"""Clocks and pins around an accelerator on ECP5."""

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from boards.ecp5_flash import Ecp5FlashPads
from boards.flash_lines import request_flash
from boards.serial_line import connect_serial


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


class Ecp5Shell(Elaboratable):
    """An accelerator with the pins of its board, and two clocks from the board's oscillator.

    ``fast`` comes from the PLL, ``sync`` is half of it, from the same PLL and in phase. Both are
    in reset until the PLL has locked.
    """
    def __init__(self, accelerator, clock_hz):
        self._accelerator = accelerator
        self._clock_hz = clock_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = self._accelerator

        locked = Signal()
        m.domains.sync = sync = ClockDomain()
        m.domains.fast = fast = ClockDomain()
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
        m.submodules.reset_sync = ResetSynchronizer(~locked, domain="sync")
        m.submodules.reset_fast = ResetSynchronizer(~locked, domain="fast")

        m.submodules.flash = flash = Ecp5FlashPads(request_flash(platform))
        wiring.connect(m, accelerator.pads, flash)
        connect_serial(m, platform.request("uart", dir="-"), accelerator)

        return m

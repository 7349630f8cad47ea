"""Registers in the pins of an ECP5 that lead to its configuration flash."""

from amaranth import *

from boards.flash_lines import FlashPads


__all__ = ["Ecp5FlashPads"]


class Ecp5FlashPads(FlashPads):
    """Has the register of the clock in the fabric, and all others in the pins.

    The clock leaves through `USRMCLK`, as the pin belongs to the logic that configures the chip.
    There is no register in it that has a level for each half of a cycle, so both must be the same:
    the flash reader runs at half rate. While ``fast`` is in reset, the clock is not driven.
    """

    def connect_clock(self, m):
        sck = Signal()
        m.d.fast += sck.eq(self.sck[0])
        m.submodules.sck = Instance("USRMCLK", i_USRMCLKI=sck, i_USRMCLKTS=ResetSignal("fast"))

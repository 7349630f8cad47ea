"""Registers in front of the pins of a Gowin chip that lead to a flash chip."""

from amaranth.lib import io

from boards.flash_lines import FlashPads


__all__ = ["GowinFlashPads"]


class GowinFlashPads(FlashPads):
    """Has its registers in the fabric.

    The register for each half of a cycle that the pins have is two cycles late, so the clock has
    one for the whole cycle: the flash reader runs at half rate.
    """

    def connect_clock(self, m):
        m.submodules.sck = sck = io.FFBuffer("o", self._port.clk, o_domain="fast")
        m.d.comb += sck.o.eq(self.sck[0])

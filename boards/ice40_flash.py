"""Registers in the pins of an iCE40 that lead to its configuration flash."""

from amaranth.lib import io

from boards.flash_lines import FlashPads


__all__ = ["Ice40FlashPads"]


class Ice40FlashPads(FlashPads):
    """Has its registers in the pins, that of the clock one for each half of the cycle."""

    def connect_clock(self, m):
        m.submodules.sck = sck = io.DDRBuffer("o", self._port.clk, o_domain="fast")
        m.d.comb += sck.o[0].eq(self.sck[0])
        m.d.comb += sck.o[1].eq(self.sck[1])

"""Registers in front of the pins of a Gowin chip that lead to a flash chip."""

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from boards.flash_lines import connect_lines, connect_select


__all__ = ["GowinFlashPads"]


class GowinFlashPads(wiring.Component):
    """Drives the flash from registers in the fabric, all of the domain ``fast``.

    The register for each half of a cycle that the pins have is two cycles late, so the clock has
    one for the whole cycle: the flash reader runs at half rate.

    Every output passes one register, every input is captured at the end of the cycle. The members
    are those that a flash reader's pads have, and connect to them. Where the board has two lines,
    the others are neither driven nor read.

    Parameters
    ----------
    port : PortGroup
        ``platform.request("spi_flash_1x", dir="-")``, with ``cs``, ``clk``, and data lines as
        `boards.flash_lines.flash_lines` takes them.

    Members
    -------
    cs_n : In(1)
    sck : In(2)
        The level of the clock, twice.
    io_o, io_oe : In(4)
    io_i : Out(4)
    """

    def __init__(self, port):
        self._port = port
        super().__init__({
            "cs_n":  In(1, init=1),
            "sck":   In(2),
            "io_o":  In(4),
            "io_oe": In(4),
            "io_i":  Out(4),
        })

    def elaborate(self, platform):
        m = Module()

        connect_select(m, self, self._port)

        m.submodules.sck = sck = io.FFBuffer("o", self._port.clk, o_domain="fast")
        m.d.comb += sck.o.eq(self.sck[0])

        connect_lines(m, self, self._port)

        return m

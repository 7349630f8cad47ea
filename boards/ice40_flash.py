"""Registers in the pins of an iCE40 that lead to its configuration flash."""

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from boards.flash_lines import connect_lines, connect_select


__all__ = ["Ice40FlashPads"]


class Ice40FlashPads(wiring.Component):
    """Drives the flash from registers in the pins, all of the domain ``fast``.

    Every output passes one register; the clock has a register for each half of the cycle. Every
    input is captured at the end of the cycle. The members are those that a flash reader's pads
    have, and connect to them.

    Parameters
    ----------
    port : PortGroup
        ``platform.request("spi_flash_4x", dir="-")``, with ``cs``, ``clk`` and ``dq``, or
        ``platform.request("spi_flash_1x", dir="-")``, with ``copi``, ``cipo``, ``wp`` and
        ``hold`` in place of ``dq``.

    Members
    -------
    cs_n : In(1)
    sck : In(2)
        Levels in the first and in the second half of the cycle.
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

        m.submodules.sck = sck = io.DDRBuffer("o", self._port.clk, o_domain="fast")
        m.d.comb += sck.o[0].eq(self.sck[0])
        m.d.comb += sck.o[1].eq(self.sck[1])

        connect_lines(m, self, self._port)

        return m

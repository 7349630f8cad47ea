"""Registers in the pins of an ECP5 that lead to its configuration flash."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.flash_lines import connect_lines, connect_select


__all__ = ["Ecp5FlashPads"]


class Ecp5FlashPads(wiring.Component):
    """Drives the flash from registers, all of the domain ``fast``: those of the clock in the
    fabric, all others in the pins.

    The clock leaves through `USRMCLK`, as the pin belongs to the logic that configures the chip.
    There is no register in it that has a level for each half of a cycle, so both must be the same:
    the flash reader runs at half rate. While ``fast`` is in reset, the clock is not driven.

    Every output passes one register, every input is captured at the end of the cycle. The members
    are those that a flash reader's pads have, and connect to them.

    Parameters
    ----------
    port : PortGroup
        ``platform.request("spi_flash", dir="-")``, with ``cs``, and data lines as
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

        sck = Signal()
        m.d.fast += sck.eq(self.sck[0])
        m.submodules.sck = Instance("USRMCLK", i_USRMCLKI=sck, i_USRMCLKTS=ResetSignal("fast"))

        connect_lines(m, self, self._port)

        return m

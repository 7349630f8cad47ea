"""The lines of a flash chip, however a board names them, and the registers at their pins."""

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["FlashPads", "flash_lines", "request_flash"]

NAMES = "spi_flash", "spi_flash_1x", "spi_flash_4x"


def request_flash(platform):
    """Return the pins of the flash chip, by the first of `NAMES` that ``platform`` has."""
    name = next((name for name in NAMES if (name, 0) in platform.resources), NAMES[0])
    return platform.request(name, dir="-")


def flash_lines(port):
    """Return the ports of the data lines, line 0 first, in both directions and without inversion.

    Parameters
    ----------
    port : PortGroup
        With ``dq``, or with ``copi``, ``cipo`` and, where they are wired, ``wp`` and ``hold``.
    """
    if hasattr(port, "dq"):
        return [port.dq[index] for index in range(4)]
    return [io.SingleEndedPort(getattr(port, name).io, direction="io")
            for name in ("copi", "cipo", "wp", "hold") if hasattr(port, name)]


class FlashPads(wiring.Component):
    """Drives a flash chip from registers, all of the domain ``fast``.

    Every output passes one register, every input is captured at the end of the cycle. The members
    are those that a flash reader's pads have, and connect to them. Lines that are not wired are
    neither driven nor read. A family of chips has its own `connect_clock`.

    Parameters
    ----------
    port : PortGroup
        As `request_flash` returns it: with ``cs``, data lines as `flash_lines` takes them, and
        ``clk``, if a pin of its own leads to it.

    Members
    -------
    cs_n : In(1)
    sck : In(2)
        Levels of the clock in the first and in the second half of the cycle.
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

    def connect_clock(self, m):
        """Connect ``sck`` to the clock of the flash chip."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()

        m.submodules.cs = cs = io.FFBuffer("o", self._port.cs, o_domain="fast")
        m.d.comb += cs.o.eq(~self.cs_n)  # the port knows that the pin is active low

        self.connect_clock(m)

        for index, line in enumerate(flash_lines(self._port)):
            buffer = io.FFBuffer("io", line, i_domain="fast", o_domain="fast")
            m.submodules[f"io{index}"] = buffer
            m.d.comb += buffer.o.eq(self.io_o[index])
            m.d.comb += buffer.oe.eq(self.io_oe[index])
            m.d.comb += self.io_i[index].eq(buffer.i)

        return m

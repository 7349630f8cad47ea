"""The lines of a flash chip, however a board names them."""

from amaranth.lib import io


__all__ = ["connect_lines", "connect_select", "flash_lines", "request_flash"]

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


def connect_select(m, pads, port):
    """Connect the member ``cs_n`` of ``pads`` to a register of the domain ``fast`` at its pin."""
    m.submodules.cs = cs = io.FFBuffer("o", port.cs, o_domain="fast")
    m.d.comb += cs.o.eq(~pads.cs_n)  # the port knows that the pin is active low


def connect_lines(m, pads, port):
    """Connect the members ``io_o``, ``io_oe`` and ``io_i`` of ``pads`` to registers of the domain
    ``fast`` at the pins of the data lines. Lines that are not wired are not read.
    """
    for index, line in enumerate(flash_lines(port)):
        buffer = io.FFBuffer("io", line, i_domain="fast", o_domain="fast")
        m.submodules[f"io{index}"] = buffer
        m.d.comb += buffer.o.eq(pads.io_o[index])
        m.d.comb += buffer.oe.eq(pads.io_oe[index])
        m.d.comb += pads.io_i[index].eq(buffer.i)

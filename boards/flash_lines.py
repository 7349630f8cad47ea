"""The data lines of a flash chip, however a board names them."""

from amaranth.lib import io


__all__ = ["flash_lines"]


def flash_lines(port):
    """Return the ports of lines 0 to 3, in both directions and without inversion.

    Parameters
    ----------
    port : PortGroup
        With ``dq``, or with ``copi``, ``cipo``, ``wp`` and ``hold``.
    """
    if hasattr(port, "dq"):
        return [port.dq[index] for index in range(4)]
    return [io.SingleEndedPort(line.io, direction="io")
            for line in (port.copi, port.cipo, port.wp, port.hold)]

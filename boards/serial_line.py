"""The serial line of the host."""

from amaranth.lib import io


__all__ = ["connect_serial"]


def connect_serial(m, port, accelerator):
    """Connect ``rx`` and ``tx`` of an accelerator to the pins of a UART."""
    m.submodules.rx = rx = io.Buffer("i", port.rx)
    m.submodules.tx = tx = io.Buffer("o", port.tx)
    m.d.comb += accelerator.rx.eq(rx.i)
    m.d.comb += tx.o.eq(accelerator.tx)

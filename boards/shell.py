"""What is around an accelerator on every chip."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer

from boards.flash_lines import request_flash
from boards.serial_line import connect_serial


__all__ = ["Shell"]


class Shell(Elaboratable):
    """An accelerator with the pins of its board, and two clocks from the board's oscillator.

    ``fast`` comes from the PLL, ``sync`` is half of it, from the same PLL. Both are in reset until
    the PLL has locked. A family of chips has its own `connect_pll`, and registers at
    the pins of the flash: ``pads``, a `boards.flash_lines.FlashPads`.
    """
    pads = None

    def __init__(self, accelerator, clock_hz):
        self._accelerator = accelerator
        self._clock_hz = clock_hz

    def connect_pll(self, m, platform, sync, fast, locked):
        """Make the clocks of both domains, and the signal ``locked``."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = self._accelerator

        locked = Signal()
        m.domains.sync = sync = ClockDomain()
        m.domains.fast = fast = ClockDomain()
        self.connect_pll(m, platform, sync, fast, locked)
        m.submodules.reset_sync = ResetSynchronizer(~locked, domain="sync")
        m.submodules.reset_fast = ResetSynchronizer(~locked, domain="fast")

        m.submodules.flash = flash = self.pads(request_flash(platform))
        wiring.connect(m, accelerator.pads, flash)
        connect_serial(m, platform.request("uart", dir="-"), accelerator)
        return m

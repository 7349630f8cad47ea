"""iCEBreaker: iCE40UP5K with 128 Mbit of quad SPI flash and a USB bridge with UART."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from boards.board import Board, Resources
from boards.ice40_shell import Ice40Shell


__all__ = ["BOARD"]


BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    chip="iCE40UP5K-SG48",
    available=Resources(lut4=5280, ebr=30, spram=4, dsp=8),
    clock_hz=24_000_000,
    flash_continuous=True,  # W25Q128JV-IM
    platform=ICEBreakerPlatform,
    shell=Ice40Shell,
)

"""iCEBreaker: iCE40UP5K with 128 Mbit of quad SPI flash and a USB bridge with UART."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from boards.board import Board, Resources
from boards.ice40_shell import Ice40Shell


__all__ = ["BOARD"]


BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    chip="iCE40UP5K-SG48",
    family="ice40",
    part=("--up5k", "--package", "sg48"),
    available=Resources(lut4=5280, ebr=30, spram=4, dsp=8),
    clock_hz=27_375_000,
    baud=3_000_000,
    flash_lines=4,
    flash_full_rate=True,
    flash_continuous=True,  # W25Q128JV-IM
    bitstream_offset=0,
    image_offset=0x10_0000,
    platform=ICEBreakerPlatform,
    shell=Ice40Shell,
)

"""iCESugar: iCE40UP5K with 64 Mbit of quad SPI flash and a USB bridge with UART."""

from amaranth_boards.icesugar import ICESugarPlatform

from boards.board import Board, Resources
from boards.ice40_shell import Ice40Shell


__all__ = ["BOARD"]


BOARD = Board(
    name="icesugar",
    title="MuseLab iCESugar",
    chip="iCE40UP5K-SG48",
    family="ice40",
    part=("--up5k", "--package", "sg48"),
    available=Resources(lut4=5280, ebr=30, spram=4, dsp=8),
    clock_hz=27_375_000,
    baud=115_200,            # its bridge is a microcontroller, of which no more is promised
    flash_lines=4,
    flash_full_rate=True,
    flash_continuous=False,  # not every W25Q64 has it
    bitstream_offset=0,
    image_offset=0x10_0000,
    platform=ICESugarPlatform,
    shell=Ice40Shell,
)

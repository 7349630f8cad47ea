"""OrangeCrab r0.2 with an ECP5 LFE5U-25F, and 128 Mbit of quad SPI flash behind a bootloader.

It has no chip for a serial line. The line is on the pins that the header calls 0 (RX) and 1 (TX),
for an adapter of 3.3 V.
"""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
from amaranth_boards.resources import UARTResource

from boards.board import Board, Resources
from boards.ecp5_shell import Ecp5Shell


__all__ = ["BOARD", "OrangeCrabPlatform"]


class OrangeCrabPlatform(OrangeCrabR0_2_25FPlatform):
    """The board with an adapter at its header."""

    resources = [
        *OrangeCrabR0_2_25FPlatform.resources,
        UARTResource(0, rx="0", tx="1", conn=("io", 0),
                     attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
    ]


BOARD = Board(
    name="orangecrab",
    title="OrangeCrab r0.2 25F",
    chip="LFE5U-25F-8MG285C",
    family="ecp5",
    part=("--25k", "--package", "CSFBGA285", "--speed", "8"),
    available=Resources(lut4=24_288, ebr=56, spram=0, dsp=28),
    clock_hz=48_000_000,
    baud=3_000_000,
    flash_lines=4,
    flash_full_rate=False,    # its clock leaves through USRMCLK, which has no register
    flash_continuous=False,   # not every W25Q128 has it
    bitstream_offset=0x8_0000,
    image_offset=0x10_0000,   # where its bootloader writes what is not a bitstream
    platform=OrangeCrabPlatform,
    shell=Ecp5Shell,
)

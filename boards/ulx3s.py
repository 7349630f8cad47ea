"""ULX3S with an ECP5 LFE5U-85F, 128 Mbit of quad SPI flash and a USB bridge with UART."""

from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from boards.board import Board, Resources
from boards.ecp5_shell import Ecp5Shell


__all__ = ["BOARD", "Ulx3sShell"]


class Ulx3sShell(Ecp5Shell):
    """`Ecp5Shell`, with the pin held high by which the radio module beside it restarts the FPGA."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.radio = radio = io.Buffer("o", platform.request("esp32", dir="-").gpio0)
        m.d.comb += radio.o.eq(1)
        return m


BOARD = Board(
    name="ulx3s",
    title="Radiona ULX3S 85F",
    chip="LFE5U-85F-6BG381C",
    family="ecp5",
    part=("--85k", "--package", "CABGA381", "--speed", "6"),
    available=Resources(lut4=83_640, ebr=208, spram=0, dsp=156),
    clock_hz=43_750_000,
    baud=2_000_000,
    flash_lines=4,
    flash_full_rate=False,   # its clock leaves through USRMCLK, which has no register
    flash_continuous=True,   # IS25LP128F, W25Q128JV-IM
    bitstream_offset=0,
    image_offset=0x20_0000,  # a bitstream has up to 1.9 MB
    platform=ULX3S_85F_Platform,
    shell=Ulx3sShell,
)

"""Sipeed Tang Nano 9K: GW1NR-9 with 32 Mbit of SPI flash and a USB bridge with UART.

The bitstream lies in the chip itself. Of the flash chip two data lines are wired.
"""

from amaranth_boards.tang_nano_9k import TangNano9kPlatform as Pins

from boards.board import Board, Resources
from boards.gowin_shell import GowinShell


__all__ = ["BOARD", "TangNano9kPlatform"]


class TangNano9kPlatform(Pins):
    """The board for today's nextpnr, which takes clocks from a file."""

    @property
    def required_tools(self):
        return []

    @property
    def file_templates(self):
        return super().file_templates | {
            "{{name}}.sdc": r"""
                {% for s, hz in platform.iter_signal_clock_constraints() -%}
                create_clock -name {{s.name}} -period {{1e9 / hz}} [get_nets {{s|hierarchy(".")}}]
                {% endfor %}
            """,
        }

    @property
    def command_templates(self):
        return []


BOARD = Board(
    name="tangnano9k",
    title="Sipeed Tang Nano 9K",
    chip="GW1NR-LV9QN88PC6/I5",
    family="gowin",
    part=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
    packing=("-d", "GW1N-9C", "--sspi_as_gpio", "--mspi_as_gpio"),
    available=Resources(lut4=8640, ebr=26, spram=0, dsp=40),
    clock_hz=40_500_000,
    baud=1_500_000,
    flash_lines=2,
    flash_full_rate=False,   # the registers in its pins for a half of a cycle are late
    flash_continuous=False,
    bitstream_offset=None,
    image_offset=0,
    platform=TangNano9kPlatform,
    shell=GowinShell,
)

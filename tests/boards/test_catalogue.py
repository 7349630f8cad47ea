"""Each board becomes a design with the pins and clocks that it must have."""

import re
from functools import cache

import pytest

from boards.catalogue import BOARDS
from compiler.families import FAMILIES
from compiler.schedule.fit import fit
from hdl.config import Config
from hdl.link import divisor
from hdl.top import Accelerator


# The pins of the flash chip, of the serial line and of the oscillator; on ECP5 the clock of the
# flash has none.
PINS = {
    "icebreaker": {"cs": "16", "clk": "15", "copi": "14", "cipo": "17", "wp": "12", "hold": "13",
                   "rx": "6", "tx": "9", "oscillator": "35"},
    "icesugar": {"cs": "16", "clk": "15", "copi": "14", "cipo": "17", "wp": "12", "hold": "13",
                 "rx": "4", "tx": "6", "oscillator": "35"},
    "orangecrab": {"cs": "U17", "copi": "U18", "cipo": "T18", "wp": "R18", "hold": "N18",
                   "rx": "N17", "tx": "M18", "oscillator": "A9"},
    "tangnano9k": {"cs": "60", "clk": "59", "copi": "61", "cipo": "62", "rx": "18", "tx": "17",
                   "oscillator": "52"},
    "ulx3s": {"cs": "R2", "copi": "W2", "cipo": "V2", "wp": "Y2", "hold": "W1",
              "rx": "M1", "tx": "L4", "oscillator": "G2"},
}
PLACES = {
    "ice40": (".pcf", r"^set_io (\w+) (\w+)$"),
    "ecp5":  (".lpf", r'^LOCATE COMP "(\w+)" SITE "(\w+)";$'),
    "gowin": (".cst", r'^IO_LOC "(\w+)" (\w+);$'),
}
small = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


@cache
def design(name):
    """Return the files of a small accelerator on a board."""
    board = BOARDS[name]
    config = Config(p=1, fixed_pe=1, memory_depth=256, clock_hz=board.clock_hz, baud=board.baud,
                    flash_lines=board.flash_lines, flash_full_rate=board.flash_full_rate,
                    flash_continuous=board.flash_continuous)
    plan = board.platform().prepare(board.shell(Accelerator(config), board.clock_hz), "top")
    return {file: text if isinstance(text, str) else text.decode()
            for file, text in plan.files.items()}


@small
def test_pins(board):
    suffix, line = PLACES[board.family]
    found = dict(re.findall(line, design(board.name)[f"top{suffix}"], re.MULTILINE))
    wired = {name: pin for port, pin in found.items()
             if (name := port.removesuffix("__io").rpartition("__")[2])
             in PINS[board.name] and ("flash" in port or "uart" in port)}
    oscillator, = (pin for port, pin in found.items() if re.match(r"clk\d*_0__io$", port))
    assert wired | {"oscillator": oscillator} == PINS[board.name]


@small
def test_files(board):
    """There is all that the tools of its family are told to read."""
    made = {word for word in FAMILIES[board.family].files
            if word.endswith((".pcf", ".lpf", ".sdc")) or word.startswith("cst=")}
    assert {word.removeprefix("cst=") for word in made} <= set(design(board.name))


@small
def test_baud_rate(board):
    """Both ends may differ by 2 %, of which oscillators take little."""
    rate = board.clock_hz / divisor(board.clock_hz, board.baud)
    assert rate == pytest.approx(board.baud, rel=0.015)


@small
def test_image_lies_behind_the_bitstream(board):
    assert board.image_offset > (board.bitstream_offset or 0) or board.bitstream_offset is None


@small
def test_usual_array(board):
    config = fit(board)
    assert (config.clock_hz, config.baud) == (board.clock_hz, board.baud)


def test_clocks_of_gowin():
    """nextpnr is told both, by the names that the nets have in the netlist."""
    files = design("tangnano9k")
    lines = re.findall(r"create_clock -name \w+ -period ([\d.]+) \[get_nets ([\w.]+)\]",
                       files["top.sdc"])
    assert sorted(float(period) for period, _ in lines) == pytest.approx([1e9 / 81e6, 1e9 / 40.5e6])
    for _, net in lines:
        assert re.search(rf"wire .*\\{net.rpartition('.')[2]}\n", files["top.il"])

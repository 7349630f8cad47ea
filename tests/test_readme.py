"""What the documents say is so: commands, files, and the tables of the instruction set."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from amaranth.hdl import Shape

from boards.catalogue import BOARDS
from compiler.cli import commands
from compiler.estimator.counts import chip_of, counted
from compiler.flash import PROGRAMMERS
from compiler.flash import commands as commands_of
from compiler.schedule.fit import fit
from hdl import isa, protocol


ROOT = Path(__file__).parent.parent
PAGES = {name: (ROOT / name).read_text()
         for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md",
                      "docs/tinier-nn.md", "docs/quantization.md", "docs/ebnn.md",
                      "docs/sweeps.md", "docs/board.md", "docs/alexnet.md", "docs/index.md",
                      "docs/tutorial.md", "docs/commands.md", "docs/own-network.md",
                      "docs/own-board.md", "docs/own-layer.md", "docs/numbers.md",
                      "docs/descriptors.md", "docs/measured.md")}
PAGES |= {f"notebooks/{path.name}": "\n".join(
    cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
COMMAND = re.compile(r"python -m compiler (\w+)([^`\n&|]*(?:\\\|[^`\n&|]*)*)")
FOLDERS = ("hdl/", "compiler/", "sim/", "boards/", "tests/", "docs/", "bench/", "notebooks/",
           ".ci/")
MADE = ("c/",)  # by commands, not in the repository


def spoken(pattern):
    """Yield (page, what a pattern finds in it)."""
    return [(page, found) for page, text in PAGES.items() for found in re.findall(pattern, text)]


def table(page, first):
    """Return the rows of the table whose first heading is ``first``, without the heading."""
    lines = PAGES[page].splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def described(opening):
    """Return the rows of the architecture's table that holds the row that begins so."""
    text = PAGES["docs/architecture.md"]
    block = next(part for part in text.split("\n\n") if f"\n| `{opening}`" in part)
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()[2:]]


@pytest.mark.parametrize(("page", "found"), spoken(COMMAND))
def test_command_is_known(page, found):
    name, words = found
    assert name in commands.commands
    known = {word for option in commands.commands[name].params for word in option.opts}
    for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", words.partition(", or ")[0]):
        assert word in known, f"{page}: '{name}' must know {word}"


def test_every_command_is_told():
    assert {row[0].split()[3] for row in table("README.md", "command")} == set(commands.commands)


def test_every_board_is_told():
    rows = table("README.md", "board")
    assert [row[0] for row in rows] == list(BOARDS)
    for board, (_, what, chip, lanes, cells, blocks, products, clock, confirmed) in zip(
            BOARDS.values(), rows, strict=True):
        assert board.title in what
        assert chip == board.chip
        assert int(lanes.replace(",", "")) == fit(board).lanes
        assert clock == f"{board.clock_hz / 1e6:g} MHz"
        assert float(confirmed.removesuffix(" MHz")) > board.clock_hz / 1e6
        shares = [[int(part) for part in cell.replace(",", "").split(" of ")]
                  for cell in (cells, blocks, products)]
        assert [has for _, has in shares] == [
            board.available.lut4, board.available.ebr, board.available.dsp]
        counts = counted(fit(board), chip_of(board))
        assert [used for used, _ in shares[1:]] == [counts["ebr"], counts["dsp"]]
        assert shares[0][0] < shares[0][1]


def test_every_programmer_is_told():
    told = {(row[0], row[1]): (row[2], row[3]) for row in table("docs/board.md", "board")}
    assert told == {
        (board, way.names[0]): tuple(
            " ".join(words) for _, words in reversed(commands_of(way, BOARDS[board],
                                                                 BOARDS[board].image_offset)))
        for board, ways in PROGRAMMERS.items() for way in ways}


def test_every_serial_line_is_told():
    assert {(row[0], int(row[2].replace(",", ""))) for row in table("docs/board.md", "line of")
            } == {(board.name, board.baud) for board in BOARDS.values()}


@pytest.mark.parametrize(("page", "module"), spoken(r"python -m ([\w.]+)"))
def test_module_is_there(page, module):
    assert find_spec(module)


@pytest.mark.parametrize(("page", "target"), [
    (page, target) for page, target in spoken(r"\]\((?!http)([^)#]+)\)")
    if not target.startswith("reference/")])  # which the site is made with, and tests/test_docs.py
def test_link_leads_somewhere(page, target):
    assert ((ROOT / page).parent / target).exists()


@pytest.mark.parametrize(("page", "path"), [
    (page, path) for page, path in spoken(r"`([\w./-]+)`")
    if path.startswith(FOLDERS) and path not in MADE])
def test_path_is_there(page, path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", re.findall(r"`(\w+\.py)`", PAGES["docs/architecture.md"]))
def test_file_of_a_unit_is_there(name):
    assert (ROOT / "hdl" / name).exists() or (ROOT / "compiler" / name).exists()


@pytest.mark.parametrize("mark", ["build", "test"])
def test_block_is_one_and_is_bash(mark):
    blocks = re.findall(rf"<!-- {mark} -->\n```bash\n(.+?)```", PAGES["README.md"], re.DOTALL)
    assert len(blocks) == 1
    subprocess.run(["bash", "-n"], input=blocks[0], text=True, check=True)


def test_extras_are_those_of_the_project():
    project = (ROOT / "pyproject.toml").read_text()
    for _, extras in spoken(r"\.\[([\w,]+)\]"):
        for extra in extras.split(","):
            assert f"\n{extra} = [" in project


# The instruction set

@pytest.mark.parametrize(("opening", "fields"), [("count", isa.Walk), ("taps", isa.Layer)])
def test_descriptor_table(opening, fields):
    rows = [(name.strip("`"), int(bits)) for name, bits, _ in described(opening)]
    assert rows == [(name, Shape.cast(shape).width) for name, shape in fields.members.items()]


def test_header_table():
    names = [name for row in described("magic") for name in re.findall(r"`(\w+)`", row[0])]
    assert tuple(names) == isa.HEADER


@pytest.mark.parametrize(("opening", "kind"), [
    ("END", isa.Opcode), ("PART", isa.Loop), ("CHAIN", isa.Feed), ("WORK", isa.Cause),
    ("IDENTIFY", protocol.Command)])
def test_table_of_numbers(opening, kind):
    assert {row[0].strip("`"): int(row[1]) for row in described(opening)} == {
        member.name: member.value for member in kind}


@pytest.mark.parametrize(("field", "kind"), [
    ("activation", isa.Activation), ("target", isa.Target)])
def test_values_of_a_field(field, kind):
    meaning = next(row[2] for row in described("taps") if row[0] == f"`{field}`")
    told = {name: int(value) for value, name in re.findall(r"(\d) ([A-Z]+)", meaning)}
    assert told == {member.name: member.value for member in kind}


def test_refusals_of_an_image_are_told():
    for status in protocol.Status:
        if status >= protocol.Status.NO_IMAGE and not status.name.startswith("CORRUPT"):
            assert f"`{status.name}`" in PAGES["docs/architecture.md"]

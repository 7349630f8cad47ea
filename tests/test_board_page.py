"""What docs/board.md shows is what happens."""

import re
import shutil

from boards.catalogue import BOARDS
from compiler.flash import OPENFPGALOADER, PROGRAMMERS, commands
from tests.transcript import DOCS, beside, play, without_tools


PAGE = (DOCS / "board.md").read_text()
NO_ANSWER = 3


def test_transcript(tmp_path):
    tool = tmp_path / "bin" / OPENFPGALOADER[0]
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    shutil.copy(DOCS / "seven.png", tmp_path)
    cache = without_tools(tmp_path / "cache")
    environment = beside(tool.parent, XNORLOOM_CACHE=str(cache))
    assert play(PAGE, tmp_path, environment, varies=("link", "packets"),
                error_status=NO_ANSWER) == 11
    assert not any((tmp_path / "build" / name).is_symlink() for name in ("port", "noisy"))


def test_table_of_programmers():
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in PAGE.splitlines() if re.match(rf"\| ({'|'.join(BOARDS)}) \|", line)]
    made = []
    for name, programmer in PROGRAMMERS.items():
        tools = ["openFPGALoader", *(["iceprog"] if programmer.iceprog else [])]
        made += [[name, tool, *(" ".join(words[1:]) for _, words in commands(
            tool, programmer, BOARDS[name].image_offset))] for tool in tools]
    assert rows == made

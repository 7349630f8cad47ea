"""What docs/board.md shows is what happens."""

import shutil

from compiler.flash import PROGRAMMERS
from tests.transcript import DOCS, beside, play, without_tools


PAGE = (DOCS / "board.md").read_text()
NO_ANSWER = 3


def test_transcript(tmp_path):
    tool = tmp_path / "bin" / PROGRAMMERS["icebreaker"][0].names[0]
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    shutil.copy(DOCS / "seven.png", tmp_path)
    cache = without_tools(tmp_path / "cache")
    environment = beside(tool.parent, XNORLOOM_CACHE=str(cache))
    assert play(PAGE, tmp_path, environment, varies=("link", "packets"),
                error_status=NO_ANSWER) == 11
    assert not any((tmp_path / "build" / name).is_symlink() for name in ("port", "noisy"))

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from bench import sweep
from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.explore.explore import Exploration
from compiler.explore.points import points_of, promising
from compiler.pnr_report import Timing


BOARD = BOARDS["icebreaker"]
PAGE = sweep.PAGE.read_text()


@pytest.fixture
def made():
    """An exploration in which two arrays were placed, and the fastest with three seeds."""
    points = [replace(point, cycles=1000 + at) for at, point in enumerate(points_of(BOARD))]
    chosen = promising(points, 2)
    timing = Timing(BOARD.clock_hz, 28e6, 60e6, 1.0)
    points = [point.placed_as(Resources(lut4=4000 + at, ebr=20, spram=4, dsp=8), timing)
              if point in chosen else point for at, point in enumerate(points)]
    return Exploration("digits", BOARD, tuple(points), {
        seed: Timing(BOARD.clock_hz, 1e6 * (25 + seed), 60e6, 1.0) for seed in (1, 2, 3)})


def test_writes_the_page(made, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "sweeps.md"
    page.write_text(PAGE)
    asked = {}
    monkeypatch.setattr(sweep, "PAGE", page)
    monkeypatch.setattr(sweep, "OUT", tmp_path / "out")
    monkeypatch.setattr(sweep, "explore", lambda *words, **options: asked.update(options) or made)
    monkeypatch.setattr(sweep, "connect", lambda *words: nullcontext())
    for _ in range(2):  # and writes it again
        sweep.main(["--write"])
        text = page.read_text()
        before, after = PAGE.split(sweep.BEGIN)[0], PAGE.split(sweep.END)[1]
        assert text.startswith(before + sweep.BEGIN)
        assert text.endswith(sweep.END + after)
        rows = [line for line in text.splitlines() if line.startswith(("| * |", "|  |"))]
        assert len(rows) == 1 + sum(not point.lack for point in made.points)
        assert sum(row.endswith("| placed |") for row in rows) == 2
        assert "2 placed and routed; a star marks the Pareto front." in text
        assert ("with 3 seeds: 26.00 to 28.00 MHz, 27.00 MHz in the mean; 1 of them fast enough "
                "for 27.375 MHz.") in text
        assert "![pareto](pareto.svg)\n![fmax](fmax.svg)\n" in text
    assert {path.name for path in page.parent.iterdir()} == {"sweeps.md", "pareto.svg", "fmax.svg"}
    assert (asked["places"], asked["seeds"]) == (12, 10)
    assert "36 arrays estimated" in capsys.readouterr().out


def test_facts_are_json(made):
    facts = json.loads(json.dumps(made.facts()))
    assert facts["front"] == [point.name for point in made.front]
    assert [seed["fmax_mhz"] for seed in facts["seeds"]] == [26, 27, 28]

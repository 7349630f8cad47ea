"""Builds for the boards that the default build does not try, with the real tools; minutes each."""

import json

import pytest

from boards.catalogue import BOARDS
from compiler.build import build
from compiler.estimator.counts import chip_of, counted
from compiler.schedule.fit import fit
from tests.test_readme import table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icesugar", "orangecrab", "tangnano9k"])
def test_board_build(name, tmp_path, monkeypatch):
    board = BOARDS[name]
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path / "cache"))
    build(None, name, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["clock_mhz"]["fmax"] >= report["clock_mhz"]["target"]
    assert report["array"]["lanes"] == fit(board).lanes
    told = next(row for row in table("README.md", "board") if row[0] == name)
    assert told[4].replace(",", "").split()[0] == str(report["resources"]["lut4"]["used"])
    assert told[-1] == f"{report['clock_mhz']['fmax']:.2f} MHz"
    counts = counted(fit(board), chip_of(board))
    for kind in ("ebr", "dsp"):
        assert report["resources"][kind]["used"] == counts[kind]
    if board.bitstream_offset is not None:
        size = (tmp_path / "out" / "bitstream.bin").stat().st_size
        assert 50_000 < size < board.image_offset - board.bitstream_offset

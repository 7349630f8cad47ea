"""The command line, where it wants a picture or a board."""

import json

import numpy as np
import pytest
from PIL import Image

from compiler import models
from compiler.deployment import FILE, Deployment
from compiler.frontends import load
from compiler.frontends.onnx_facts import facts
from compiler.schedule.plan import schedule
from compiler.serial_port import SerialPort
from compiler.workload import open_workload
from hdl.config import Config
from hdl.counters import CAUSES, LAYERS
from hdl.protocol import Status
from sim.link import LinkModel
from tests.compiler.test_cli import call, refused
from tests.compiler.wires import Wire


@pytest.fixture(scope="module")
def deployment():
    return Deployment.of(schedule(open_workload(None).graph, Config()), "icebreaker", 7)


@pytest.fixture
def folder(deployment, tmp_path):
    (tmp_path / FILE).write_text(deployment.text())
    return tmp_path


@pytest.fixture
def board(deployment, monkeypatch):
    """A program in place of the board behind every port, which says that class 4 is the best."""
    made = LinkModel(memory_bytes=1 << 17, counter_bytes=4 * LAYERS * CAUSES,
                     config_hash=deployment.config.hash)
    made.image_hash = deployment.image_hash
    place = deployment.made

    def frame():
        made.memory[place.address:place.end] = place.pack(np.eye(10, dtype=int)[4])

    made.on_run = frame
    wire = Wire(made)
    monkeypatch.setattr(SerialPort, "__init__", lambda self, path, baud: None)
    monkeypatch.setattr(SerialPort, "write", lambda self, octets: wire.write(octets))
    monkeypatch.setattr(SerialPort, "read", lambda self, *of: wire.read(*of))
    monkeypatch.setattr(SerialPort, "close", lambda self: None)
    return made


@pytest.fixture
def picture(tmp_path):
    """The eighth test picture, enlarged."""
    x = np.load(models.held_back())["x"][7].reshape(8, 8).astype(int)
    path = tmp_path / "eight.png"
    Image.fromarray((x * 255 // 16).astype(np.uint8)).resize((80, 80), 0).save(path)
    return path


# Pictures

@pytest.mark.parametrize("name", ["golden", "c"])
def test_picture(picture, name):
    assert call("run", "digits", picture, "--on", name).stdout == "answer 8\n"


def test_picture_is_one(picture):
    assert refused(call("run", "digits", picture, "--index", 1)) == (
        f"Index must be below 1, the number of inputs in '{picture}', not 1")


def test_bad_picture(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    assert refused(call("run", "digits", tmp_path / "x.png")) == (
        f"'{tmp_path / 'x.png'}' must be a picture that Pillow can read")


def test_classes_are_named(tmp_path, picture):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(models.network())
    names = [f"digit {number}" for number in range(10)]
    onnx.helper.set_model_props(model, {
        "classes": json.dumps(names), "picture": '{"shape": [8, 8, 1], "white": 16}'})
    onnx.save(model, tmp_path / "named.onnx")
    assert load(tmp_path / "named.onnx").meta["classes"] == names
    assert call("run", tmp_path / "named.onnx", picture).stdout == "answer 8\nclass 8 digit 8\n"


@pytest.mark.parametrize("value", [
    "", "{", "[1]", '"a"', "null", '{"shape": [8, 8], "white": 1}', '{"shape": [8, 8, 1]}',
    '{"shape": [8, 8, true], "white": 1}', '{"shape": [8, 8, 0], "white": 1}', "[" * 100_000])
def test_foreign_properties_are_left_out(value):
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, {"classes": value, "picture": value, "names": "[]"})
    assert facts(model) == {}


# Boards

def test_run(folder, board, picture):
    result = call("run", folder, picture, "--on", "board", "--port", "any")
    assert result.stdout == "answer 4\n"
    assert result.stderr.startswith("Next: ")
    result = call("run", folder, models.held_back(), "--index", 7, "--on", "board", "--port", "any")
    assert result.stdout == "answer 4\nlabel 8\n"
    assert board.last_run == 3  # the first frame twice


def test_monitor(folder, board):
    result = call("monitor", folder, "--port", "any", "--once")
    assert result.exit_code == 0, result.output
    assert "board         READY, last run none" in result.stdout
    assert result.stderr == f"Next: python -m compiler page {folder}\n"
    board.last_run = 9
    result = call("monitor", folder, "--port", "any", "--once", "--json")
    seen = json.loads(result.stdout)
    assert (seen["model"], seen["last_run"]) == ("digits", 9)
    assert [layer["name"] for layer in seen["cycles"]["layers"]] == ["fc0", "fc1", "fc2"]


def test_monitor_goes_on_until_it_is_stopped(folder, board, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("compiler.cli_board.time.sleep", sleep)
    result = call("monitor", folder, "--port", "any", "--json", "--interval", 0.2)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == f"Next: python -m compiler page {folder}\n"
    assert looks == [0.2] * 3


@pytest.mark.parametrize("command", [["run", "x.npy", "--on", "board"], ["monitor", "--once"]])
def test_refusals(folder, board, command):
    name, *rest = command
    np.save(folder / "x.npy", np.zeros((1, 64), np.uint8))
    words = [name, folder, *(folder / word if word == "x.npy" else word for word in rest)]
    assert refused(call(*words)).startswith(
        "The board's serial port must be given with --port; found ")
    board.status = Status.CORRUPT_PROGRAM
    assert refused(call(*words, "--port", "any")).startswith(
        "The board refuses its image: its program section is corrupt; write the image ")
    board.status, board.image_hash = Status.READY, 8
    assert refused(call(*words, "--port", "any")).startswith(
        "The board must have the image of network 'digits', which is 0x00000007, not 0x00000008; ")


def test_port_that_is_none(folder, picture):
    line = refused(call("run", folder, picture, "--on", "board", "--port", "/dev/null"), 3)
    assert line.startswith("Port '/dev/null' must be a serial port that nobody else uses, but: ")


def test_folder_that_is_no_build(tmp_path):
    for words in (["run", tmp_path, "x.png", "--on", "board"], ["monitor", tmp_path],
                  ["flash", tmp_path]):
        assert refused(call(*words)).startswith(
            f"'{tmp_path}' must be a folder that `build` has made, with host.json in it: ")

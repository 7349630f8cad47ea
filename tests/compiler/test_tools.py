import sys

import pytest

from compiler.errors import MissingToolError, ToolError
from compiler.tools import built_once, c_compiler, cache_folder, compile_c, find, run


def script(folder, text, name="tool"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_log_has_both_outputs(tmp_path):
    run([script(tmp_path, "echo out; echo err >&2; echo $1 $PWD"), 7], folder=tmp_path,
        log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == f"out\nerr\n7 {tmp_path}\n"


def test_failure_shows_last_lines(tmp_path):
    tool = script(tmp_path, "for i in 1 2 3 4 5 6; do echo $i; done; exit 9")
    with pytest.raises(ToolError, match=r"^tool failed with status 9; its log is .*/log:"
                                        r"\n  2\n  3\n  4\n  5\n  6$"):
        run([tool], folder=tmp_path, log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "1\n2\n3\n4\n5\n6\n"


def test_patience_ends(tmp_path):
    with pytest.raises(ToolError, match=r"^tool was not done after 0 s:\n  begun$"):
        run([script(tmp_path, "echo begun\nwhile :; do :; done")], folder=tmp_path, patience=0.2)


def test_output_that_is_no_text(tmp_path):
    with pytest.raises(ToolError, match="tool failed with status 1"):
        run([script(tmp_path, r"printf '\377\376'; exit 1")], folder=tmp_path)


def test_program_that_cannot_run(tmp_path):
    (tmp_path / "tool").write_bytes(b"\0")
    with pytest.raises(ToolError, match="^tool could not be run: "):
        run([tmp_path / "tool"], folder=tmp_path)


def test_find(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="^a or b must be installed; buy it$"):
        find("a", "b", hint="buy it")
    second = script(tmp_path, "", "b")
    assert find("a", "b", hint="") == str(second)
    (tmp_path / "beside").mkdir()
    assert find("a", "b", hint="") == str(second)
    assert find("b", "a", hint="") == str(second)
    nearer = script(tmp_path / "beside", "", "b")
    assert find("a", "b", hint="") == str(nearer)


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("XNORLOOM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "xnorloom"
    assert cache_folder().is_dir()


def test_wrong_cc(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(MissingToolError, match=r"; found none as no-such-compiler -m64$"):
        c_compiler()


def test_cc_with_arguments(monkeypatch):
    monkeypatch.setenv("CC", f"{sys.executable} -c pass")
    assert c_compiler() == [sys.executable, "-c", "pass"]


def test_compiler_fails(tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(ToolError, match=(
            r"^The C compiler must take wrong\.c, not fail with status 1: .*nothing")) as caught:
        compile_c([source], tmp_path / "wrong", ())
    assert "\n" not in str(caught.value)


def test_built_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path))
    folders = []

    def build(folder):
        folders.append(folder)
        (folder / "made").write_bytes(b"made")
        return folder / "made"

    first = built_once("thing", [b"a", b"b"], build)
    assert (first.parent, first.name[:6], first.read_bytes()) == (tmp_path, "thing-", b"made")
    assert built_once("thing", [b"a", b"b"], build) == first
    assert len(folders) == 1
    assert built_once("thing", [b"ab", b""], build) != first
    assert not any(folder.exists() for folder in folders)


def test_a_build_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path))

    def build(folder):
        (folder / "made").write_bytes(b"half")
        raise ToolError("no")

    with pytest.raises(ToolError, match="^no$"):
        built_once("thing", [], build)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]

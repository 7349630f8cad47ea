"""The tutorial and the how-tos do what they show."""

import doctest
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.transcript import DOCS, ROOT, beside, files, play, steps, without_tools


PAGES = {path.stem: path.read_text() for path in sorted(DOCS.glob("*.md"))}
PLAYED = {"tutorial": 8, "own-network": 5, "own-board": 2}  # commands
CHECKED = "numbers", "own-layer"
# accuracy, time, clock and logic cells, and how the line fares
VARIES = "digits.onnx:", "clock", "lut4", "link", "packets"
LEFT_OUT = {".git", ".venv", "build", "dist", "sim_build", "reference"}


def examples(text):
    """Return the commands of Python on a page, as one session."""
    session = "\n".join(re.findall(r"```pycon\n(.+?)```", text, re.DOTALL))
    return doctest.DocTestParser().get_doctest(session, {}, "page", None, None)


@pytest.fixture
def place(tmp_path):
    """A folder with what a clone has that the pages take."""
    (tmp_path / "docs").mkdir()
    shutil.copy(DOCS / "seven.png", tmp_path / "docs")
    return tmp_path


@pytest.mark.parametrize("name", PLAYED)
def test_page(name, place):
    if name != "own-board":
        pytest.importorskip("torch")
    environment = beside(XNORLOOM_CACHE=str(without_tools(place / "cache")))
    assert play(PAGES[name], place, environment, VARIES) == PLAYED[name]


@pytest.mark.parametrize("name", CHECKED)
def test_examples(name):
    found = examples(PAGES[name])
    said = []
    result = doctest.DocTestRunner().run(found, out=said.append)
    assert result.attempted > 10
    assert not result.failed, "".join(said)


def test_every_page_with_examples_is_done():
    done = {*PLAYED, "board"}
    assert {name for name, text in PAGES.items() if [*steps(text)]} == done
    assert {name for name, text in PAGES.items() if files(text)} <= done
    assert {name for name, text in PAGES.items() if examples(text).examples} == {*CHECKED}


def test_every_command_of_the_tutorial_leads_on():
    for command, shown in steps(PAGES["tutorial"]):
        assert shown[-1].startswith("Next: "), command


@pytest.mark.slow
def test_tutorial_as_a_new_user(tmp_path):
    """In a fresh clone and a fresh environment, with nothing in any cache; it fetches packages."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=lambda folder, names: {
        name for name in names if name in LEFT_OUT or name.endswith(("cache", "egg-info"))
        or name.startswith("__py")})
    variables = {name: value for name, value in os.environ.items()
                 if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables |= {"XNORLOOM_CACHE": str(tmp_path / "cache"), "PYTHONIOENCODING": "utf-8"}
    install = re.search(r"```bash\n(.+?)```", PAGES["tutorial"], re.DOTALL)[1]
    subprocess.run(["bash", "-e", "-c", install], cwd=clone, env=variables, check=True)
    programs = os.pathsep.join([str(clone / ".venv" / "bin"), variables["PATH"]])
    assert shutil.which("python", path=programs) == str(Path(clone, ".venv", "bin", "python"))
    place = tmp_path / "elsewhere"
    (place / "docs").mkdir(parents=True)
    shutil.copy(DOCS / "seven.png", place / "docs")
    environment = variables | {"PATH": programs}
    assert play(PAGES["tutorial"], place, environment, VARIES) == PLAYED["tutorial"]

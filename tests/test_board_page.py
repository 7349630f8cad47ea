"""What docs/board.md shows is what happens."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boards.catalogue import BOARDS
from compiler.deployment import FILE, Deployment
from compiler.flash import OPENFPGALOADER, PROGRAMMERS, commands
from compiler.schedule.fit import fit
from compiler.schedule.plan import schedule
from compiler.workload import open_workload


ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "board.md").read_text()
SECONDS = 600  # that a command may take on a busy machine
VARIES = ("link", "packets")  # lines whose numbers depend on time
HINT = "Next: "  # is behind the result on a terminal, and left out where it is not shown
RETRIED = "link: N of N requests were sent again"


def steps():
    """Yield each command of the page, with the lines that it shows."""
    for block in re.findall(r"```console\n(.+?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown.splitlines()


def plain(text):
    """Return the lines that count, without what varies."""
    lines = [line.rstrip() for line in text.splitlines()]
    lines = [re.sub(r"[\d.]+", "N", line) if line.startswith(VARIES) else line for line in lines]
    return [line for line in lines if line and not re.match(r"writing the \w+( \.\.\.|: )", line)]


def agrees(shown, found):
    """Whether ``...`` in what is shown stands for the rest of a line."""
    return len(shown) == len(found) and all(
        right.startswith(left.removesuffix("...")) if left.endswith("...") else left == right
        for left, right in zip(shown, found, strict=True))


@pytest.fixture
def place(tmp_path):
    """A folder with the picture, what `build` leaves, and a programmer that does nothing."""
    plan = schedule(open_workload(None).graph, fit(BOARDS["icebreaker"]))
    image = plan.image()
    folder = tmp_path / "build" / "digits"
    folder.mkdir(parents=True)
    (folder / "image.bin").write_bytes(image.to_bytes())
    (folder / "bitstream.bin").write_bytes(b"bits")
    (folder / FILE).write_text(Deployment.of(plan, "icebreaker", image.hash).text())
    shutil.copy(ROOT / "docs" / "seven.png", tmp_path)
    tool = tmp_path / "bin" / OPENFPGALOADER[0]
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    return tmp_path


def test_transcript(place):
    path = os.pathsep.join([str(place / "bin"), str(Path(sys.executable).parent),
                            os.environ["PATH"]])
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    servers = []
    try:
        for command, shown in steps():
            if " build " in command:
                continue  # takes minutes; tests/test_default_build.py does it
            words = command.split()
            if words[-1] == "&":
                servers.append(serve(words[:-1], shown, place, env))
                continue
            made = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True,
                                  timeout=SECONDS, check=False)
            told, wanted = plain(made.stderr), plain("\n".join(shown))
            hints = [line for line in told if line.startswith(HINT)]
            found = [line for line in told if line not in hints] + plain(made.stdout)
            if any(line.startswith(HINT) for line in wanted):
                found += hints
            if wanted[0] != found[0] == RETRIED:  # the machine was busy
                del found[0]
            assert agrees(wanted, found), f"{command}:\n{made.stderr}{made.stdout}"
            assert made.returncode == (3 if shown[0].startswith("Error: ") else 0)
    finally:
        for server in servers:
            server.terminate()
            server.wait(SECONDS)
    assert len(servers) == 2
    assert not any((place / "build" / name).is_symlink() for name in ("port", "noisy"))


def serve(words, shown, place, env):
    """Start a program that serves, and wait until it has said all that is shown."""
    with (place / "said").open("w") as out:
        server = subprocess.Popen(words, cwd=place, env=env, stdout=out,
                                  stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    while (said := (place / "said").read_text().splitlines()) != shown:
        assert server.poll() is None, "the simulated board must serve"
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    return server


def test_table_of_programmers():
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in PAGE.splitlines() if re.match(rf"\| ({'|'.join(BOARDS)}) \|", line)]
    made = []
    for name, programmer in PROGRAMMERS.items():
        tools = ["openFPGALoader", *(["iceprog"] if programmer.iceprog else [])]
        made += [[name, tool, *(" ".join(words[1:]) for _, words in commands(
            tool, programmer, BOARDS[name].image_offset))] for tool in tools]
    assert rows == made

"""Does what a page of the documents shows, and compares what is said.

In a block ``console`` a line that begins with ``$ `` is a command, which is run in a folder of its
own; what follows it must be said, standard error first, and hints last. A command that ends in
``&`` serves until the page is over. ``...`` at the end of a line stands for the rest of it, and on
a line of its own for any lines. A block ``python`` that begins with a comment ``# NAME.py`` is a
file of that folder.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.bitstream import SEEDS, find_tools, key, versions
from compiler.families import FAMILIES
from compiler.pnr_report import Timing
from compiler.schedule.fit import fit
from compiler.tools import cache_folder
from sim.accelerator import library
from sim.forms import rtl


__all__ = ["DOCS", "ROOT", "beside", "files", "play", "steps", "without_tools"]

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SECONDS = 600  # that a command may take on a busy machine
HINT = "Next: "  # is behind the result on a terminal, and left out where it is not shown
PROGRESS = re.compile(r".+ \.\.\.|.+: [\d.]+ s")
BAR = "━"
RETRIED = re.compile(r"link: (\d+|N) of (\d+|N) requests were sent again")
BOARD = "icebreaker"
# What place and route said when the tutorial was written; what differs is not compared.
PLACED = {"used": asdict(Resources(lut4=5114, ebr=25, spram=4, dsp=8)),
          "timing": asdict(Timing(BOARDS[BOARD].clock_hz, 27.93e6, 60e6, 0.0)), "seed": 1}


def steps(page):
    """Yield each command of a page, with the lines that it shows."""
    for block in re.findall(r"```console\n(.+?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown.splitlines()


def files(page):
    """Return the files of a page by their names."""
    return {name: f"# {name}\n{text}" for name, text in re.findall(
        r"^```python\n# ([\w.]+\.py)\n(.+?)^```$", page, re.DOTALL | re.MULTILINE)}


def play(page, place, environment, varies=(), error_status=1):
    """Run the commands of a page in the folder ``place``; returns how many there were.

    Numbers in lines that begin with one of ``varies`` are not compared.
    """
    count = 0
    for name, text in files(page).items():
        (place / name).write_text(text)
    with servers(place, environment) as serve:
        for command, shown in steps(page):
            count += 1
            words = shlex.split(command)
            if words[-1] == "&":
                serve(words[:-1], shown)
                continue
            made = subprocess.run(words, cwd=place, env=environment, capture_output=True,
                                  text=True, timeout=SECONDS, check=False)
            wanted = plain(shown, varies)
            told = plain(made.stderr.splitlines(), varies, progress=True)
            hints = [line for line in told if line.startswith(HINT)]
            found = [line for line in told if line not in hints]
            if not any(map(RETRIED.fullmatch, shown)):  # the machine was busy
                found = [line for line in found if not RETRIED.fullmatch(line)]
            found += plain(made.stdout.splitlines(), varies)
            if any(line.startswith(HINT) for line in wanted):
                found += hints
            assert pattern(wanted).fullmatch("".join(f"{line}\n" for line in found)), (
                f"{command}:\n{made.stderr}{made.stdout}")
            fails = bool(wanted) and wanted[0].startswith("Error: ")
            assert made.returncode == (error_status if fails else 0)
    return count


@contextmanager
def servers(place, environment):
    """Give a function that starts a program, and waits until it has said what is shown."""
    running = []

    def serve(words, shown):
        said = place / f"said{len(running)}"
        with said.open("w") as out:
            running.append(subprocess.Popen(words, cwd=place, env=environment, stdout=out,
                                            stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + SECONDS
        while said.read_text().splitlines() != shown:
            assert running[-1].poll() is None, f"{shlex.join(words)} must serve"
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.2)

    try:
        yield serve
    finally:
        for server in running:
            server.terminate()
        for server in running:
            server.wait(SECONDS)


def plain(lines, varies, progress=False):
    """Return the lines that count, without what varies, and without ``progress``."""
    kept = []
    for line in map(str.rstrip, lines):
        if not line or BAR in line or progress and PROGRESS.fullmatch(line):
            continue
        if line.strip().startswith(tuple(varies)) or RETRIED.fullmatch(line):
            line = re.sub(r"\d[\d.]*", "N", re.sub(r" +", " ", line))
        kept.append(line)
    return kept


def pattern(shown):
    """Return what must be said as one expression."""
    return re.compile("".join(
        r"(?:.*\n)*?" if line == "..." else
        re.escape(line.removesuffix("...")) + (".*\n" if line.endswith("...") else "\n")
        for line in shown))


def beside(*folders, **variables):
    """Return an environment whose programs are those in ``folders``, then ours, then the system's.
    """
    path = os.pathsep.join([*map(str, folders), str(Path(sys.executable).parent),
                            os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT),
                         "PYTHONIOENCODING": "utf-8"} | variables


def without_tools(folder):
    """Make ``folder`` a cache in which the gateware of a board seems to be built, and return it.

    All else of a build is done. The simulators in it are those of the cache that is in use.
    """
    config = fit(BOARDS[BOARD])
    library(config, rtl)
    folder.mkdir()
    for made in cache_folder().glob("accelerator-*.so"):
        (folder / made.name).symlink_to(made)
    made_by = versions(find_tools(FAMILIES[BOARDS[BOARD].family]))
    kept = folder / "bitstreams" / key(BOARDS[BOARD], config, made_by, (*SEEDS, False))
    kept.mkdir(parents=True)
    (kept / "placed.json").write_text(json.dumps(PLACED))
    (kept / "bitstream.bin").write_bytes(b"bits")
    (kept / "top.v").write_text("module top;\n")
    return folder

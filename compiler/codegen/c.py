"""Writes a network as C99: freestanding where it is integer."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from compiler.codegen.floats import FloatPlan, float_files, make_float_plan
from compiler.codegen.header import guarded, write_header
from compiler.codegen.host import host_source
from compiler.codegen.plan import Plan, make_plan
from compiler.codegen.source import write_source
from compiler.ir import Graph
from compiler.minifloats import has_minifloats


__all__ = ["generate", "needs"]

COPIED = ("vectors.h", "windows.h", "kernels.h", "pixels.h", "bytes.h", "shifts.h",
          "activations.h", "pools.h", "trace.h", "main.c", "Makefile")
FLOATS = "floats.h", "main.c", "Makefile"


def generate(graph: Graph, out_dir: Path) -> Plan | FloatPlan:
    """Write ``graph`` as C into ``out_dir`` (made where missing), and return its plan.

    ``net.c`` with its headers is the network: no heap, no library, and no floating point but that
    of a network of minifloats. ``host.c`` is the floating point around it, where there is any.
    ``main.c`` and ``Makefile`` are a program that runs raw frames. Equal graphs give equal files.

    Raises StageError where the graph is neither integer nor of minifloats, and CodegenError where
    C cannot hold it.
    """
    plan: Plan | FloatPlan
    copied: tuple[str, ...]
    if has_minifloats(graph):
        plan, copied = make_float_plan(graph), FLOATS
        files = float_files(plan)
    else:
        plan, copied = make_plan(graph), COPIED
        files = integer_files(plan)
    templates = resources.files("compiler.codegen")
    files |= {name: (templates / name).read_text() for name in copied}
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if text is None:
            (out_dir / name).unlink(missing_ok=True)
        else:
            (out_dir / name).write_text(text)
    return plan


def needs(graph: Graph) -> tuple[int, int]:
    """Return how many products of a frame need a multiplier in C, and its bytes of constants."""
    if has_minifloats(graph):
        floats = make_float_plan(graph)
        return floats.multiplications, floats.weight_bytes
    plan = make_plan(graph)
    return plan.multiplications, write_source(plan).weight_bytes


def integer_files(plan: Plan) -> dict[str, str | None]:
    """Return the files of an integer network by name."""
    source = write_source(plan)
    return {
        "net.h":     write_header(plan, source),
        "net.c":     source.net,
        "weights.h": guarded("Constants, in the order in which the kernels read them.",
                             "NET_WEIGHTS_H", "\n".join(source.tables)),
        "host.c":    host_source(plan),
    }

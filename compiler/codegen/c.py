"""Writes an integer network as freestanding C99."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from compiler.codegen.header import guarded, write_header
from compiler.codegen.host import host_source
from compiler.codegen.plan import Plan, make_plan
from compiler.codegen.source import write_source
from compiler.ir import Graph


__all__ = ["generate"]

COPIED = ("vectors.h", "windows.h", "kernels.h", "pixels.h", "bytes.h", "shifts.h",
          "activations.h", "pools.h", "trace.h", "main.c", "Makefile")


def generate(graph: Graph, out_dir: Path) -> Plan:
    """Write ``graph`` as C into ``out_dir`` (made where missing), and return its plan.

    ``net.c`` with its headers is the network: no heap, no floating point, no library. ``host.c``
    is the floating point around it, where there is any. ``main.c`` and ``Makefile`` are a program
    that runs raw frames. Equal graphs give equal files.

    Raises StageError where the graph is not an integer graph, and CodegenError where C cannot
    hold it.
    """
    plan = make_plan(graph)
    source = write_source(plan)
    files = {
        "net.h":     write_header(plan, source),
        "net.c":     source.net,
        "weights.h": guarded("Constants, in the order in which the kernels read them.",
                             "NET_WEIGHTS_H", "\n".join(source.tables)),
        "host.c":    host_source(plan),
    }
    templates = resources.files("compiler.codegen")
    files |= {name: (templates / name).read_text() for name in COPIED}
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if text is None:
            (out_dir / name).unlink(missing_ok=True)
        else:
            (out_dir / name).write_text(text)
    return plan

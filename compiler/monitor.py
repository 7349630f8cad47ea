"""What a board does: where the cycles of its last frame went, and how its line fares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from compiler.deployment import Deployment
from compiler.host import Accelerator
from compiler.report import by_name, cycle_table


__all__ = ["observe", "view"]

PLACES = 4  # decimals of a time


def observe(deployment: Deployment, accelerator: Accelerator) -> dict[str, Any]:
    """Ask a board how it is, and return the answer as `json` writes it.

    ``cycles`` is as in `compiler.report.make_report`, for the frame that the board ran last; None
    where it has run none. Layers from the 32nd on count as one, with what comes after them.
    ``link`` counts since ``accelerator`` was made; ``round_trip_ms`` is that of one request.
    """
    start = time.monotonic()
    state = accelerator.status()
    seconds = time.monotonic() - start
    cycles: dict[str, Any] | None = None
    frame_ms = None
    if state.last_run:
        counts = [by_name(row) for row in deployment.counters(accelerator)]
        frame = sum(sum(row.values()) for row in counts)
        cycles = {"frame": frame,
                  "layers": [{"name": name, "total": sum(row.values())} | row for name, row
                             in zip(deployment.layers, counts[:-1], strict=False)],
                  "after": counts[-1]}
        frame_ms = round(1e3 * frame / deployment.config.clock_hz, PLACES)
    traffic = accelerator.link.traffic
    return {
        "model": deployment.prefix.name,
        "status": state.status.name,
        "last_run": state.last_run,
        "cycles": cycles,
        "frame_ms": frame_ms,
        "link": {"requests": traffic.requests, "damaged": traffic.damaged,
                 "silent": traffic.silent, "retries": traffic.retries,
                 "length": accelerator.link.length, "round_trip_ms": round(1e3 * seconds, 1)},
    }


def view(seen: Mapping[str, Any]) -> RenderableType:
    """Return what `observe` saw as text and a table."""
    link, cycles = seen["link"], seen["cycles"]
    lines = [f"{'model':<14}{seen['model']}",
             f"{'board':<14}{seen['status']}, last run {seen['last_run'] or 'none'}",
             (f"{'link':<14}{link['requests']} requests, {link['retries']} sent again: "
              f"{link['damaged']} damaged, {link['silent']} lost"),
             (f"{'packets':<14}of up to {link['length']} octets; {link['round_trip_ms']} ms there "
              f"and back")]
    if cycles is None:
        return Text("\n".join(lines))
    lines.append(f"{'frame':<14}{cycles['frame']} cycles, {seen['frame_ms']:.4f} ms")
    return Group(Text("\n".join([*lines, ""])), cycle_table(cycles))

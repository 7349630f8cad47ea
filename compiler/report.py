"""What was built, as JSON and as text that reads and greps well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from boards.board import Board
from compiler.accuracy import Accuracy
from compiler.bitstream import Placed
from compiler.codegen.memory import Memory
from compiler.perf import Performance
from compiler.report_parts import layers_of, memory_of, network_of, peaks_of
from compiler.schedule.plan import Schedule
from hdl.isa import Cause


__all__ = ["FORM", "make_report", "print_report"]

FORM = 3    # of what is in a report
PLACES = 4  # decimals of a time


def make_report(name: str, board: Board, schedule: Schedule, placed: Placed, cycles: Performance,
                image_bytes: int, memory: Memory, lanes: int | None = None,
                target_fps: float | None = None,
                accuracy: Accuracy | None = None) -> dict[str, Any]:
    """Return what `report.json` holds.

    Cycles are those that the counters of the board will tell. ``flash_busy`` is the share of
    them in which the flash bus moves; ``roofline_ms`` is how long the flash takes for the
    streamed weights alone, at a byte in every cycle, or in every second at half rate. ``c`` is
    what the C takes (`compiler.codegen.memory`). ``lanes`` and ``target_fps`` were asked for.
    `compiler.report_parts` tells of the parts.
    """
    config = schedule.config
    used, available = asdict(placed.used), asdict(board.available)
    return {
        "form": FORM,
        "model": name,
        "board": board.name,
        "board_title": board.title,
        "chip": board.chip,
        "target": {"lanes": lanes, "fps": target_fps},
        "array": {"p": config.p, "pe": config.pe, "simd": config.simd, "lanes": config.lanes},
        "resources": {key: {"used": used[key], "available": available[key]}
                      for key in used if available[key]},
        "placed": {"seed": placed.seed},
        "clock_mhz": {"target": config.clock_hz / 1e6,
                      "fmax": round(placed.timing.fmax_hz / 1e6, 2),
                      "fast_target": 2 * config.clock_hz / 1e6,
                      "fast_fmax": round(placed.timing.fast_fmax_hz / 1e6, 2)},
        "cycles": {"frame": cycles.frame,
                   "layers": [{"name": layer.name, "total": layer.total}
                              | by_name(layer.causes) for layer in cycles.layers],
                   "after": by_name(cycles.after)},
        "frame_ms": round(1e3 * cycles.frame / config.clock_hz, PLACES),
        "fps": round(config.clock_hz / cycles.frame, 1),
        "weights_bytes": schedule.resident_octets + schedule.streamed_octets,
        "image_bytes": image_bytes,
        "resident_bytes": schedule.resident_octets,
        "streamed_bytes": schedule.streamed_octets,
        "flash_busy": round(cycles.flash_busy / cycles.frame, PLACES),
        "roofline_ms": round(1e3 * schedule.streamed_octets * config.octet_cycles / config.clock_hz,
                             PLACES),
        "accuracy": asdict(accuracy) if accuracy else None,
        "network": network_of(schedule),
        "layers": layers_of(schedule),
        "peaks": peaks_of(schedule),
        "memory": memory_of(schedule),
        "c": {"constants_bytes": memory.constants, "tensors_bytes": memory.tensors,
              "sums_bytes": memory.sums, "heap_bytes": 0, "total_bytes": memory.total,
              "input_bytes": memory.input, "output_bytes": memory.output},
    }


def by_name(causes: Mapping[Cause, int]) -> dict[str, int]:
    return {cause.name.lower(): count for cause, count in causes.items()}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print a report as text: facts first, then what the chip gives, then where cycles go."""
    for label, text in facts(report):
        console.print(f"{label:<14}{text}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(resource_table(report["resources"]))
    console.print()
    console.print(cycle_table(report["cycles"]))


def facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    target, array, clock = report["target"], report["array"], report["clock_mhz"]
    yield "model", report["model"]
    yield "board", report["board"]
    if target["lanes"]:
        yield "target", f"{target['lanes']} lanes"
    if target["fps"]:
        yield "target", f"{target['fps']:.10g} frames/s, reached with {report['fps']:.1f}"
    yield "array", (f"{array['p']} x {array['pe']} x {array['simd']} "
                    f"(P x PE x SIMD), {array['lanes']} lanes")
    yield "clock", f"{clock['target']:.2f} MHz, up to {clock['fmax']:.2f} MHz in the worst case"
    yield "frame", (f"{report['cycles']['frame']} cycles, {report['frame_ms']:.4f} ms, "
                    f"{report['fps']:.1f} frames/s")
    yield "flash", (f"busy {100 * report['flash_busy']:.1f} % of the frame; streamed weights "
                    f"alone take {report['roofline_ms']:.4f} ms")
    yield "weights", (f"{report['weights_bytes']} bytes: {report['resident_bytes']} resident, "
                      f"{report['streamed_bytes']} streamed")
    yield "image", f"{report['image_bytes']} bytes"
    if accuracy := report["accuracy"]:
        yield "accuracy", (f"{100 * accuracy['correct'] / accuracy['samples']:.2f} % of "
                           f"{accuracy['samples']} inputs of {accuracy['data']}")
    needs = report["c"]
    yield "C", (f"{needs['total_bytes']} bytes, without a heap: {needs['constants_bytes']} of "
                f"constants, {needs['tensors_bytes']} of tensors between layers, "
                f"{needs['sums_bytes']} of sums")


def resource_table(resources: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("resource")
    for title in ("used", "available", "share"):
        table.add_column(title, justify="right")
    for name, row in resources.items():
        share = f"{100 * row['used'] / row['available']:.1f} %" if row["available"] else ""
        table.add_row(name, str(row["used"]), str(row["available"]), share)
    return table


def cycle_table(cycles: Mapping[str, Any]) -> Table:
    causes = [cause.name.lower() for cause in Cause]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    for title in ("total", *causes):
        table.add_column(title, justify="right", no_wrap=True)
    after = {"name": "(after)", "total": sum(cycles["after"].values())} | cycles["after"]
    rows = [*cycles["layers"], after]
    total = {key: sum(row[key] for row in rows) for key in ("total", *causes)}
    for row in (*rows, {"name": "(frame)"} | total):
        table.add_row(row["name"], str(row["total"]), *(str(row[cause]) for cause in causes))
    return table

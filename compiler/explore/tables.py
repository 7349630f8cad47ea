"""An exploration and an evaluation as tables on the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from rich import box
from rich.table import Table

from compiler.evaluate import Evaluation
from compiler.explore.explore import Exploration
from compiler.explore.points import Point


__all__ = ["COLUMNS", "cells", "confusion_table", "notes", "point_table", "shown"]

COLUMNS = ("array", "flash", "LUT4", "block RAM", "DSP", "Fmax, MHz", "cycles", "fps", "is")


def point_table(made: Exploration) -> Table:
    """Return the points that the board holds, from few logic cells to many."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", *COLUMNS):
        table.add_column(title, justify="left" if title in ("", "array", "flash", "is")
                         else "right", no_wrap=True)
    best = made.front
    for point in shown(made):
        table.add_row("*" if point in best else "", *cells(point))
    return table


def shown(made: Exploration) -> list[Point]:
    """Return the points that the board holds, from few logic cells to many."""
    return sorted((point for point in made.points if not point.lack),
                  key=lambda point: (point.used.lut4 if point.used else 0, -(point.fps or 0)))


def cells(point: Point) -> tuple[str, ...]:
    """Return what `COLUMNS` names."""
    config, used = point.config, point.used
    if point.failure:
        state = "not placed"
    elif point.refusal:
        state = "refused"
    else:
        state = "placed" if point.placed else "foretold"
    return (f"{config.p} x {config.pe} x {config.simd}, {config.fixed_pe}",
            "full" if config.flash_full_rate else "half",
            *(f"{value:,}" if used else "?" for value in
              ((used.lut4, used.ebr, used.dsp) if used else (0, 0, 0))),
            f"{point.fmax_hz / 1e6:.2f}" if point.fmax_hz else "?",
            f"{point.cycles:,}" if point.cycles else "",
            f"{point.fps:,.1f}" if point.fps else "", state)


def notes(made: Exploration) -> Iterator[str]:
    """Tell what is not in the table, a sentence a line."""
    too_large = sum(point.lack is not None for point in made.points)
    placed = sum(point.placed for point in made.points)
    yield (f"{len(made.points)} arrays estimated, {too_large} of them too large for the board; "
           f"{placed} placed and routed; * marks the Pareto front")
    for point in made.points:
        if point.failure or (point.refusal and not point.lack):
            yield f"{point.name}: {point.failure or point.refusal}"
    if made.seeds:
        rates = [timing.fmax_hz / 1e6 for timing in made.seeds.values()]
        met = sum(timing.met for timing in made.seeds.values())
        yield (f"{made.fastest.name} with {len(rates)} seeds: {min(rates):.2f} to "
               f"{max(rates):.2f} MHz, {statistics.mean(rates):.2f} MHz in the mean; {met} of them "
               f"fast enough for {made.board.clock_hz / 1e6:g} MHz")
    for seed, failure in made.failures.items():
        yield f"{made.fastest.name} with seed {seed}: {failure}"


def confusion_table(made: Evaluation) -> Table:
    """Return a row for each class, a column for each answer, and the share that is right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="rows: labels; columns: answers",
                  title_justify="left")
    table.add_column("", no_wrap=True)
    for name in (*made.classes, "right"):
        table.add_column(name, justify="right", no_wrap=True)
    for at, (name, row) in enumerate(zip(made.classes, made.confusion, strict=True)):
        share = f"{100 * row[at] / row.sum():.1f} %" if row.sum() else ""
        table.add_row(name, *(str(value) if value else "." for value in row.tolist()), share)
    return table

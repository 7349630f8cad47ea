"""Draws an exploration: the Pareto front, and the clock by seeds. As SVG and as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import MissingToolError
from compiler.explore.explore import Exploration
from compiler.explore.points import Point


if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["FMAX", "FORMATS", "PARETO", "check", "draw"]

PARETO, FMAX = "pareto", "fmax"   # files, less their suffixes
FORMATS = "svg", "png"
INCHES = 8.0, 4.8
DOTS = 150                        # to an inch, of PNG
BIN_MHZ = 0.25
NEAR = 0.04                        # parts of a picture within which names would lie on each other
HELD, TOO_LARGE, FRONT = "#1f77b4", "#b0b0b0", "#d62728"


def check() -> None:
    """Raise MissingToolError where nothing can be drawn."""
    try:
        __import__("matplotlib")
    except ImportError as error:
        raise MissingToolError("Pictures need matplotlib: install it with "
                               "`pip install xnorloom[sweep]`") from error


def draw(made: Exploration, folder: Path) -> list[Path]:
    """Write the pictures to ``folder``, and return their paths.

    That of seeds is there only where several were placed. It needs what `check` looks for.
    """
    import matplotlib
    from matplotlib.figure import Figure

    paths = []
    # Nothing of a picture is chance: the same results are the same files.
    with matplotlib.rc_context({"svg.hashsalt": made.model, "font.size": 9}):
        for stem, plot, wanted in ((PARETO, pareto, True), (FMAX, histogram, bool(made.seeds))):
            if not wanted:
                continue
            figure = Figure(figsize=INCHES, layout="constrained")
            plot(made, figure)
            for form in FORMATS:
                paths.append(folder / f"{stem}.{form}")
                figure.savefig(paths[-1], dpi=DOTS,
                               metadata={"Date": None} if form == "svg" else None)
    return paths


def pareto(made: Exploration, figure: Figure) -> None:
    """Draw frames a second over logic cells; those that the board does not hold, too."""
    axes = figure.add_subplot()
    shown = [point for point in made.points if point.used and point.fps]
    for title, colour, filled, group in (
            ("too large for the board", TOO_LARGE, False, [at for at in shown if not at.runs]),
            ("foretold", HELD, False, [at for at in shown if at.runs and not at.placed]),
            ("placed and routed", HELD, True, [at for at in shown if at.runs and at.placed])):
        if group:
            axes.scatter(*columns(group), s=30, label=title, zorder=3, edgecolors=colour,
                         facecolors=colour if filled else "none")
    best = made.front
    axes.step(*columns(best), where="post", color=FRONT, linewidth=1, label="Pareto front")
    spans = [max(values, default=0) - min(values, default=0) for values in columns(shown)]
    named: list[tuple[float, float]] = []
    for point, *place in reversed(list(zip(best, *columns(best), strict=True))):
        if not any(all(abs(one - other) < NEAR * span for one, other, span in
                       zip(place, before, spans, strict=True)) for before in named):
            named.append((place[0], place[1]))
            axes.annotate(point.name, named[-1], fontsize=7, color=FRONT, ha="right", rotation=-40,
                          rotation_mode="anchor", textcoords="offset points", xytext=(-5, 4))
    axes.margins(x=0.15)  # for the names
    axes.axvline(made.board.available.lut4, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(f" {made.board.available.lut4:,} in the chip", (made.board.available.lut4, 0.02),
                  xycoords=("data", "axes fraction"), fontsize=7)
    axes.set(title=f"{made.model} on {made.board.title}", xlabel="logic cells (LUT4)",
             ylabel="frames a second")
    axes.set_ylim(0, 1.15 * max(columns(shown)[1], default=1.0))
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=8, loc="lower right")


def columns(points: Sequence[Point]) -> tuple[list[int], list[float]]:
    placed = [(point.used.lut4, point.fps) for point in points if point.used and point.fps]
    return [cells for cells, _ in placed], [fps for _, fps in placed]


def histogram(made: Exploration, figure: Figure) -> None:
    """Draw how many seeds make which clock."""
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot()
    values = [timing.fmax_hz / 1e6 for timing in made.seeds.values()]
    clock = made.board.clock_hz / 1e6
    first, last = (floor((end(values) - clock) / BIN_MHZ) for end in (min, max))
    edges = [clock + BIN_MHZ * at for at in range(first, last + 2)]
    axes.hist(values, edges, color=HELD, edgecolor="white")
    axes.axvline(clock, color=FRONT, linewidth=1, label=f"the clock of the board, {clock:g} MHz")
    met = sum(timing.met for timing in made.seeds.values())
    axes.set(title=f"{made.fastest.name} on {made.board.title}: {met} of {len(values)} seeds are "
             f"fast enough", xlabel="Fmax of the core clock, MHz", ylabel="seeds")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(linewidth=0.3, axis="y")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8)

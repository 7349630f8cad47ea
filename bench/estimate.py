"""Compares what the estimator foretells of accelerators with what place and route makes of them.

    python -m bench.estimate [--board icebreaker] [--write]

Every array for which the board has the memories and multipliers is synthesized, placed and routed
with one seed. Those that the estimator holds for too large are left out, and so are those that
turn out not to fit. What was placed once is taken from the cache of bitstreams, so a run that
was interrupted goes on, and after a change of the gateware everything is placed again: some
minutes for each.

Two errors are told of what is foretold. The first is that of the model fitted to all arrays; the
second, *left out*, that of the model fitted to all but this one. With ``--write`` what was measured
becomes what the estimator knows, ``compiler/estimator/<chip>.json``, and the tables go to
``docs/architecture.md``. A new chip begins without such a file.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from boards.board import Board
from compiler.bitstream import build_bitstream
from compiler.build import find_board
from compiler.errors import MissingToolError, ToolError
from compiler.estimator.counts import Chip, chip_of, counted, device_of
from compiler.estimator.model import Model, Point, estimate, model_of, to_json
from compiler.progress import terminal
from compiler.schedule.fit import candidates
from hdl.config import Config


__all__ = ["main", "measure", "shapes", "tables"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
LOGS = ROOT / "build" / "estimate"
SEED = 1
HOPELESS = 0.98  # of the logic cells: a chip as full is not routed for long, if at all


def shapes(board: Board) -> list[Config]:
    """Return the accelerators that are compared, small ones first."""
    known = model_of(device_of(board))

    def cells(config: Config) -> float:
        needs = estimate(config, board)  # those of an array that was placed are known
        return needs.used.lut4 if needs else known.cells(config)

    return sorted((config for config in candidates(board)
                   if cells(config) < HOPELESS * board.available.lut4),
                  key=lambda config: config.lanes)


def name_of(config: Config) -> str:
    return f"{config.p} x {config.pe} x {config.simd}, {config.fixed_pe}"


def measure(board: Board, config: Config) -> Point | None:
    """Place and route an accelerator, or return None where the chip is too small."""
    folder = LOGS / name_of(config).replace(", ", "-").replace(" ", "")
    try:
        placed = build_bitstream(board, config, folder, terminal(), seeds=(SEED,), slow=True)
    except MissingToolError:
        raise
    except ToolError as failure:
        print(f"{name_of(config)}: {failure}", flush=True)
        return None
    point = Point(config, placed.used, placed.timing.fmax_hz)
    print(f"{name_of(config)}: {to_json(point)}", flush=True)
    return point


def tables(model: Model, chip: Chip) -> str:
    """Return what is foretold beside what was measured, and what of it is whose, as Markdown."""
    rows = [["P x PE x SIMD, channels", "logic cells", "foretold", "error", "left out", "EBR",
             "foretold", "DSP", "foretold", "MHz", "foretold", "error", "left out"]]
    for at, point in enumerate(model.points):
        config, used, counts = point.config, point.used, counted(point.config, chip)
        cells, fmax_hz = model.cells(config), 1e9 / model.period(config)
        rows.append([
            name_of(config), f"{used.lut4:,}", f"{cells:,.0f}", share(model.cells.residuals[at]),
            share(model.cells.errors[at]), f"{used.ebr}", f"{counts['ebr']}", f"{used.dsp}",
            f"{counts['dsp']}", f"{point.fmax_hz / 1e6:.2f}", f"{fmax_hz / 1e6:.2f}",
            share(1 / (1 + model.period.residuals[at]) - 1),
            share(1 / (1 + model.period.errors[at]) - 1)])
    parts = [["logic cells", "for each"]]
    parts += [[f"{cost:.2f}", name] for name, cost in model.cells.coefficients.items()]
    parts += [["ns of a period", "for each"]]
    parts += [[f"{cost:.2f}", name] for name, cost in model.period.coefficients.items()]
    at = parts.index(["ns of a period", "for each"])
    return "\n\n".join([markdown(rows), summary(model), markdown(parts[:at]), markdown(parts[at:])])


def summary(model: Model) -> str:
    """Return a sentence about the largest errors."""
    def worst(errors: Iterable[float]) -> str:
        return f"{100 * max(map(abs, errors)):.1f} %"

    cells, period = model.cells, model.period
    return (f"The largest error of logic cells is {worst(cells.residuals)}, and "
            f"{worst(cells.errors)} left out;\nof a period, {worst(period.residuals)} and "
            f"{worst(period.errors)}.")


def share(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f} %"  # no negative zero


def markdown(rows: list[list[str]]) -> str:
    """Return a table whose first row is its heading."""
    first, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([first, "|---" * len(rows[0]) + "|", *others])


def write(board: Board, model: Model) -> None:
    """Keep what was measured: for the estimator, and in the documents."""
    device = device_of(board)
    path = ROOT / "compiler" / "estimator" / f"{device}.json"
    points = ",\n".join(f"  {json.dumps(to_json(point))}" for point in model.points)
    path.write_text(f'{{"points": [\n{points}\n]}}\n')
    before, begin, rest = PAGE.read_text().partition(f"<!-- begin estimate {device} -->\n")
    _, end, after = rest.partition(f"<!-- end estimate {device} -->\n")
    PAGE.write_text(f"{before}{begin}\n{tables(model, chip_of(board))}\n\n{end}{after}")


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Compare the estimator with place and route.")
    parser.add_argument("--board", default="icebreaker", help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="keep what was measured")
    chosen = parser.parse_args(arguments)
    board = find_board(chosen.board)
    model = Model([point for config in shapes(board) if (point := measure(board, config))])
    if not model.points:
        parser.exit(1, "No array could be placed\n")
    print(tables(model, chip_of(board)))
    if chosen.write:
        write(board, model)


if __name__ == "__main__":
    main()

"""Commands that do many things side by side: over the inputs of a data set, or over boards' arrays.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from boards.catalogue import BOARDS
from compiler.build import find_board, whole_folder
from compiler.cli_common import (
    Command,
    complete_board,
    complete_model,
    counting,
    given,
    hint,
    json_option,
    print_json,
)
from compiler.cli_options import data_option, input_option
from compiler.cluster import connect
from compiler.evaluate import evaluate as evaluate_network
from compiler.explore.explore import explore as explore_board
from compiler.explore.plots import check, draw
from compiler.explore.tables import confusion_table, notes, point_table
from compiler.workload import open_workload


__all__ = ["evaluate", "explore"]

WIDE = 400  # columns of a table where there is no terminal

scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS",
    help="Of a Dask cluster, such as tcp://10.0.0.1:8786.  [default: one on this machine]")
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes of the cluster on this machine.  [default: one for each core]")


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@data_option
@click.option("--samples", type=click.IntRange(min=1), metavar="N",
              help="How many of the inputs.  [default: all]")
@scheduler_option
@workers_option
@input_option
@json_option
def evaluate(model: str, data: str | None, samples: int | None, scheduler: str | None,
             workers: int | None, input_type: str | None, as_json: bool) -> None:
    """Tell how often MODEL is right about DATA, and what it takes for what (extra `sweep`).

    The generated C runs on all cores, or on a Dask cluster, whose workers have xnorloom and a C
    compiler. The network that ships with us has data of its own.

    \b
    Examples:
      python -m compiler evaluate digits
      python -m compiler evaluate my.onnx --data mnist_folder
      python -m compiler evaluate my.onnx --data my.npz --scheduler tcp://10.0.0.1:8786 --json
    """
    work = open_workload(model, data, input_type)
    with connect(scheduler, workers) as client:
        made = evaluate_network(work, client, samples, counting())
    if as_json:
        print_json(made.facts())
    else:
        wide().print(confusion_table(made))
        click.echo(f"accuracy {100 * made.accuracy:.2f} %: {made.correct} of {made.samples} inputs "
                   f"of {made.data}")
    hint("build", model, "--board", next(iter(BOARDS)), *given(data, "--data"),
         *given(input_type, "--input-type"))


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@click.option("--board", required=True, metavar="BOARD", shell_complete=complete_board,
              help="Its name; `boards` lists them.")
@click.option("-o", "--out", default="build/explore", show_default=True, metavar="DIR",
              type=click.Path(path_type=Path), help="Where everything goes.")
@click.option("--place", "places", type=click.IntRange(min=0), metavar="N",
              help="Place and route the N most promising arrays.  [default: the Pareto front]")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Place and route the fastest with seeds 1 to N, and draw its clocks.")
@data_option
@scheduler_option
@workers_option
@input_option
@json_option
def explore(model: str, board: str, out: Path, places: int | None, seeds: int, data: str | None,
            scheduler: str | None, workers: int | None, input_type: str | None,
            as_json: bool) -> None:
    """Look for the arrays of BOARD that suit MODEL: frames a second against logic cells (extra
    `sweep`).

    All arrays are estimated, at each rate of the flash: seconds. The most promising are placed and
    routed: minutes each. DIR gets explore.json, pareto.svg and pareto.png, with several seeds
    fmax.svg and fmax.png, and log/. Each result is in DIR/points as soon as it is there, so a run
    that was killed goes on where it was when it is started again.

    \b
    Examples:
      python -m compiler explore digits --board icebreaker --place 0
      python -m compiler explore my.onnx --board icebreaker --place 12 --seeds 10
      python -m compiler explore my.onnx --board icebreaker --scheduler tcp://10.0.0.1:8786
    """
    check()
    target = find_board(board)
    work = open_workload(model, data, input_type)
    with connect(scheduler, workers) as client:
        made = explore_board(work, target, out, client, places=places, seeds=seeds,
                             count=counting())
    with whole_folder(out) as folder:
        draw(made, folder)
        (folder / "explore.json").write_text(json.dumps(made.facts(), indent=2) + "\n")
    if as_json:
        print_json(made.facts())
    else:
        wide().print(point_table(made))
        for line in notes(made):
            click.echo(line)
        click.echo(f"Everything is in {out}")
    lanes = ["--lanes", made.fastest.config.lanes] if made.front else []
    hint("build", model, "--board", board, *lanes, *given(data, "--data"),
         *given(input_type, "--input-type"))


def wide() -> Console:
    """Return a console that cuts no table where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    return console

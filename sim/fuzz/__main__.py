"""The command ``python -m sim.fuzz``."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from compiler.errors import MissingToolError, ToolError, UserError
from hdl.config import Config


WIDTH = 100


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--networks", "count", type=click.IntRange(min=1), default=500, show_default=True,
              help="How many must be the same on the golden model and in C.")
@click.option("--rtl", type=click.IntRange(min=0), default=100, show_default=True,
              help="How many of these must be the same on the gateware.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
              help="Where the draws begin.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("build/fuzz"),
              show_default=True, metavar="DIR", help="Where networks on which something differs "
              "are saved, reduced.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="FILE",
              help="Run such a network instead.")
def fuzz(count: int, rtl: int, seed: int, out: Path, replay: Path | None) -> None:
    """Draw random networks, and hold the C and the gateware to the golden model.

    Every layer of every network is compared, and on the gateware the cycles of each, by cause,
    with those that were foretold. What the compiler refuses is counted by reason. The exit status
    is 0 where enough networks ran and nothing differs, else 1.

    \b
    Example:
      python -m sim.fuzz --networks 5000 --rtl 1000 --seed 7
    """
    try:
        from sim.fuzz.hunt import Tally, Wanted, hold, hunt
        from sim.fuzz.saved import load
    except ModuleNotFoundError as error:
        raise MissingToolError(f"{error.name} must be installed; pip install xnorloom[test]"
                               ) from error
    tally, failures, start = Tally(), 0, time.monotonic()
    if replay:
        count, rtl = 1, 0
        hold(load(replay), Config(), tally, rtl=True)
    else:
        with Progress(TextColumn("{task.description}"), TimeElapsedColumn(),
                      console=Console(stderr=True)) as shown:
            task = shown.add_task("")
            for failure in hunt(Wanted(count, rtl), seed, out, tally, lambda: shown.update(
                    task, description=f"{tally.c} in C, {tally.rtl} on the gateware")):
                failures += 1
                click.echo(str(failure), err=True)
    report(tally)
    click.echo(f"{tally.c} networks are the same in C, {tally.rtl} of them on the gateware, "
               f"{failures} differ; {time.monotonic() - start:.0f} s")
    sys.exit(1 if failures or tally.c < count or tally.rtl < rtl else 0)


def main() -> None:
    """Run the command. What keeps it from running, or what a replay finds, ends in one line."""
    try:
        fuzz.main(prog_name="python -m sim.fuzz")
    except (UserError, ToolError, AssertionError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(getattr(error, "exit_status", 1))


def report(tally) -> None:
    """Print how many networks had which kinds of layers, and what was refused."""
    from sim.fuzz.kinds import KINDS

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    table = Table("networks with", box=None)
    table.add_column("C", justify="right")
    table.add_column("gateware", justify="right")
    for kind in KINDS:
        table.add_row(kind, str(tally.c_kinds[kind]), str(tally.rtl_kinds[kind]))
    console.print(table)
    for who, reasons in tally.refused.items():
        for reason, times in reasons.most_common():
            console.print(f"refused by {who}, {times} times: {reason}", markup=False,
                          highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()

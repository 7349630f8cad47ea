"""The command ``python -m sim``."""

import contextlib
import os
import signal
from pathlib import Path

import click

from compiler.cli import Commands
from compiler.errors import UserError
from compiler.progress import terminal
from sim.board import SimulatedBoard
from sim.noise import Noise


WIDTH = 100
SHARE = click.FloatRange(0, 1, max_open=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"],
                                             "max_content_width": WIDTH})
def commands() -> None:
    """Simulate what is built.

    \b
    Example:
      python -m sim board build/digits --link build/port
    """


@commands.command()
@click.argument("build_dir", type=click.Path(path_type=Path))
@click.option("--link", type=click.Path(path_type=Path), metavar="PATH",
              help="Make this a symbolic link to the port.")
@click.option("--noise", type=SHARE, default=0.0, metavar="SHARE",
              help="Damage so many of the octets, either way, such as 0.01.")
@click.option("--loss", type=SHARE, default=0.0, metavar="SHARE", help="Lose so many of them.")
@click.option("--reset-after", type=click.IntRange(min=1), metavar="N",
              help="Let the power fail once, after N octets from the host.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Of chance.")
def board(build_dir: Path, link: Path | None, noise: float, loss: float, reset_after: int | None,
          seed: int) -> None:
    """Be the board that BUILD_DIR was built for: its gateware and its image, simulated.

    Prints the path of a serial port, and serves whatever host opens it until it is interrupted.
    Some 400,000 cycles pass in a second, so all takes about 70 times as long as on a board.

    \b
    Examples:
      python -m sim board build/digits
      python -m sim board build/digits --link build/port --noise 0.01
    """
    with terminal()("compiling the simulator"):
        made = SimulatedBoard(build_dir, Noise(noise, loss, seed), reset_after)
    signal.signal(signal.SIGTERM, lambda *_: made.stop())
    try:
        with linked(link, made.path):
            click.echo(f"port {link or made.path}")
            click.echo(f"Next: python -m compiler run {build_dir} INPUT --on board "
                       f"--port {link or made.path}")
            with contextlib.suppress(KeyboardInterrupt):
                made.serve()
    finally:
        made.close()


@contextlib.contextmanager
def linked(link: Path | None, target: str):
    """Make a symbolic link, in place of one that is there, and take it away at the end."""
    if link is None:
        yield
        return
    if link.exists() and not link.is_symlink():
        raise UserError(f"Link '{link}' must be a new name or a symbolic link, not a file")
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(target)
    fresh.replace(link)
    try:
        yield
    finally:
        if link.is_symlink() and os.readlink(link) == target:
            link.unlink()


if __name__ == "__main__":
    commands(prog_name="python -m sim")

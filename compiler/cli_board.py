"""The commands that want a board."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click
from rich.console import Console
from rich.live import Live

from compiler.cli_common import WIDTH, Command, hint, progress
from compiler.deployment import Deployment
from compiler.errors import UserError
from compiler.flash import flash as write_flash
from compiler.host import Accelerator
from compiler.monitor import observe, view
from compiler.serial_port import SerialPort, ports


__all__ = ["flash", "monitor", "opened", "port_option"]

port_option = click.option(
    "--port", metavar="PORT", help="The board's serial port, such as /dev/ttyUSB1 or COM4, or what "
    "`python -m sim board` prints.")


@contextmanager
def opened(deployment: Deployment, port: str | None) -> Iterator[Accelerator]:
    """Give a board on the serial port ``port`` that holds the network and is ready to run it."""
    if port is None:
        found = ", ".join(ports()) or "none"
        raise UserError(f"The board's serial port must be given with --port; found {found}")
    with SerialPort(port, deployment.config.baud) as line:
        accelerator = Accelerator(line)
        accelerator.ready()
        deployment.check(accelerator.identify())
        yield accelerator


@click.command(cls=Command)
@click.argument("build_dir")
@click.option("--image-only", is_flag=True,
              help="Leave the bitstream that the board has: it runs any network that was built for "
              "an array of the same shape.")
def flash(build_dir: str, image_only: bool) -> None:
    """Write the bitstream and the image in BUILD_DIR to the board on the USB cable.

    It takes a programmer of the board that is installed: openFPGALoader, iceprog, icesprog or
    dfu-util.

    \b
    Examples:
      python -m compiler flash build/digits
      python -m compiler flash build/other --image-only
    """
    tool = write_flash(build_dir, image_only=image_only, progress=progress(),
                       instruct=partial(click.echo, err=True))
    click.echo(f"Written with {tool}")
    hint("run", build_dir, "INPUT", "--on", "board", "--port", "PORT")


@click.command(cls=Command)
@click.argument("build_dir")
@port_option
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print each look as a line of JSON.")
@click.option("--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True,
              metavar="S", help="Seconds between two looks.")
def monitor(build_dir: str, port: str | None, once: bool, as_json: bool, interval: float) -> None:
    """Show where the cycles of a board's last frame went, and how its line fares.

    BUILD_DIR is what was written to the board. No other program can have the port meanwhile.

    \b
    Examples:
      python -m compiler monitor build/digits --port /dev/ttyUSB1
      python -m compiler monitor build/digits --port /dev/ttyUSB1 --once --json
    """
    deployment = Deployment.load(build_dir)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    lasting = console.is_terminal and not (once or as_json)
    live = Live(console=console, auto_refresh=False) if lasting else None
    with (contextlib.suppress(KeyboardInterrupt), opened(deployment, port) as accelerator,
          live or contextlib.nullcontext()):
        while True:
            seen = observe(deployment, accelerator)
            if as_json:
                click.echo(json.dumps(seen))
            elif live:
                live.update(view(seen), refresh=True)
            else:
                console.print(view(seen))
            if once:
                break
            time.sleep(interval)
    hint("page", build_dir)

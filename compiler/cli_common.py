"""What all commands have in common: errors, how much they say, JSON, hints and completion."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from boards.catalogue import BOARDS
from compiler import models
from compiler.errors import ToolError, UserError
from compiler.frontends import ModelError
from compiler.progress import Count, Step, bars, quiet, terminal, uncounted


__all__ = ["USER_ERROR", "WIDTH", "Command", "Commands", "complete_board", "complete_model",
           "given", "hint", "json_option", "plain_console", "print_json", "progress", "tell_next"]

VERBOSE, QUIET = f"{__name__}.verbose", f"{__name__}.quiet"  # in `click.Context.meta`

USER_ERROR = 1
WIDTH = 100  # of tables where there is no terminal
INTERRUPTED = 130

json_option = click.option("--json", "as_json", is_flag=True,
                           help="Print JSON in place of text, and nothing else.")


class Command(click.Command):
    """A command that can be told to say more, or less."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.params += [
            click.Option(["-v", "--verbose"], is_flag=True, expose_value=False,
                         callback=keep(VERBOSE), help="Tell which tools are run and what is taken "
                         "from the cache, and where an error comes from."),
            click.Option(["-q", "--quiet"], is_flag=True, expose_value=False,
                         callback=keep(QUIET), help="Show no progress and no hint."),
        ]

    def invoke(self, context: click.Context) -> Any:
        if not verbose(context):
            return super().invoke(context)
        handler = logging.StreamHandler()
        log = logging.getLogger("compiler")
        level = log.level
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            return super().invoke(context)
        except click.exceptions.Exit:
            raise
        except Exception:
            traceback.print_exc()
            raise
        finally:
            log.removeHandler(handler)
            log.setLevel(level)


def keep(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Return a callback that keeps the value of an option for all that runs in the command."""
    def callback(context: click.Context, option: click.Parameter, value: bool) -> None:
        context.meta[name] = value
    return callback


def verbose(context: click.Context) -> bool:
    return bool(context.meta.get(VERBOSE))


def progress() -> Step:
    """Return how the present command shows what goes on."""
    return quiet if click.get_current_context().meta.get(QUIET) else terminal()


def counting() -> Count:
    """Return how the present command shows what is counted."""
    return uncounted if click.get_current_context().meta.get(QUIET) else bars()


def hint(*words: object, instead: str | None = None) -> None:
    """Tell the command to give next, and behind it what may be done ``instead``."""
    program = click.get_current_context().find_root().command_path
    text = f"{program} {shlex.join(str(word) for word in words)}"
    tell_next(f"{text}, or {instead}" if instead else text)


def tell_next(text: str) -> None:
    """Tell what to do next, on standard error, which is not the result."""
    if not click.get_current_context().meta.get(QUIET):
        click.echo(f"Next: {text}", err=True)


def print_json(facts: Any) -> None:
    click.echo(json.dumps(facts, indent=2))


def complete_board(context: click.Context, option: click.Parameter,
                   begun: str) -> list[CompletionItem]:
    """Complete the name of a board."""
    return [CompletionItem(name, help=board.title) for name, board in BOARDS.items()
            if name.startswith(begun)]


def complete_model(context: click.Context, option: click.Parameter,
                   begun: str) -> list[CompletionItem]:
    """Complete a network that ships with us, or a file."""
    return [*(CompletionItem(name) for name in models.names() if name.startswith(begun)),
            CompletionItem(begun, type="file")]


def plain_console() -> Console:
    """Return where tables go: as wide as the terminal, or of a width of our own."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


def given(value: str | None, *option: str) -> tuple[str, ...]:
    """Return the words that give a value, for a hint; none where there is no value."""
    return (*option, value) if value else ()


class Commands(click.Group):
    """Commands whose errors end in one line and an exit status that tells their cause."""

    command_class = Command

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            status = super().main(*args, **options | {"standalone_mode": False})
        except (UserError, ToolError) as error:
            status = complain(brief(error), error.exit_status)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = USER_ERROR
        except click.ClickException as error:
            status = complain(error.format_message().replace("\n", " "), USER_ERROR)
        except click.Abort:
            status = complain("interrupted", INTERRUPTED)
        except OSError as error:
            status = complain(f"A file must be usable, but: {error}", USER_ERROR)
        sys.exit(status)


def complain(text: str, status: int) -> int:
    click.echo(f"Error: {text}", err=True)
    return status


def brief(error: Exception) -> str:
    """Return a message; of many refusals of a model, the first, and how many more there are."""
    if isinstance(error, ModelError) and len(error.refusals) > 1:
        return (f"{error.refusals[0]} (and {len(error.refusals) - 1} more: "
                f"`check` lists them all)")
    return str(error)

"""Shows what goes on while slow things run: on standard error, which is not the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


__all__ = ["Step", "quiet", "terminal"]

Step = Callable[[str], AbstractContextManager[None]]  # names what runs while it is entered


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Show nothing."""
    yield


def terminal(console: Console | None = None) -> Step:
    """Return a `Step` with a spinner and the time, or plain lines where there is no terminal."""
    console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def spinner(name: str) -> Iterator[None]:
        columns = SpinnerColumn(finished_text=" "), TextColumn("{task.description}")
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            task = progress.add_task(name, total=1)
            yield
            progress.advance(task)

    @contextmanager
    def lines(name: str) -> Iterator[None]:
        console.print(f"{name} ...", markup=False)
        start = time.monotonic()
        yield
        console.print(f"{name}: {time.monotonic() - start:.1f} s", markup=False)

    return spinner if console.is_terminal else lines

"""Shows what goes on while slow things run: on standard error, which is not the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


__all__ = ["Count", "Step", "bars", "quiet", "terminal", "uncounted"]

Step = Callable[[str], AbstractContextManager[None]]  # names what runs while it is entered
# Names what is counted, and how many there are; what it gives is called with how many are done.
Count = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

SHARES = 10  # of a count, each of which is a line where there is no terminal


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


@contextmanager
def uncounted(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda done: None


def bars(console: Console | None = None) -> Count:
    """Return a `Count` with a bar and the time left, or plain lines where there is no terminal."""
    console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done: progress.update(task, completed=done)

    @contextmanager
    def lines(name: str, total: int) -> Iterator[Callable[[int], None]]:
        start, told = time.monotonic(), 0

        def tell(done: int) -> None:
            nonlocal told
            if SHARES * done // max(total, 1) > SHARES * told // max(total, 1):
                told = done
                console.print(f"{name}: {done} of {total}, {time.monotonic() - start:.1f} s",
                              markup=False)

        console.print(f"{name}: {total} ...", markup=False)
        yield tell

    return bar if console.is_terminal else lines

"""Runs functions side by side: on the cores of this machine, or on a cluster that is there, by
Dask."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from compiler.errors import MissingToolError, ToolError, UserError


if TYPE_CHECKING:
    from distributed import Client


__all__ = ["connect", "results"]

PATIENCE = 15  # seconds in which a scheduler answers, and has a worker
AHEAD = 2      # jobs for each thread that are handed out before they can begin


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """Give a client of the cluster at ``scheduler``, such as ``tcp://10.0.0.1:8786``.

    For None that is a cluster of this machine, which ends with the context, of ``workers``
    processes, or one for each core. On other machines xnorloom must be installed, and what it
    needs there: a C compiler, or the tools of place and route.

    Raises MissingToolError without Dask, and UserError for a cluster that does not answer, or that
    has no worker.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingToolError("Work side by side needs Dask: install it with "
                               "`pip install xnorloom[sweep]`") from error
    with ExitStack() as stack:
        if scheduler is None:
            # Errors come back to us, and end in one line; what else it says tells nothing.
            cluster = stack.enter_context(LocalCluster(
                n_workers=workers or os.cpu_count() or 1, threads_per_worker=1,
                dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL))
            client = stack.enter_context(Client(cluster))
            client.run(outlive_interrupts)
            yield client
            return
        try:
            with ThreadPoolExecutor(1) as aside:  # also where an event loop runs, as in a notebook
                aside.submit(asyncio.run, reach(scheduler)).result()
        except (OSError, ValueError) as error:
            raise UserError(f"Scheduler must be the address of a Dask scheduler that answers, such "
                            f"as tcp://10.0.0.1:8786, not {scheduler!r}") from error
        client = stack.enter_context(Client(scheduler, timeout=PATIENCE))
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise UserError(f"Cluster {scheduler!r} must have a worker: start one with "
                            f"`dask worker {scheduler}`") from error
        yield client


async def reach(scheduler: str) -> None:
    """Raise OSError or ValueError where there is no scheduler.

    A synchronous client that reaches none cannot be closed; it closes itself whenever it is
    collected, which may be in the thread of another cluster that starts, and both wait for ever.
    """
    from distributed import Client

    client = Client(scheduler, timeout=PATIENCE, asynchronous=True)
    try:
        await client
    finally:
        await client.close()


def outlive_interrupts() -> None:
    """Leave it to the command what an interrupt ends. A tool that runs, gets it as well."""
    signal.signal(signal.SIGINT, lambda *_: None)


def results(client: Client, function: Callable[..., Any],
            jobs: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Yield what ``function`` makes of the arguments ``jobs``, each with its number, as they come.

    Few are under way at once, so ``jobs`` may be many and large. Raises what the function raises,
    MissingToolError where workers have no xnorloom, and ToolError where they die of a job; then,
    and where the iterator is left, those under way are given up.
    """
    from distributed import Future, KilledWorker, as_completed

    waiting = enumerate(jobs)
    numbers: dict[Future, int] = {}
    done = as_completed()

    def hand_out() -> None:
        if job := next(waiting, None):
            number, arguments = job
            future = client.submit(function, *arguments, pure=False)
            numbers[future] = number
            done.add(future)

    for _ in range(AHEAD * max(1, sum(client.nthreads().values()))):
        hand_out()
    try:
        for future in done:
            try:
                result = future.result()
            except ImportError as error:
                raise MissingToolError(f"Every worker must have xnorloom, as it is here, "
                                       f"but: {error}") from error
            except KilledWorker as error:
                raise ToolError(f"A worker must live through {function.__name__}, but several "
                                f"have died of it") from error
            yield numbers.pop(future), result
            hand_out()
    finally:
        client.cancel(list(numbers), force=True)

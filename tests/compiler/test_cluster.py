import asyncio
import os
import threading
import time

import pytest

from compiler import cluster
from compiler.cluster import connect, results
from compiler.errors import MissingToolError, ToolError, UserError


STARTED, LEFT = [], threading.Event()


def square(number):
    return number * number


def late(number):
    time.sleep(0.3 if number == 0 else 0)
    return number


def wait(number):
    STARTED.append(number)
    LEFT.wait(10 if number else 0)


def refuse(number):
    raise UserError(f"Number must be odd, not {number}")


def die(number):
    os._exit(1)


def miss(number):
    raise ModuleNotFoundError("No module named 'compiler'")


def test_results_come_with_their_numbers(threads):
    with connect(threads) as client:
        assert sorted(results(client, square, [(n,) for n in range(40)])) == [
            (n, n * n) for n in range(40)]
        assert list(results(client, square, [])) == []


def test_results_come_as_they_are_done(threads):
    with connect(threads) as client:
        assert [number for number, _ in results(client, late, [(n,) for n in range(8)])] != list(
            range(8))


def test_few_are_under_way(threads):
    taken = []

    def jobs():
        for number in range(50):
            taken.append(number)
            yield (number,)

    with connect(threads) as client:
        for done, _ in enumerate(results(client, square, jobs()), 1):
            assert len(taken) <= done + cluster.AHEAD * 2


def test_errors_pass(threads):
    with connect(threads) as client:
        with pytest.raises(UserError, match=r"^Number must be odd, not \d$"):
            list(results(client, refuse, [(n,) for n in range(8)]))
        with pytest.raises(MissingToolError, match="^Every worker must have xnorloom, as it is "
                                                   "here, but: No module named 'compiler'$"):
            list(results(client, miss, [(1,)]))
        assert list(results(client, square, [(3,)])) == [(0, 9)]


def test_nothing_goes_on_behind_an_iterator_that_is_left(threads):
    STARTED.clear()
    LEFT.clear()
    with connect(threads) as client:
        found = results(client, wait, [(n,) for n in range(8)])
        next(found)
        found.close()
        LEFT.set()
        time.sleep(0.3)
        assert len(STARTED) <= 4


@pytest.mark.slow
def test_processes_of_this_machine():
    with connect(workers=1) as client:
        assert dict(results(client, square, [(5,)])) == {0: 25}
        (_, process), = results(client, os.getpid, [()])
        assert process != os.getpid()
        with pytest.raises(ToolError, match="^A worker must live through die, but several have "
                                            "died of it$"):
            list(results(client, die, [(1,)]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", ""])
def test_scheduler_that_is_not_there(monkeypatch, address):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    sentence = (f"^Scheduler must be the address of a Dask scheduler that answers, such as "
                f"tcp://10.0.0.1:8786, not '{address}'$")
    with pytest.raises(UserError, match=sentence), connect(address):
        pass


def test_within_an_event_loop(threads):
    """As in the cell of a notebook."""
    async def cell():
        with connect(threads) as client:
            return list(results(client, square, [(3,)]))

    assert asyncio.run(cell()) == [(0, 9)]


def test_cluster_without_workers(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp://",
                                  dashboard_address="127.0.0.1:0") as made:
        address = made.scheduler_address
        with pytest.raises(UserError, match=f"^Cluster '{address}' must have a worker: start one "
                                            f"with `dask worker {address}`$"), connect(address):
            pass


def test_without_dask(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingToolError, match=r"^Work side by side needs Dask: install it with "
                                               r"`pip install xnorloom\[sweep\]`$"), connect():
        pass

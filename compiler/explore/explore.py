"""Estimates every accelerator that is considered for a board, and places the promising ones."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards.board import Board, Resources
from compiler.bitstream import key
from compiler.cluster import results
from compiler.errors import ToolError, UserError
from compiler.explore.jobs import cycles_on, place, toolchain
from compiler.explore.points import Point, best_of, front, points_of, promising
from compiler.explore.store import Store, digest, sources
from compiler.pnr_report import Timing
from compiler.progress import Count, uncounted
from compiler.workload import Workload
from hdl.config import Config


if TYPE_CHECKING:
    from distributed import Client


__all__ = ["Exploration", "explore"]

SEED = 1          # of whatever is placed once
KEPT = "points"   # the folder of results
LOGS = "log"

Work = tuple[str, tuple[Any, ...]]  # a name, and what a job is given


@dataclass(frozen=True)
class Exploration:
    """What came of it."""

    model: str
    board: Board
    points: tuple[Point, ...]
    seeds: Mapping[int, Timing]  # of the fastest that was placed, where several were tried
    failures: Mapping[int, str] = field(default_factory=dict)  # of the other seeds

    @property
    def front(self) -> list[Point]:
        """The Pareto front of those that were placed; of all, where none was."""
        return front([point for point in self.points if point.placed] or self.points)

    @property
    def fastest(self) -> Point:
        return self.front[-1]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"model": self.model, "board": self.board.name,
                "clock_mhz": self.board.clock_hz / 1e6,
                "points": [point.facts() for point in self.points],
                "front": [point.name for point in self.front],
                "seeds": [{"of": self.fastest.name, "seed": seed, "met": timing.met,
                           "fmax_mhz": timing.fmax_hz / 1e6}
                          for seed, timing in self.seeds.items()],
                "failures": [{"of": self.fastest.name, "seed": seed, "failure": failure}
                             for seed, failure in self.failures.items()]}


@dataclass(frozen=True)
class Jobs:
    """Does what was not done before, and keeps every result as it comes."""

    client: Client
    store: Store
    count: Count

    def run(self, title: str, function: Callable[..., dict[str, Any]],
            work: Iterable[Work]) -> list[dict[str, Any]]:
        """Return the results of a function on each of ``work``, in its order.

        Those with a ``failure`` are not kept, and so tried again by the next run.
        """
        wanted = list(work)
        found = {at: kept for at, (name, _) in enumerate(wanted)
                 if (kept := self.store.read(name)) is not None}
        missing = [at for at in range(len(wanted)) if at not in found]
        with self.count(title, len(wanted)) as tell:
            tell(len(found))
            for number, result in results(self.client, function,
                                          (wanted[at][1] for at in missing)):
                at = missing[number]
                found[at] = result
                if "failure" not in result:
                    self.store.write(wanted[at][0], result)
                tell(len(found))
        return [found[at] for at in range(len(wanted))]


def explore(work: Workload, board: Board, out: Path, client: Client, *, places: int | None = None,
            seeds: int = 1, count: Count = uncounted) -> Exploration:
    """Explore what accelerators of ``board`` make of a network.

    All that `points_of` returns are estimated. The ``places`` most promising of them, or those on
    the Pareto front for None, are placed and routed with one seed; the fastest with ``seeds``.
    Every result is kept in ``out`` as soon as it is there, by the name of all that it depends on,
    and is not made again.

    Raises UserError where the network runs on none, and ToolError where none can be placed.
    """
    jobs = Jobs(client, Store(out / KEPT), count)
    points = estimated(work, points_of(board), jobs)
    if not any(point.runs for point in points):
        told = next((point.refusal for point in points if point.refusal and not point.lack), None)
        raise UserError(told or f"Board {board.name!r} must hold an array that is considered")
    chosen = promising(points, places)
    if not chosen:
        return Exploration(work.name, board, tuple(points), {})
    made_by, = (result for _, result in results(client, toolchain, [(board.name,)]))

    def job(config: Config, seed: int, name: str) -> Work:
        logs = (out / LOGS / f"{name}-{seed}").absolute()
        return (key(board, config, made_by, (seed, True)), (board.name, config, seed, str(logs)))

    placed = dict(zip([point.name for point in chosen], jobs.run(
        f"placing {len(chosen)} of them", place,
        (job(point.config, SEED, point.name) for point in chosen)), strict=True))
    points = [as_placed(point, placed[point.name]) if point.name in placed else point
              for point in points]
    if not any(point.placed for point in points):
        raise ToolError(f"One array at least must be placed, but none was; the first failed: "
                        f"{placed[chosen[0].name]['failure']}")
    if seeds == 1:
        return Exploration(work.name, board, tuple(points), {})
    best = best_of(points)
    found = jobs.run(f"placing {best.name} with {seeds} seeds", place,
                     (job(best.config, seed, best.name) for seed in range(1, seeds + 1)))
    by_seed = dict(enumerate(found, 1))
    return Exploration(
        work.name, board, tuple(points),
        {seed: Timing(**told["timing"]) for seed, told in by_seed.items() if "timing" in told},
        {seed: told["failure"] for seed, told in by_seed.items() if "failure" in told})


def estimated(work: Workload, points: Sequence[Point], jobs: Jobs) -> list[Point]:
    """Return the points with their cycles of a frame, or why there are none."""
    from dask.base import tokenize

    network = jobs.client.scatter(pickle.dumps(work.graph), broadcast=True, hash=False)
    made_of = tokenize(work.graph), sources("hdl", "compiler")
    found = jobs.run(f"estimating {len(points)} arrays", cycles_on, (
        (f"{point.name}-{digest([made_of, asdict(point.config)])}", (network, point.config))
        for point in points))
    return [replace(point, cycles=result.get("cycles"), refusal=result.get("refusal"))
            for point, result in zip(points, found, strict=True)]


def as_placed(point: Point, result: Mapping[str, Any]) -> Point:
    if failure := result.get("failure"):
        return replace(point, failure=failure)
    return point.placed_as(Resources(**result["used"]), Timing(**result["timing"]))

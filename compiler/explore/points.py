"""Accelerators as points in a plane: logic cells, and frames a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from boards.board import Board, Resources
from compiler.errors import UserError
from compiler.estimator.model import estimate
from compiler.pnr_report import Timing
from compiler.schedule.fit import considered
from hdl.config import Config


__all__ = ["Point", "best_of", "front", "points_of", "promising"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """An accelerator for a board, and what a network makes of it; None is what is not known."""

    config: Config
    lack: str | None            # what the board does not have; None where it holds it
    used: Resources | None      # as foretold, or as placed
    fmax_hz: float | None       # of the core clock
    clock_hz: float             # at which it can run, on this board
    placed: bool = False
    failure: str | None = None  # of place and route
    cycles: int | None = None   # of a frame
    refusal: str | None = None  # why the network does not run on it

    @property
    def name(self) -> str:
        """Shape of the array, channels of the fixed-point unit, and the rate of the flash."""
        config = self.config
        rate = "full" if config.flash_full_rate else "half"
        return f"{config.p}x{config.pe}x{config.simd}-{config.fixed_pe}-{rate}"

    @property
    def fps(self) -> float | None:
        """Frames a second."""
        return self.clock_hz / self.cycles if self.cycles else None

    @property
    def runs(self) -> bool:
        """Whether the board holds it, and the network runs on it, as far as is known."""
        return self.lack is None and self.failure is None and self.cycles is not None

    def placed_as(self, used: Resources, timing: Timing) -> Point:
        """Return the point as it was placed and routed. It runs as fast as that confirms."""
        return replace(self, used=used, fmax_hz=timing.fmax_hz, placed=True,
                       clock_hz=self.config.clock_hz * min(1.0, timing.slack))

    def facts(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        config = self.config
        return {
            "name": self.name, "p": config.p, "pe": config.pe, "simd": config.simd,
            "fixed_pe": config.fixed_pe, "flash_full_rate": config.flash_full_rate,
            "lanes": config.lanes, "lacks": self.lack, "placed": self.placed,
            "failure": self.failure, "resources": self.used and asdict(self.used),
            "fmax_mhz": self.fmax_hz and self.fmax_hz / 1e6, "clock_mhz": self.clock_hz / 1e6,
            "cycles": self.cycles, "refusal": self.refusal, "fps": self.fps,
        }


def points_of(board: Board) -> list[Point]:
    """Return the accelerators that are considered for ``board``, and what is foretold of them.

    Those that it does not hold are among them. The flash is read at each rate that the board
    knows, fast first. Raises UserError where too little is known of its chip.
    """
    rates = (True, False) if board.flash_full_rate else (False,)
    points = [foretold(board, replace(config, flash_full_rate=rate), lack)
              for config, lack in considered(board) for rate in rates]
    if not points:
        raise UserError(f"Board {board.name!r} must have arrays to estimate from, placed by "
                        f"bench.estimate, not none")
    return points


def foretold(board: Board, config: Config, lack: tuple[str, str] | None) -> Point:
    needs = estimate(config, board)
    return Point(
        config=config, lack=f"{lack[0]}, not {lack[1]}" if lack else None,
        used=needs.used if needs else None, fmax_hz=needs.fmax_hz if needs else None,
        clock_hz=min(board.clock_hz, needs.fmax_hz if needs else inf))


def front(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front of those that run: none is faster and takes as few logic cells.

    It comes from few cells to many. Of equals the first is in it.
    """
    fastest, found = 0.0, []
    for cells, fps, at in sorted(plane(points), key=lambda place: (place[0], -place[1], place[2])):
        if fps > fastest:
            fastest = fps
            found.append((cells, at))
    return [points[at] for _, at in found]


def plane(points: Sequence[Point]) -> Iterator[tuple[int, float, int]]:
    """Yield the logic cells and the frames a second of those that run, and which they are."""
    for at, point in enumerate(points):
        if point.runs and point.used and point.fps:
            yield point.used.lut4, point.fps, at


def promising(points: Sequence[Point], count: int | None = None) -> list[Point]:
    """Return the ``count`` points to place: the front, then the front of the others, and so on.

    For None, those of the front. First are those of which no logic cells are foretold.
    """
    chosen = [point for point in points if point.runs and not point.used]
    others = [point for point in points if point.runs and point.used]
    while others and (not chosen if count is None else len(chosen) < count):
        best = front(others)
        chosen += best
        others = [point for point in others if point not in best]
    return chosen if count is None else chosen[:count]


def best_of(points: Sequence[Point]) -> Point:
    """Return the fastest of those placed; of several, that with the fewest logic cells."""
    return front([point for point in points if point.placed])[-1]

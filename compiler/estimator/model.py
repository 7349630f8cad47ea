"""Logic cells and speed of an accelerator, by a linear model of what others were measured to take.

The terms are what the structure has: so many cells for each lane of the array, for each bit of
its accumulators, and so on, and some that do not scale. What one of each costs is the least
squares solution over designs that were placed and routed, which `python -m bench.estimate` keeps
in a file for each chip. Errors are those of designs left out of the fit, one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from importlib import resources
from math import log2
from typing import Any

import numpy as np

from boards.board import Board, Resources
from compiler.estimator.counts import chip_of, counted, device_of
from hdl.config import Config


__all__ = ["CELLS", "PERIOD", "Estimate", "Linear", "Model", "Point", "estimate", "from_json",
           "model_of", "to_json"]

Array = np.ndarray[Any, Any]
Terms = Mapping[str, Callable[[Config], float]]

SHAPE = ("p", "pe", "simd", "fixed_pe", "memory_depth", "weight_depth", "level_depth",
         "binary_width", "fixed_width")  # fields of `Config` that differ

# What logic cells are for.
CELLS: Terms = {
    "whatever the shape is": lambda config: 1,
    "lane of the array": lambda config: config.lanes,
    "bit of its accumulators": lambda config: config.p * config.pe * config.binary_width,
    "bit of an address": lambda config: config.memory_width,
    "bit of the fixed-point unit's accumulators":
        lambda config: config.fixed_pe * config.fixed_width,
}
# What a period is for, in ns. How full the chip is, and how many lanes there are, tells no more.
PERIOD: Terms = {
    "whatever the shape is": lambda config: 1,
    "each time that the number of pixels doubles": lambda config: log2(config.p),
}


@dataclass(frozen=True)
class Point:
    """A design that was placed and routed."""

    config: Config
    used: Resources
    fmax_hz: float


@dataclass(frozen=True)
class Linear:
    """A quantity that is a sum of terms."""

    terms: Terms
    points: tuple[tuple[Config, float], ...]

    @cached_property
    def coefficients(self) -> dict[str, float]:
        """What one of each term adds."""
        return dict(zip(self.terms, self._solve(self.points).tolist(), strict=True))

    def __call__(self, config: Config) -> float:
        return float(self._row(config) @ np.array(list(self.coefficients.values())))

    @cached_property
    def residuals(self) -> list[float]:
        """By how much each point is foretold wrong, as a share of what it is."""
        return [self(config) / value - 1 for config, value in self.points]

    @cached_property
    def errors(self) -> list[float]:
        """By how much each point is foretold wrong by the others, as a share of what it is."""
        found = []
        for at, (config, value) in enumerate(self.points):
            solution = self._solve(self.points[:at] + self.points[at + 1:])
            found.append(float(self._row(config) @ solution) / value - 1)
        return found

    def _row(self, config: Config) -> Array:
        return np.array([term(config) for term in self.terms.values()], float)

    def _solve(self, points: Sequence[tuple[Config, float]]) -> Array:
        """Return coefficients with the least squares of relative errors."""
        rows = np.array([self._row(config) / value for config, value in points])
        rows = rows.reshape(len(points), len(self.terms))
        return np.linalg.lstsq(rows, np.ones(len(points)))[0]


@dataclass(frozen=True)
class Estimate:
    """What is foretold of an accelerator, or known of one that was placed."""

    used: Resources
    fmax_hz: float
    placed: bool


class Model:
    """What is known of a chip from ``points``."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self.cells = Linear(CELLS, tuple((at.config, at.used.lut4) for at in points))
        self.period = Linear(PERIOD, tuple((at.config, 1e9 / at.fmax_hz) for at in points))


@cache
def model_of(device: str) -> Model:
    """Return the model of a chip, from what was measured of it, if anything was."""
    file = resources.files(__package__).joinpath(f"{device}.json")
    points = json.loads(file.read_text())["points"] if file.is_file() else []
    return Model([from_json(point) for point in points])


def estimate(config: Config, board: Board) -> Estimate | None:
    """Foretell what an accelerator takes of the chip of ``board``, unless it was placed once.

    None stands for one of which nothing can be said, as too few others were placed.
    """
    model = model_of(device_of(board))
    for point in model.points:
        if shape_of(point.config) == shape_of(config):
            return Estimate(point.used, point.fmax_hz, placed=True)
    if len(model.points) <= len(CELLS):
        return None
    return Estimate(Resources(lut4=round(model.cells(config)), **counted(config, chip_of(board))),
                    1e9 / model.period(config), placed=False)


def shape_of(config: Config) -> dict[str, int]:
    """Return the numbers on which anything depends, by name."""
    return {name: getattr(config, name) for name in SHAPE}


def to_json(point: Point) -> dict[str, Any]:
    """Return a point as it is kept in a file; `from_json` reads it."""
    return (shape_of(point.config) | asdict(point.used)
            | {"fmax_hz": point.fmax_hz})


def from_json(facts: Mapping[str, Any]) -> Point:
    """Read what `to_json` made."""
    return Point(Config(**{name: facts[name] for name in SHAPE}),
                 Resources(**{field.name: facts[field.name] for field in fields(Resources)}),
                 facts["fmax_hz"])

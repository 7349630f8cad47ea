"""Reads nextpnr's report: what a design takes, and how fast it is in the worst case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from boards.board import Resources
from compiler.errors import ToolError


__all__ = ["Timing", "read_report"]

ROUNDING = 0.002   # of a constraint, which nextpnr keeps in whole picoseconds
ASYNC = "<async>"


@dataclass(frozen=True)
class Timing:
    """Rates that a placed and routed design can have, beside those that it must have."""

    clock_hz: int
    fmax_hz: float         # of the core clock
    fast_fmax_hz: float    # of the clock of the flash pins, which has twice the rate
    crossing_ns: float     # the longest way from one clock to the other; 0 for none

    @property
    def slack(self) -> float:
        """The rate that all ways allow, by the rate wanted: 1 or more is fast enough."""
        ratios = [self.fmax_hz / self.clock_hz, self.fast_fmax_hz / (2 * self.clock_hz)]
        if self.crossing_ns:
            ratios.append(1e9 / (2 * self.clock_hz) / self.crossing_ns)
        return min(ratios)

    @property
    def met(self) -> bool:
        return self.slack >= 1

    def __str__(self) -> str:
        return (f"{self.fmax_hz / 1e6:.2f} MHz (with {self.fast_fmax_hz / 1e6:.2f} MHz at the "
                f"flash, and {self.crossing_ns:.2f} ns between the two)")


def read_report(path: Path, clock_hz: int,
                cells: Mapping[str, tuple[str, ...]]) -> tuple[Resources, Timing]:
    """Read what nextpnr wrote with ``--report`` for a design whose core clock is ``clock_hz``.

    ``cells`` tells what it calls each of `Resources`, of several kinds the sum; what it does not
    tell, the chip has not.
    Clocks are known by their constraints, since their names are chance. Raises ToolError for a
    report that lacks something.
    """
    try:
        report = json.loads(path.read_text())
        used = Resources(**{
            field.name: sum(report["utilization"].get(name, {"used": 0})["used"]
                            for name in cells.get(field.name, ()))
            for field in fields(Resources)})
        return used, read_timing(report, clock_hz)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(f"nextpnr must write a report with utilization, fmax and critical paths, "
                        f"not one without {error}") from error


def read_timing(report: Mapping[str, Any], clock_hz: int) -> Timing:
    crossings = [sum(part["delay"] for part in path["path"])
                 for path in report["critical_paths"]
                 if ASYNC not in (path["from"], path["to"])
                 and path["from"].split()[-1] != path["to"].split()[-1]]
    return Timing(clock_hz, slowest(report["fmax"], clock_hz),
                  slowest(report["fmax"], 2 * clock_hz), max(crossings, default=0.0))


def slowest(clocks: Mapping[str, Mapping[str, float]], wanted_hz: int) -> float:
    """Return the lowest rate, in Hz, of the clocks that are constrained to ``wanted_hz``."""
    rates = [clock["achieved"] * 1e6 for clock in clocks.values()
             if abs(clock["constraint"] * 1e6 / wanted_hz - 1) < ROUNDING]
    if not rates:
        raise ToolError(f"nextpnr must know a clock of {wanted_hz / 1e6:.2f} MHz, not only "
                        f"{', '.join(clocks) or 'none'}")
    return min(rates)

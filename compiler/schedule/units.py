"""Which unit runs which layer, and so how every tensor lies."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import UserError
from compiler.schedule.lower import Lowered, lower, weight_octets
from compiler.schedule.tasks import Task
from compiler.schedule.walk import describe
from hdl.config import Config


__all__ = ["choose"]

Plan = tuple[int, tuple[Lowered, ...]]  # cycles, layers from one on


def choose(tasks: Sequence[Task], config: Config) -> tuple[Lowered, ...]:
    """Choose the unit of every layer, so that all together take the fewest cycles.

    How a layer leaves its results depends on the unit that reads them, so the choices hang
    together: from the last layer to the first, the best is kept for each unit. Raises the
    UserError of a layer that neither unit can run.
    """
    best: dict[bool, Plan] = {False: (0, ())}
    for at, task in reversed(list(enumerate(tasks))):
        found: dict[bool, Plan] = {}
        refusals = []
        for fixed in task.units:
            for reader, (cycles, rest) in best.items():
                try:
                    lowered = shaped(tasks, at, fixed, reader, config)
                except UserError as refusal:
                    refusals.append(refusal)
                    continue
                plan = cycles + expense(lowered, config), (lowered, *rest)
                found[fixed] = min(found.get(fixed, plan), plan, key=lambda of: of[0])
        if not found:
            raise refusals[0]
        best = found
    return min(best.values(), key=lambda of: of[0])[1]


def shaped(tasks: Sequence[Task], at: int, fixed: bool, reader: bool, config: Config) -> Lowered:
    """Lower a layer between its neighbours; ``reader`` is the unit of the next one."""
    task = tasks[at]
    output = (tasks[at + 1].reads(reader, config, of_host=False) if at + 1 < len(tasks)
              else task.leaves(config))
    lowered = lower(task, fixed, task.reads(fixed, config, of_host=at == 0), output, config)
    describe(lowered, 0, 0)  # whose refusals are refusals of this unit
    return lowered


def expense(lowered: Lowered, config: Config) -> int:
    """Cycles that a layer takes, if its weights come from the flash."""
    tiles = lowered.tiles * lowered.groups
    return tiles * max(lowered.cycles, weight_octets(lowered, config))

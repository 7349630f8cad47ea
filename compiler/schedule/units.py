"""Which unit runs which layer, and so how every tensor lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.errors import UserError
from compiler.schedule.elimination import Cost, cheapest
from compiler.schedule.layout import Layout
from compiler.schedule.lower import Lowered, lower, weight_octets
from compiler.schedule.regions import HOST, Region
from compiler.schedule.tasks import Task, is_large
from compiler.schedule.walk import describe
from hdl.config import Config
from hdl.isa import Feed


__all__ = ["choose"]


def choose(tasks: Sequence[Task], regions: Sequence[Region],
           config: Config) -> tuple[Lowered, ...]:
    """Choose how every region lies, so that all layers together take the fewest cycles.

    That says which units read it: a layer runs on the unit that its input lies for, and leaves its
    results as their readers want them. So the choices hang together. Raises the UserError of a
    layer that cannot be run.
    """
    ways = [ways_of(region, tasks, config) for region in regions]
    at = {name: number for number, region in enumerate(regions) for name in region.tensors}
    found: dict[tuple[int, int, int], Lowered] = {}  # by layer, and way of its input and output
    costs, refusals = [], []
    for number, task in reversed(list(enumerate(tasks))):
        source, output = at[task.layer.input], at[task.output]
        table: dict[tuple[int, ...], float] = {}
        refused = []
        for read, of_source in enumerate(ways[source]):
            if task.unit_for(of_source) is None:
                continue
            for left, of_output in enumerate(ways[output]):
                if source == output and read != left:
                    continue
                try:
                    lowered = shaped(task, regions[source].part(task.layer.input, of_source)[1],
                                     regions[output].part(task.output, of_output)[1], config)
                except UserError as refusal:
                    refused.append(refusal)
                    continue
                found[number, read, left] = lowered
                table[(read,) if source == output else (read, left)] = expense(lowered, config)
        refusals += refused
        if not table:
            raise refused[0]
        costs.append(Cost((source,) if source == output else (source, output), table))
    chosen = cheapest([len(of) for of in ways], costs)
    if chosen is None:
        raise refusals[0]
    return tuple(found[number, chosen[at[task.layer.input]], chosen[at[task.output]]]
                 for number, task in enumerate(tasks))


def ways_of(region: Region, tasks: Sequence[Task], config: Config) -> list[Layout]:
    """Return how a region may lie: as one of its readers wants it, on one of its units."""
    if region.last == len(tasks):
        return [tasks[-1].leaves(config)]
    wanted = [task.reads(fixed, config, of_host=region.first == HOST)
              for task in tasks if task.layer.input in region.tensors for fixed in task.units]
    if region.first != HOST and len(region.tensors) == 1:
        wanted += [way for task in tasks if task.layer.input in region.tensors
                   if (way := task.sifts(config))]
    if region.first == HOST:
        wanted += filter(None, (task.reads_windows(config) for task in tasks
                                if task.layer.input in region.tensors))
    if config.signs:
        # Bits of several pixels leave together for whole addresses.
        wanted += [replace(layout, border=0) for layout in wanted if layout.feed is Feed.CHAIN]
    wholes = [region.lies(layout) for layout in wanted]
    found = list(dict.fromkeys(
        replace(whole, feed=Feed.CHAIN) if whole.feed is Feed.WHOLE and is_large(whole, config)
        else whole for whole in wholes))
    # With the widest border every window begins as it would with its own, or is moved by its own.
    return sorted(found, key=lambda layout: -layout.border)


def shaped(task: Task, source: Layout, output: Layout, config: Config) -> Lowered:
    """Lower a layer between its input and its output, which lie as told."""
    fixed = task.unit_for(source)
    assert fixed is not None
    lowered = lower(task, fixed, source, output, config)
    describe(lowered, 0, 0)  # whose refusals are refusals of this unit
    return lowered


def expense(lowered: Lowered, config: Config) -> int:
    """Cycles that a layer takes, if its weights come from the flash."""
    tiles = lowered.tiles * lowered.groups
    return tiles * max(lowered.cycles, weight_octets(lowered, config))

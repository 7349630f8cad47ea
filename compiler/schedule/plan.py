"""From an integer graph to a program: places for tensors, homes for weights, and packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import Graph
from compiler.passes.place_joins import place_joins
from compiler.perf import Performance, simulate
from compiler.schedule import packets as make
from compiler.schedule.image import Image
from compiler.schedule.layout import Layout, Placement
from compiler.schedule.lower import Lowered
from compiler.schedule.packets import Packet
from compiler.schedule.places import Room, Span, place, rooms
from compiler.schedule.pools import separate_pools
from compiler.schedule.program import Writer, keep
from compiler.schedule.regions import Region, regions_of
from compiler.schedule.residency import Choice, Load, choices
from compiler.schedule.streaming import HOME, Piece, cut, streaming
from compiler.schedule.tasks import tasks_of
from compiler.schedule.tiles import Tile, tiles
from compiler.schedule.units import choose
from compiler.schedule.walk import describe
from compiler.stages import Joining, Parts, split
from hdl.config import Config
from hdl.isa import GROUP


__all__ = ["Draft", "Schedule", "draft", "schedule"]

Array = np.ndarray[Any, Any]

TRIED = 4  # schedules that are simulated, of those that an estimate finds the best


@dataclass(frozen=True)
class Schedule:
    """What the accelerator does for one frame of a network, and before the first."""

    config: Config
    graph: Graph                     # as it was given
    placed: Graph                    # as layers run it, with the same answers
    parts: Parts                     # of that
    layers: tuple[Lowered, ...]
    places: Mapping[str, Placement]  # of the first layer's input, and of what is made or joined
    given: tuple[tuple[Piece, ...], ...]  # parts of the input, as the host writes them
    left: Mapping[str, int]  # tensors that are in memory as a whole when a layer has ended: which
    resident: tuple[Packet, ...]
    program: tuple[Packet, ...]
    ends: tuple[int, ...]            # packets of the program up to the end of each layer's
    spans: tuple[Span, ...]          # of the memory that tensors take
    resident_octets: int             # of weights
    streamed_octets: int             # of weights, for every frame, by way of the memory or not

    @cached_property
    def performance(self) -> Performance:
        """The cycles of a frame, counted when they are asked for, and once."""
        return simulate(self.config, self.program)

    @property
    def input(self) -> Placement:
        """Where the host puts what the prefix makes; where it comes in parts, how all of it would
        lie."""
        return self.places[self.parts.layers[0].input]

    @property
    def output(self) -> Placement:
        """Where the host finds what the suffix takes: all of it, also where stripes leave it."""
        return self.places[self.parts.body[-1].output]

    def pack(self, x: Array) -> list[list[tuple[int, bytes]]]:
        """Turn what the prefix makes of one frame into the parts in which the host writes it: the
        first before the frame runs, each other when it is wanted. Each is octets, and where they
        lie."""
        return cut(self.input.pack(x), self.given)

    def image(self) -> Image:
        """The flash image."""
        meta = {
            "name": self.graph.name,
            "layers": [lowered.task.name for lowered in self.layers],
            "input": {"octets": self.input.octets,
                      "parts": [[list(astuple(piece)) for piece in part]
                                for part in self.given]},
            "output": {"address": self.output.address, "octets": self.output.octets},
        }
        return Image(self.config.hash, self.config.image_offset,
                     make.encode(self.resident).tobytes(),
                     make.encode(self.program).tobytes(), meta)


@dataclass(frozen=True)
class Draft:
    """A network as the accelerator runs it, before it is known where its weights lie."""

    config: Config
    graph: Graph
    placed: Graph
    parts: Parts
    layers: tuple[Lowered, ...]
    spans: tuple[Span, ...]             # of the memory that tensors take
    places: Mapping[str, Placement]
    work: tuple[tuple[Tile, ...], ...]  # the tiles of every layer
    given: tuple[tuple[Piece, ...], ...]
    left: Mapping[str, int]
    holds: Mapping[int, bool] = field(default_factory=dict)  # layers that wait for a part of the
                                        # input; whether another is wanted from then on
    homes: Mapping[int, int] = field(default_factory=dict)   # octets where tiles of a layer lie,
                                        # which stay in the memory and are used several times

    @property
    def loads(self) -> list[Load]:
        """What the tiles of all layers cost."""
        found = []
        for at, (lowered, own) in enumerate(zip(self.layers, self.work, strict=True)):
            home = self.homes.get(at)
            for tile in own:
                found.append(Load(
                    len(tile.weights), tile.weights.size, lowered.cycles, at, len(tile.levels),
                    None if home is None else home * 8 // self.config.memory_width))
                home = None if home is None else home + tile.weights.size
        return found

    def rooms(self, limit: int | None = None) -> tuple[Room, ...]:
        """What is left of the memory to weights, up to ``limit`` octets, and what is theirs."""
        step = self.config.memory_width // 8
        pinned = [Room(0, span.address // step, span.end // step, pinned=True)
                  for span in self.spans if span.name == HOME]
        return (*pinned, *rooms(self.spans, self.config, limit))

    @property
    def stays(self) -> bool:
        """Whether all weights can stay in their queue."""
        words = sum(load.words for load in self.loads)
        levels = sum(len(tile.levels) for lowered, own in zip(self.layers, self.work, strict=True)
                     for tile in own if lowered.signs)
        return (self.config.signs and not self.holds and words <= self.config.weight_depth
                and levels <= self.config.sign_depth * GROUP)

    def staying(self) -> Schedule:
        """Let all weights stay in their queue."""
        resident, program, ends = keep(self.config, list(zip(
            self.layer_packets, self.layers, self.work, strict=True)))
        return self._schedule(resident, program, ends, sum(load.octets for load in self.loads), 0)

    def schedule(self, choice: Choice) -> Schedule:
        """Put the weights where they were chosen to be; no layer may leave bits by groups."""
        assert not any(lowered.signs for lowered in self.layers)
        writer = Writer(self.config, choice, [tile for own in self.work for tile in own])
        ends = []
        for at, (packet, lowered, own) in enumerate(zip(
                self.layer_packets, self.layers, self.work, strict=True)):
            hold = make.hold(wants=self.holds[at]) if at in self.holds else None
            writer.add(packet, len(own), fixed=lowered.fixed, hold=hold)
            ends.append(len(writer.program))
        resident = 2 * sum(packet.count for packet in writer.resident)
        streamed = sum(run.words * load.octets_of_word for load, runs in
                       zip(self.loads, choice.runs, strict=True) for run in runs
                       if run.room is None or choice.rooms[run.room].layer)
        return self._schedule(writer.resident, writer.program, ends, resident, streamed)

    @property
    def layer_packets(self) -> Iterator[Packet]:
        """The descriptors of all layers."""
        for lowered in self.layers:
            source, output = (self.places[name] for name in (lowered.task.layer.input,
                                                             lowered.task.output))
            yield make.layer(lowered.task.name, describe(lowered, source.address, output.address))

    def _schedule(self, resident: Sequence[Packet], program: Sequence[Packet],
                  ends: Sequence[int], resident_octets: int, streamed_octets: int) -> Schedule:
        return Schedule(
            config=self.config, graph=self.graph, placed=self.placed, parts=self.parts,
            layers=self.layers,
            places=self.places, given=self.given, left=self.left,
            resident=(*resident, make.end()), program=(*program, make.end()),
            ends=tuple(ends), spans=self.spans,
            resident_octets=resident_octets, streamed_octets=streamed_octets,
        )


def draft(graph: Graph, config: Config) -> Draft:
    """Shape the layers of an integer graph, and place its tensors.

    Raises UserError for a network that the accelerator cannot run.
    """
    separated = separate_pools(graph, config)
    if separated is not graph:
        with suppress(UserError):
            return drafted(graph, place_joins(separated), config)
    return drafted(graph, place_joins(graph), config)


def drafted(graph: Graph, placed: Graph, config: Config) -> Draft:
    """Draft ``graph`` in the form in which layers run it."""
    parts = split(placed)
    tasks = tasks_of(parts)
    regions = regions_of(parts, tasks)
    layers = choose(tasks, regions, config)
    work = tuple(tuple(tiles(lowered, config)) for lowered in layers)
    wholes = layouts(regions, layers)
    try:
        spans = place([Span(region.name, whole.octets, region.first, region.last)
                       for region, whole in zip(regions, wholes, strict=True)], config)
    except UserError as refusal:
        made = streaming(layers, regions, wholes, [
            sum(tile.weights.size for tile in own) for own in work], config)
        if made is None:
            raise refusal
        places = tensors(regions, wholes, made.spans[:len(regions)]) | dict(made.places)
        return Draft(config, graph, placed, parts, made.layers, made.spans, places,
                     tuple(work[number] for number in made.numbers), made.given,
                     left_by(layers, made.numbers, parts), made.holds, made.homes)
    places = tensors(regions, wholes, spans)
    given = places[layers[0].task.layer.input]
    return Draft(config, graph, placed, parts, layers, spans, places, work,
                 ((Piece(given.address, 0, given.octets),),),
                 left_by(layers, range(len(layers)), parts))


def left_by(layers: Sequence[Lowered], numbers: Sequence[int], parts: Parts) -> dict[str, int]:
    """Return which layer completes each tensor, where ``numbers`` are those of ``layers`` in the
    order in which they run. What one stripe leaves to the next layer is never whole."""
    last = {number: at for at, number in enumerate(numbers)}
    found = {lowered.task.output: last[number] for number, lowered in enumerate(layers)
             if number + 1 not in last or numbers.index(number + 1) > last[number]}
    for step in parts.body:
        if isinstance(step, Joining):
            found[step.output] = max(found[name] for name in step.inputs)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def layouts(regions: Sequence[Region], layers: Sequence[Lowered]) -> list[Layout]:
    """Return how each region lies."""
    found = {layers[0].task.layer.input: layers[0].source}
    found |= {lowered.task.output: lowered.output for lowered in layers}
    return [region.lies(next(found[name] for name in region.tensors if name in found))
            for region in regions]


def tensors(regions: Sequence[Region], wholes: Sequence[Layout],
            spans: Sequence[Span]) -> dict[str, Placement]:
    """Return where all tensors lie, whose regions were placed."""
    places = {}
    for region, whole, span in zip(regions, wholes, spans, strict=True):
        for name in region.tensors:
            before, layout = region.part(name, whole)
            places[name] = Placement(name, span.address + before, layout)
    return places


def schedule(graph: Graph, config: Config, *, resident_limit: int | None = None) -> Schedule:
    """Schedule an integer graph for an accelerator, so that a frame takes few cycles.

    What tensors leave of the activation memory, up to ``resident_limit`` octets, holds weights.
    Raises UserError for a network that the accelerator cannot run.
    """
    if config.signs:
        with suppress(UserError):
            made = draft(graph, config)
            if made.stays:
                return made.staying()
    made = replace(draft(graph, replace(config, sign_depth=0)), config=config)
    found = choices(made.loads, made.rooms(resident_limit), config)
    return min((made.schedule(choice) for choice in found[:TRIED]),
               key=lambda plan: plan.performance.frame)

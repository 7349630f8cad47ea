"""From an integer graph to a program: places for tensors, homes for weights, and packets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.ir import Graph
from compiler.passes.place_joins import place_joins
from compiler.perf import simulate
from compiler.schedule import packets as make
from compiler.schedule.image import Image
from compiler.schedule.layout import Placement
from compiler.schedule.lower import Lowered
from compiler.schedule.packets import Packet
from compiler.schedule.places import Span, place, rooms
from compiler.schedule.program import Writer
from compiler.schedule.regions import Region, regions_of
from compiler.schedule.residency import Choice, Load, choices
from compiler.schedule.tasks import tasks_of
from compiler.schedule.tiles import Tile, tiles
from compiler.schedule.units import choose
from compiler.schedule.walk import describe
from compiler.stages import Parts, split
from hdl.config import Config


__all__ = ["Draft", "Schedule", "draft", "schedule"]

TRIED = 4  # schedules that are simulated, of those that an estimate finds the best


@dataclass(frozen=True)
class Schedule:
    """What the accelerator does for one frame of a network, and before the first."""

    config: Config
    graph: Graph                     # as it was given
    parts: Parts                     # of the graph as `place_joins` leaves it
    layers: tuple[Lowered, ...]
    places: Mapping[str, Placement]  # of the first layer's input, and of what is made or joined
    resident: tuple[Packet, ...]
    program: tuple[Packet, ...]
    resident_octets: int             # of weights
    streamed_octets: int             # of weights, for every frame, by way of the memory or not

    @property
    def input(self) -> Placement:
        """Where the host puts what the prefix makes."""
        return self.places[self.layers[0].task.layer.input]

    @property
    def output(self) -> Placement:
        """Where the host finds what the suffix takes."""
        return self.places[self.layers[-1].task.output]

    def image(self) -> Image:
        """The flash image."""
        meta = {
            "name": self.graph.name,
            "layers": [lowered.task.name for lowered in self.layers],
            "input": {"address": self.input.address, "octets": self.input.octets},
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
    parts: Parts
    layers: tuple[Lowered, ...]
    spans: tuple[Span, ...]             # of the memory that tensors take
    places: Mapping[str, Placement]
    work: tuple[tuple[Tile, ...], ...]  # the tiles of every layer

    @property
    def loads(self) -> list[Load]:
        """What the tiles of all layers cost."""
        return [Load(len(tile.weights), tile.weights.size, lowered.cycles, at, len(tile.levels))
                for at, (lowered, own) in enumerate(zip(self.layers, self.work, strict=True))
                for tile in own]

    def schedule(self, choice: Choice) -> Schedule:
        """Put the weights where they were chosen to be."""
        writer = Writer(self.config, choice, [tile for own in self.work for tile in own])
        for lowered, own in zip(self.layers, self.work, strict=True):
            source, output = (self.places[name] for name in (lowered.task.layer.input,
                                                             lowered.task.output))
            descriptor = describe(lowered, source.address, output.address)
            writer.add(make.layer(lowered.task.name, descriptor), len(own), fixed=lowered.fixed)
        resident = 2 * sum(packet.count for packet in writer.resident)
        return Schedule(
            config=self.config, graph=self.graph, parts=self.parts, layers=self.layers,
            places=self.places,
            resident=(*writer.resident, make.end()), program=(*writer.program, make.end()),
            resident_octets=resident,
            streamed_octets=sum(load.octets for load in self.loads) - resident,
        )


def draft(graph: Graph, config: Config) -> Draft:
    """Shape the layers of an integer graph, and place its tensors.

    Raises UserError for a network that the accelerator cannot run.
    """
    parts = split(place_joins(graph))
    tasks = tasks_of(parts)
    regions = regions_of(parts, tasks)
    layers = choose(tasks, regions, config)
    spans, places = placed(regions, layers, config)
    return Draft(config, graph, parts, layers, spans, places,
                 tuple(tuple(tiles(lowered, config)) for lowered in layers))


def placed(regions: Sequence[Region], layers: Sequence[Lowered],
           config: Config) -> tuple[tuple[Span, ...], dict[str, Placement]]:
    """Place the regions, and with them all tensors."""
    found = {layers[0].task.layer.input: layers[0].source}
    found |= {lowered.task.output: lowered.output for lowered in layers}
    places = {}
    wholes = [region.lies(next(found[name] for name in region.tensors if name in found))
              for region in regions]
    spans = place([Span(region.name, whole.octets, region.first, region.last)
                   for region, whole in zip(regions, wholes, strict=True)], config)
    for region, whole, span in zip(regions, wholes, spans, strict=True):
        for name in region.tensors:
            before, layout = region.part(name, whole)
            places[name] = Placement(name, span.address + before, layout)
    return spans, places


def schedule(graph: Graph, config: Config, *, resident_limit: int | None = None) -> Schedule:
    """Schedule an integer graph for an accelerator, so that a frame takes few cycles.

    What tensors leave of the activation memory, up to ``resident_limit`` octets, holds weights.
    Raises UserError for a network that the accelerator cannot run.
    """
    made = draft(graph, config)
    found = choices(made.loads, rooms(made.spans, config, resident_limit), config)
    return min((made.schedule(choice) for choice in found[:TRIED]),
               key=lambda plan: simulate(config, plan.program).frame)

"""From an integer graph to a program: places for tensors, homes for weights, and packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir import Graph
from compiler.schedule import packets as make
from compiler.schedule.image import Image
from compiler.schedule.layout import Placement
from compiler.schedule.lower import Lowered
from compiler.schedule.packets import Packet
from compiler.schedule.places import place, surviving
from compiler.schedule.residency import Load, residents
from compiler.schedule.tasks import tasks_of
from compiler.schedule.tiles import Tile, tiles
from compiler.schedule.units import choose
from compiler.schedule.walk import describe
from compiler.stages import Parts, split
from hdl.config import Config


__all__ = ["Schedule", "schedule"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Schedule:
    """What the accelerator does for one frame of a network, and before the first."""

    config: Config
    graph: Graph
    parts: Parts
    layers: tuple[Lowered, ...]
    places: Mapping[str, Placement]  # of the input of the first layer, and of every layer's output
    kept: tuple[str, ...]            # tensors that are there after a frame
    resident: tuple[Packet, ...]
    program: tuple[Packet, ...]
    resident_octets: int             # of weights
    streamed_octets: int

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


def schedule(graph: Graph, config: Config, *, resident_limit: int | None = None) -> Schedule:
    """Schedule an integer graph for an accelerator.

    What tensors leave of the activation memory, up to ``resident_limit`` octets, holds weights.
    Raises UserError for a network that the accelerator cannot run.
    """
    parts = split(graph)
    layers = choose(tasks_of(parts), config)
    places = place([(layers[0].task.layer.input, layers[0].source),
                    *((lowered.task.output, lowered.output) for lowered in layers)], config)
    free = max(placed.end for placed in places)
    room = config.memory_depth * config.memory_width // 8 - free
    if resident_limit is not None:
        room = min(room, resident_limit)

    work = [list(tiles(lowered, config)) for lowered in layers]
    loads = [Load(len(tile.weights), tile.weights.size, layers[at].cycles, at)
             for at, of_layer in enumerate(work) for tile in of_layer]
    writer = Writer(config, free, residents(loads, room, config))
    for lowered, of_layer, source, output in zip(layers, work, places, places[1:], strict=False):
        descriptor = describe(lowered, source.address, output.address)
        writer.add(make.layer(lowered.task.name, descriptor), of_layer, fixed=lowered.fixed)
    total, kept = sum(load.octets for load in loads), b"".join(writer.stored)
    return Schedule(
        config=config, graph=graph, parts=parts, layers=layers,
        places={placed.name: placed for placed in places}, kept=surviving(places),
        resident=(*make.store(writer.first, kept, octets=writer.step), make.end()),
        program=(*writer.program, make.end()),
        resident_octets=len(kept), streamed_octets=total - len(kept),
    )


class Writer:
    """Writes the packets of a program, layer by layer.

    Weights of the tiles that are ``chosen`` stay in the memory, from the octet ``free`` on.
    """

    def __init__(self, config: Config, free: int, chosen: list[bool]) -> None:
        self.step = config.memory_width // 8
        self.first = self.at = free // self.step
        self.program: list[Packet] = []
        self.stored: list[bytes] = []
        self._depth = min(config.weight_depth, make.MAX_COUNT)
        self._chosen = iter(chosen)

    def add(self, layer: Packet, tiles_: list[Tile], *, fixed: bool) -> None:
        """Add the tiles of a layer, and its descriptor.

        The descriptor waits for the layer before. What the queues hold may come ahead of it: the
        levels of the first tile, and as many of its weights.
        """
        begin = len(self.program) + 2
        for tile in tiles_:
            self.program.append(make.levels(tile.levels))
            stays = next(self._chosen)
            for at in range(0, len(tile.weights), self._depth):
                self._add_weights(tile.weights[at:at + self._depth], stays, fixed)
        self.program.insert(begin, layer)

    def _add_weights(self, words: Array, stays: bool, fixed: bool) -> None:
        if not stays:
            self.program.append(make.weights(words, fixed=fixed))
            return
        self.program.append(make.resident(len(words), self.at, fixed=fixed))
        self.stored.append(words.tobytes())
        self.at += words.size // self.step

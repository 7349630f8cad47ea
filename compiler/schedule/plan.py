"""From an integer graph to a program: places for tensors, homes for weights, and packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import Binary, Conv, Graph
from compiler.schedule import packets as make
from compiler.schedule.image import Image
from compiler.schedule.layout import Placement
from compiler.schedule.lower import Lowered, Tile, lower, tiles
from compiler.schedule.packets import Packet
from compiler.stages import Layer, Parts, split
from hdl.config import Config
from hdl.isa import Target


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
    resident: tuple[Packet, ...]
    program: tuple[Packet, ...]
    resident_octets: int             # of weights
    streamed_octets: int

    @property
    def input(self) -> Placement:
        """Where the host puts what the prefix makes."""
        return self.places[self.layers[0].layer.input]

    @property
    def output(self) -> Placement:
        """Where the host finds what the suffix takes."""
        return self.places[self.layers[-1].layer.output]

    def image(self) -> Image:
        """The flash image."""
        meta = {
            "name": self.graph.name,
            "layers": [lowered.layer.name for lowered in self.layers],
            "input": {"address": self.input.address, "octets": self.input.octets},
            "output": {"address": self.output.address, "octets": self.output.octets},
        }
        return Image(self.config.hash, self.config.image_offset,
                     make.encode(self.resident).tobytes(),
                     make.encode(self.program).tobytes(), meta)


def schedule(graph: Graph, config: Config, *, resident_limit: int | None = None) -> Schedule:
    """Schedule an integer graph for an accelerator.

    Every tensor has a place of its own in the activation memory. What is left of it, up to
    ``resident_limit`` octets, holds weights; which tiles these are is spread evenly over the
    frame, so that the flash works on while a tile is copied.
    """
    parts = split(graph)
    for step in parts.body:
        if not isinstance(step, Layer) or isinstance(step.sums, Conv):
            raise UserError(f"Node {step.name!r} must be a Dense layer, as the array runs no "
                            f"others yet, not {type(step.nodes[0]).__name__}")
    layers = tuple(
        lower(layer, wanted_by(parts, index), config) for index, layer in enumerate(parts.layers))
    places, free = place(layers, config)

    address_octets = config.memory_width // 8
    room = config.memory_depth * address_octets - free
    if resident_limit is not None:
        room = min(room, resident_limit)
    work = [(lowered, list(tiles(lowered, config))) for lowered in layers]
    total = sum(tile.weights.size for _, parts_ in work for tile in parts_)
    chosen = spread([tile for _, parts_ in work for tile in parts_], room)

    program: list[Packet] = []
    stored: list[bytes] = []
    index = 0
    at = free // address_octets
    for lowered, parts_ in work:
        source, output = places[lowered.layer.input], places[lowered.layer.output]
        begin = len(program) + 2
        for tile in parts_:
            program.append(make.levels(tile.levels))
            for words in chunks(tile.weights, config.weight_depth):
                if chosen[index]:
                    program.append(make.resident(len(words), at, fixed=lowered.fixed))
                    stored.append(words.tobytes())
                    at += words.size // address_octets
                else:
                    program.append(make.weights(words, fixed=lowered.fixed))
            index += 1
        # The descriptor waits for the layer before. What the queues hold may come ahead of it.
        program.insert(begin, make.layer(lowered.layer.name,
                                         lowered.fields(source, output, config)))
    program.append(make.end())
    kept = b"".join(stored)
    return Schedule(
        config=config, graph=graph, parts=parts, layers=layers, places=places,
        resident=(*make.store(free // address_octets, kept, octets=address_octets), make.end()),
        program=tuple(program), resident_octets=len(kept), streamed_octets=total - len(kept),
    )


def wanted_by(parts: Parts, index: int) -> Target:
    """How the layer after the one at ``index`` reads its input."""
    layers = parts.layers
    if index + 1 == len(layers):
        return Target.BITS if isinstance(layers[index].output_type, Binary) else Target.OCTETS
    return Target.BITS if layers[index + 1].on_array else Target.OCTETS


def place(layers: tuple[Lowered, ...], config: Config) -> tuple[dict[str, Placement], int]:
    """Give every tensor its place; return also the octet behind the last."""
    first = layers[0].layer
    at = 0
    places: dict[str, Placement] = {}

    def put(name: str, kind: Any, channels: int, target: Target, octets: int) -> None:
        nonlocal at
        step = config.memory_width // 8
        octets = -(-octets // step) * step
        places[name] = Placement(name, kind, channels, target, at, octets)
        at += octets

    wanted = Target.BITS if first.on_array else Target.OCTETS
    put(first.input, first.input_type, first.sums.fan_in, wanted,
        Placement.octets_of(wanted, first.sums.fan_in))
    for lowered in layers:
        layer = lowered.layer
        put(layer.output, layer.output_type, layer.sums.channels, lowered.target,
            Placement.octets_of(lowered.target, lowered.made))
    size = config.memory_depth * config.memory_width // 8
    if at > size:
        raise UserError(f"The tensors of {layers[0].layer.name!r} to {layers[-1].layer.name!r} "
                        f"must fit the activation memory of {size} octets, not {at}")
    return places, at


def spread(all_tiles: list[Tile], room: int) -> list[bool]:
    """Choose tiles that fill ``room`` octets, as evenly spread as their sizes allow."""
    total = sum(tile.weights.size for tile in all_tiles)
    share = min(1.0, room / total)
    chosen, kept, seen = [], 0, 0
    for tile in all_tiles:
        seen += tile.weights.size
        take = kept + tile.weights.size <= min(share * seen, room)
        kept += take * tile.weights.size
        chosen.append(take)
    return chosen


def chunks(words: Array, size: int) -> list[Array]:
    return [words[at:at + size] for at in range(0, len(words), size)]

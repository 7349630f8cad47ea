"""Places of tensors in the activation memory, and what they leave of it to weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from compiler.errors import UserError
from compiler.schedule.layout import Layout, Placement
from hdl.config import Config


__all__ = ["Room", "place", "rooms"]


@dataclass(frozen=True)
class Room:
    """Addresses that are no tensor's from the beginning of a layer to the end of the frame."""

    layer: int  # number of the layer; in a room of layer 0 there never is a tensor
    begin: int
    end: int


def place(tensors: Sequence[tuple[str, Layout]], config: Config) -> tuple[Placement, ...]:
    """Give every tensor of a chain its place.

    They lie in turn at the beginning and at the end of the room that the two largest neighbours
    need: this leaves as much as can be to weights. Raises UserError where that room is too large.
    """
    size = config.memory_depth * config.memory_width // 8
    neighbours = list(zip(tensors, tensors[1:], strict=False))
    room, names = max((first.octets + second.octets, (before, after))
                      for (before, first), (after, second) in neighbours)
    if room > size:
        raise UserError(f"Tensors {names[0]!r} and {names[1]!r} must fit the activation memory of "
                        f"{size} octets together, not {room}")
    return tuple(Placement(name, room - layout.octets if at % 2 else 0, layout)
                 for at, (name, layout) in enumerate(tensors))


def rooms(places: Sequence[Placement], config: Config,
          limit: int | None = None) -> tuple[Room, ...]:
    """Return what a chain of tensors leaves to weights, by layers, up to ``limit`` octets.

    The tensor at index ``k`` is what layer ``k`` reads: its place is free when layer ``k + 1``
    begins, if no later tensor lies there.
    """
    step = config.memory_width // 8
    layers = [0] * config.memory_depth
    for layer, placed in enumerate(places, 1):
        begin, end = placed.address // step, placed.end // step
        layers[begin:end] = [layer] * (end - begin)
    found, begin = [], 0
    for layer, addresses in groupby(layers):
        end = begin + len(list(addresses))
        if layer < len(places) - 1:
            found.append(Room(layer, begin, end))
        begin = end
    found.sort(key=lambda room: room.layer)
    left = config.memory_depth if limit is None else limit // step
    kept = []
    for room in found:
        size = min(room.end - room.begin, left)
        left -= size
        if size:
            kept.append(replace(room, end=room.begin + size))
    return tuple(kept)

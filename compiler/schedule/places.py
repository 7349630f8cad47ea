"""Places of tensors in the activation memory."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import UserError
from compiler.schedule.layout import Layout, Placement
from hdl.config import Config


__all__ = ["place", "surviving"]


def place(tensors: Sequence[tuple[str, Layout]], config: Config) -> tuple[Placement, ...]:
    """Give every tensor of a chain its place.

    Each has one of its own if all of them fit, so that they can be read after a frame. If not,
    they lie in turn at the beginning and at the end of the room that the two largest neighbours
    need. Raises UserError where even that is too much.
    """
    size = config.memory_depth * config.memory_width // 8
    ends = [0]
    for _, layout in tensors:
        ends.append(ends[-1] + layout.octets)
    if ends[-1] <= size:
        return tuple(Placement(name, at, layout)
                     for at, (name, layout) in zip(ends, tensors, strict=False))
    neighbours = list(zip(tensors, tensors[1:], strict=False))
    room, names = max((first.octets + second.octets, (before, after))
                      for (before, first), (after, second) in neighbours)
    if room > size:
        raise UserError(f"Tensors {names[0]!r} and {names[1]!r} must fit the activation memory of "
                        f"{size} octets together, not {room}")
    return tuple(Placement(name, room - layout.octets if at % 2 else 0, layout)
                 for at, (name, layout) in enumerate(tensors))


def surviving(places: Sequence[Placement]) -> tuple[str, ...]:
    """Return the tensors that no later one is written over."""
    return tuple(
        place.name for at, place in enumerate(places)
        if all(later.address >= place.end or later.end <= place.address
               for later in places[at + 1:]))

"""Places of tensors in the activation memory, and what they leave of it to weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from compiler.errors import UserError
from hdl.config import Config


__all__ = ["Room", "Span", "place", "rooms"]


@dataclass(frozen=True)
class Span:
    """Octets that hold a tensor, or tensors side by side, from the beginning of layer ``first`` to
    the end of layer ``last``; what is there before layer 0 has ``first`` -1."""

    name: str
    octets: int
    first: int
    last: int
    address: int = 0

    @property
    def end(self) -> int:
        return self.address + self.octets

    def meets(self, other: Span) -> bool:
        """Whether both are needed at a time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Room:
    """Addresses that are no tensor's from the beginning of a layer to the end of the frame."""

    layer: int  # number of the layer; in a room of layer 0 there never is a tensor
    begin: int
    end: int
    pinned: bool = False  # it holds the tiles that have a home, and no others


def place(spans: Sequence[Span], config: Config) -> tuple[Span, ...]:
    """Give every span its address; they come in the order in which they are first needed.

    They lie in turn at the beginning and at the end of the room that those need which are needed
    together. For a chain of tensors this always works, and leaves as much as can be to weights.
    Where it does not, the largest come first. Raises UserError where the room is too large.
    """
    size = config.memory_depth * config.memory_width // 8
    together = [[span for span in spans if span.first <= layer <= span.last]
                for layer in range(max(span.last for span in spans) + 1)]
    most = max(together, key=lambda some: (sum(span.octets for span in some),
                                           [span.name for span in some]))
    room = sum(span.octets for span in most)
    placed = (packed(spans, room, lambda at: at % 2 == 1)
              or packed(sorted(spans, key=lambda span: -span.octets), size, lambda at: False))
    names = ", ".join(repr(span.name) for span in most[:-1]) + f" and {most[-1].name!r}"
    if room > size:
        raise UserError(f"Tensors {names} must fit the activation memory of {size} octets "
                        f"together, not {room}")
    if placed is None:
        raise UserError(f"Tensors {names} must leave room to each other in the activation memory "
                        f"of {size} octets, not need {room} of them in pieces")
    found = {span.name: span for span in placed}
    return tuple(found[span.name] for span in spans)


def packed(spans: Sequence[Span], room: int,
           at_end: Callable[[int], bool]) -> list[Span] | None:
    """Place one span after the other as near to the beginning of a room as it may lie, or to its
    end, as ``at_end`` tells of its number. None where one does not fit."""
    placed: list[Span] = []
    for at, span in enumerate(spans):
        taken = [other for other in placed if other.meets(span)]
        gaps = list(gaps_of(taken, room, span.octets))
        if not gaps:
            return None
        begin, end = gaps[-1] if at_end(at) else gaps[0]
        placed.append(replace(span, address=end - span.octets if at_end(at) else begin))
    return placed


def gaps_of(taken: Sequence[Span], room: int, octets: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of what ``taken`` leaves of a room, where it has at least ``octets``."""
    begin = 0
    for address, end in [*sorted((span.address, span.end) for span in taken), (room, room)]:
        if address - begin >= octets:
            yield begin, address
        begin = max(begin, end)


def rooms(spans: Sequence[Span], config: Config, limit: int | None = None) -> tuple[Room, ...]:
    """Return what placed spans leave to weights, by layers, up to ``limit`` octets.

    A place is free when the layer behind the last one that needs it begins, if nothing lies there
    later. What the last span holds is never free: the host reads it.
    """
    step = config.memory_width // 8
    layers = [0] * config.memory_depth
    for span in sorted(spans, key=lambda of: of.last):
        begin, end = span.address // step, span.end // step
        layers[begin:end] = [span.last + 1] * (end - begin)
    count = max(span.last for span in spans)
    found, begin = [], 0
    for layer, addresses in groupby(layers):
        end = begin + len(list(addresses))
        if layer < count:
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

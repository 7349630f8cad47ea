"""What becomes of a schedule when its picture does not fit the memory, and comes in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compiler.errors import UserError
from compiler.schedule.layout import Layout, Placement
from compiler.schedule.lower import Lowered
from compiler.schedule.places import Span, place
from compiler.schedule.regions import HOST, Region
from compiler.schedule.stripes import Stream, placements, streams
from hdl.config import Config


__all__ = ["HOME", "Piece", "Streaming", "cut", "streaming"]

HOME = "weights of the stripes"  # name of the span where they lie
STRIPED = 1, 2  # layers that may run in stripes
EVEN = 1.15     # what needs not more lines than that comes in the order of stripes

Way = tuple[Stream, int, int]  # with the layers that run in stripes, and octets of their weights


@dataclass(frozen=True)
class Piece:
    """Octets of the packed input, from ``offset`` on, and where in the memory they are written."""

    address: int
    offset: int
    octets: int


def cut(data: bytes, parts: Sequence[Sequence[Piece]]) -> list[list[tuple[int, bytes]]]:
    """Cut a packed input into the parts in which it is written: the first before the frame runs,
    each other when it is wanted. Each is octets, and where they lie."""
    return [[(piece.address, data[piece.offset:piece.offset + piece.octets]) for piece in part]
            for part in parts]


@dataclass(frozen=True)
class Streaming:
    """The layers of a network, the first of which are repeated, stripe by stripe.

    ``numbers`` tells of each layer which it is of those that there were; ``places`` are those of
    what stripes read and leave; of other fields, see `compiler.schedule.plan.Draft`.
    """

    layers: tuple[Lowered, ...]
    numbers: tuple[int, ...]
    spans: tuple[Span, ...]
    places: Mapping[str, Placement]
    given: tuple[tuple[Piece, ...], ...]
    holds: Mapping[int, bool]
    homes: Mapping[int, int]


def streaming(layers: Sequence[Lowered], regions: Sequence[Region], wholes: Sequence[Layout],
              weights: Sequence[int], config: Config) -> Streaming | None:
    """Find a way to run the first layers in stripes, so that everything has its place.

    ``wholes`` tell how regions lie; ``weights`` are the octets of each layer's weights. They stay
    in the memory if there is room, and else come from the flash for every stripe. None where there
    is no way.
    """
    counts = [count for count in STRIPED
              if count <= len(layers) and striped(layers[:count], regions)]
    for stays in (True, False):
        found = []
        for count in counts:
            pinned = sum(weights[:count]) if stays else 0
            found += [(stream, count, pinned) for stream in streams(
                layers[:count], room(count, regions, wholes, pinned, config))]
        for stream, count, pinned in best(found):
            spans = spans_of(count, len(stream.stripes), regions, wholes, stream, pinned)
            try:
                placed = place(spans, config)
            except UserError:
                continue
            return assembled(layers, count, stream, placed[:len(regions)], placed[len(regions):],
                             weights, placed)
    return None


def best(found: Sequence[Way]) -> list[Way]:
    """Sort ways: first those that need few lines of the host, and of these those of few stripes."""
    least = min((stream.sent for stream, _, _ in found), default=0) * EVEN
    return sorted(found, key=lambda way: (max(way[0].sent, least),
                                          len(way[0].stripes) * way[1]))


def striped(layers: Sequence[Lowered], regions: Sequence[Region]) -> bool:
    """Whether layers can run in stripes: convolutions, each of which alone reads what the one
    before leaves."""
    by_name = {region.name: region for region in regions}
    for at, lowered in enumerate(layers):
        region = by_name.get(lowered.task.layer.input)
        if lowered.task.conv is None or region is None or (
                len(region.parts), region.first, region.last) != (1, at - 1, at):
            return False
    return True


def room(count: int, regions: Sequence[Region], wholes: Sequence[Layout], pinned: int,
         config: Config) -> int:
    """Return the octets that are left to the ring and the buffer."""
    others = sum(whole.octets for region, whole in zip(regions, wholes, strict=True)
                 if region.first < count and region.last >= count)
    return config.memory_depth * config.memory_width // 8 - others - pinned


def spans_of(count: int, stripes: int, regions: Sequence[Region], wholes: Sequence[Layout],
             stream: Stream, pinned: int) -> list[Span]:
    """Return what needs a place: the regions, of which some are rings and buffers now, and
    weights."""
    more = (stripes - 1) * count  # layers
    found = []
    for region, whole in zip(regions, wholes, strict=True):
        first = region.first + (more if region.first >= count else 0)
        octets, last = whole.octets, region.last + more
        if region.first == HOST:
            octets, last = stream.lines * whole.line, more
        elif region.last < count:
            octets, last = stream.kept * whole.line, more + count - 1
        found.append(Span(region.name, octets, first, last))
    if pinned:
        found.append(Span(HOME, pinned, HOST, max(span.last for span in found)))
    return found


def assembled(layers: Sequence[Lowered], count: int, stream: Stream, tensors: Sequence[Span],
              homes: Sequence[Span], weights: Sequence[int],
              spans: Sequence[Span]) -> Streaming:
    """Put together what is known once everything has its place."""
    at = {span.name: span.address for span in tensors}
    first, last = layers[0], layers[count - 1]
    ring, buffer, output = (at[name] for name in (
        first.task.layer.input, last.task.layer.input, last.task.output))
    line, stripes = first.source.line, stream.stripes
    every = [layer for stripe in stripes for layer in stripe.layers] + list(layers[count:])
    numbers = [number for _ in stripes for number in range(count)]
    numbers += range(count, len(layers))
    return Streaming(
        tuple(every), tuple(numbers), tuple(spans),
        placements(stream, ring, buffer, output),
        tuple((Piece(ring + line * (stripe.place + stripe.sent.start - stripe.lines.start),
                     line * stripe.sent.start, line * len(stripe.sent)),) for stripe in stripes),
        {number * count: number + 1 < len(stripes) for number in range(len(stripes))},
        dict(addresses(homes, len(stripes), count, weights)))


def addresses(homes: Sequence[Span], stripes: int, count: int,
              weights: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield layers whose weights stay in the memory, and where they lie."""
    for span in homes:
        for number in range(stripes * count):
            yield number, span.address + sum(weights[:number % count])

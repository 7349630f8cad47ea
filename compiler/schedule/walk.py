"""From a lowered layer to its descriptor: the numbers of `hdl.isa.Walk` and `hdl.isa.Layer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.errors import UserError
from compiler.ir import Binary, Requantize
from compiler.schedule.layout import flipped
from compiler.schedule.lower import Lowered
from hdl.isa import Feed, Layer, Loop, Target, Walk


__all__ = ["Descriptor", "describe"]

Fields = Mapping[str, int]

OUTPUT_BITS = Walk["output_high"].width + Walk["output"].width
OUTPUT = 1 << OUTPUT_BITS
SOURCE = 1 << Walk["source"].width
PLACE = 1 << Walk["x"].width

# What a user is told of a field that is too narrow for a layer.
SPOKEN = {
    "count": "turns of a loop",
    "taps": "words of a line of the window",
    "height": "lines of the window",
    "depth": "words of a pixel",
    "step": "addresses of a row of its input",
    "lines": "lines of its input",
    "columns": "columns of its input",
    "pitch": "words of a pixel of its output",
    "shift": "bits that are dropped",
    "plane": "addresses of a plane of its output",
}


@dataclass(frozen=True)
class Descriptor:
    """A layer in the numbers of the instruction set."""

    walk: tuple[Fields, ...]  # of each `Loop`
    layer: Fields


@dataclass(frozen=True)
class Turns:
    """A loop by its turns, and what each is apart from the one before."""

    count: int
    source: int = 0
    x: int = 0
    y: int = 0
    output: int = 0


def describe(lowered: Lowered, source: int, output: int) -> Descriptor:
    """Describe a layer whose input and output lie at these octets of the activation memory.

    Raises UserError where a number does not fit its field.
    """
    turns = {loop: Turns(1) for loop in Loop} | pictures(lowered) | channels(lowered)
    rows = factors(lowered)
    walk = []
    inner = travelled(lowered, rows)
    for loop in list(Loop)[:-1]:
        turn = turns[loop]
        walk.append(entry(turn.count, turn.source - inner.source, turn.x - inner.x,
                          turn.y - inner.y, turn.output - inner.output))
        left = turn.count - 1
        inner = Turns(1, inner.source + left * turn.source, inner.x + left * turn.x,
                      inner.y + left * turn.y, inner.output + left * turn.output)
    top, left = lowered.task.conv.pads[:2] if lowered.task.conv else (0, 0)
    place = lowered.source
    left = left if place.lead is None else 0  # the row holds its border
    first = source + place.first - top * place.line - left * place.pixel
    if place.feed is not Feed.PLANES:
        first += (place.planes - 1) * place.blocks * place.address
    walk.append(entry(1, words(lowered, first), -left, -top, output + lowered.output.first))
    found = Descriptor(tuple(walk), layer_fields(lowered, rows))
    check(lowered.task.name, found)
    return found


def words(lowered: Lowered, octets: int) -> int:
    """Words of the input that so many octets are."""
    return octets * 8 // lowered.source.simd


def entry(count: int, source: int, x: int, y: int, output: int) -> Fields:
    """Fields of a `Walk`; what they count is modulo their size."""
    low = 1 << Walk["output"].width
    return {"count": count, "source": source % SOURCE, "x": x % PLACE, "y": y % PLACE,
            "output": output % OUTPUT % low, "output_high": output % OUTPUT // low}


def pictures(lowered: Lowered) -> dict[Loop, Turns]:
    """The loops over pixels."""
    conv, source, output = lowered.task.conv, lowered.source, lowered.output
    if conv is None:
        return {}
    column, line = words(lowered, source.pixel), words(lowered, source.line)
    down, right = conv.stride
    if source.lead is not None:  # columns are those of words
        right = right * source.shape[2] // source.lanes
    step = lowered.pixels * right
    groups = -(-lowered.across // lowered.pixels)
    if not lowered.pooled:
        return {
            Loop.ACROSS: Turns(groups, step * column, step, 0, lowered.pixels * output.pixel),
            # The walker is sooner done with an inner loop.
            Loop.DOWN: Turns(output.shape[0], down * line, 0, down, output.down),
        }
    hop_down, hop_right = down * lowered.task.hop[0], right * lowered.task.hop[1]
    if lowered.signs:
        side = lowered.pixels // lowered.task.window[1]  # windows of a pass
        return {
            Loop.DOWN: Turns(lowered.task.window[0], down * line, 0, down),
            Loop.COLUMN: Turns(lowered.columns, step * column, step, 0, side * output.pixel),
            Loop.ROW: Turns(output.shape[0], hop_down * line, 0, hop_down, output.down),
        }
    return {
        Loop.ACROSS: Turns(groups, step * column, step),
        Loop.DOWN: Turns(lowered.task.window[0], down * line, 0, down),
        Loop.COLUMN: Turns(output.shape[1], hop_right * column, hop_right, 0, output.pixel),
        Loop.ROW: Turns(output.shape[0], hop_down * line, 0, hop_down, output.down),
    }


def channels(lowered: Lowered) -> dict[Loop, Turns]:
    """The loops over bit planes, or tiles."""
    source, output = lowered.source, lowered.output
    made = lowered.parts * lowered.channels  # of a tile
    octets = {Target.OCTETS: made, Target.SUMS: 4 * made}.get(output.target, made // 8)
    row = words(lowered, source.row)
    held = source.lanes * source.deep  # channels of a row
    part = lowered.channels // held * row if lowered.diagonal and lowered.parts > 1 else 0
    tile = made * row // held if lowered.diagonal and made >= held else 0
    group = tile * lowered.tiles if tile else row if lowered.diagonal else 0
    if lowered.plane_passes > 1:
        part = -source.blocks * source.p  # the highest is the last
    return {
        Loop.PART: Turns(lowered.plane_passes * lowered.parts, part),
        Loop.TILE: Turns(lowered.tiles, tile, 0, 0, octets),
        Loop.WORD: Turns(lowered.groups, group, 0, 0, output.row),
    }


def factors(lowered: Lowered) -> tuple[int, int]:
    """Return lines and words of a pixel of the window.

    Nothing is left out of a dense layer, so of its rows only the number counts.
    """
    lines, depth = lowered.kernel[0], lowered.depth
    if lowered.task.conv is None:
        rows = lines * depth
        most, deepest = (1 << Layer["height"].width) - 1, (1 << Layer["depth"].width) - 1
        fitting = [of for of in range(1, most + 1) if rows % of == 0 and rows // of <= deepest]
        lines, depth = (fitting[0], rows // fitting[0]) if fitting else (lines, depth)
    return lines, depth


def step(lowered: Lowered) -> int:
    """Addresses from a row of the window to the next."""
    source = lowered.source
    return (source.line if lowered.diagonal else source.row) // source.address


def travelled(lowered: Lowered, rows: tuple[int, int]) -> Turns:
    """How far a pass goes: it ends at the first word of its last row."""
    lines, depth = rows
    return Turns(1, (lines * depth - 1) * step(lowered) * lowered.source.p, 0, lines - 1)


def layer_fields(lowered: Lowered, rows: tuple[int, int]) -> Fields:
    """Fields of the `Layer`."""
    layer, source, output = lowered.task.layer, lowered.source, lowered.output
    conv, act = lowered.task.conv, layer.activation
    padded = conv is not None and conv.padded
    last = 0 if lowered.pixels == 1 else (lowered.across - 1) % lowered.pixels
    if lowered.signs:
        last = lowered.task.window[1] - 1
    return {
        "taps": lowered.kernel[1],
        "height": rows[0],
        "depth": rows[1],
        "segment": lowered.segment,
        "step": step(lowered) if rows != (1, 1) else 0,
        "feed": int(source.feed),
        "columns": source.width if padded else 0,
        "lines": source.height if padded else 0,
        "skip": int(padded and not lowered.fixed and isinstance(layer.input_type, Binary)),
        "fixed": int(lowered.fixed),
        "pixels": last,
        "single": int(not lowered.shared),
        "pool": int(lowered.pooled),
        "pitch": lowered.pitch if lowered.shared and not lowered.pooled else 0,
        "channels": lowered.channels,
        "stride": lowered.stride,
        "activation": int(lowered.activation),
        "target": int(output.target),
        "bits": lowered.bits,
        "shift": lowered.shift,
        "signed": int(isinstance(act, Requantize) and act.signed),
        "flip": int(output.target is Target.OCTETS and flipped(output.type)),
        "zero": int(lowered.fixed and flipped(layer.input_type)),
        "plane": output.blocks if output.target is Target.PLANES else 0,
    }


def check(name: str, found: Descriptor) -> None:
    """Refuse a layer that is too large for a field."""
    for fields, shape in [*((loop, Walk) for loop in found.walk), (found.layer, Layer)]:
        for field, value in fields.items():
            most = (1 << shape[field].width) - 1
            if value > most:
                raise UserError(f"Node {name!r}: the {SPOKEN[field]} must be at most {most}, "
                                f"not {value}")
            assert value >= 0, (name, field, value)

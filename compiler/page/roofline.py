"""Layers under the roofs that the units and the flash put over them (Williams et al., CACM 52:4,
2009), both scales logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compiler.page.memory import Tick
from compiler.page.text import EM, cut, numbered, width_of


__all__ = ["Mark", "Plot", "Roof", "draw_roofline"]

FONT = 12                         # px
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 28, 52
DOT = 5                           # radius, px
FAR = 2 * DOT                     # px to a label, from which on a line leads to it
NEAR = 2 * DOT + 2                # layers that are nearer to each other have one mark
NAMED, NARROW = 16, 600           # layers up to which they are named in a plot that is wider (px)
NAME = 14                         # letters
LONGEST = 12                      # letters of the numbers of a mark
MARGIN = 16                       # px before and behind a name on the slope, and between tries
LIFT = 6                          # px of a name above its line
THICK = 4                         # px beside a line that nothing else is written in
TICKS = 10                        # of a scale, at most
ROOFS = {"array": "XNOR array", "fixed": "fixed-point unit"}

Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Roof:
    """What a unit can do, as a line, and what is said of it."""

    kind: str
    begin: Point
    end: Point
    label: str    # empty where there is no room
    x: float
    y: float
    turn: float = 0.0  # of the label, in degrees


@dataclass(frozen=True)
class Mark:
    """One layer, or several that are too near to each other, and where its label begins."""

    x: float
    y: float
    kind: str
    label: str    # empty where there is no room
    label_x: float
    label_y: float
    near_x: float  # where a line from the label ends
    near_y: float
    far: bool      # there is a line
    title: str


@dataclass(frozen=True)
class Plot:
    width: float
    height: float
    left: float
    top: float
    right: float
    bottom: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    roofs: tuple[Roof, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Dot:
    numbers: tuple[int, ...]
    x: float
    y: float
    unit: str


def draw_roofline(report: Mapping[str, Any], width: float, height: float) -> Plot:
    """Draw the roofs, and each layer by its products for a byte of the flash, and in a cycle."""
    layers, peaks = report["layers"], report["peaks"]
    rate = peaks["flash_bytes"]
    places = [(max(layer["products"], 1) / max(layer["fetched_bytes"], 1),
               max(layer["products"], 1) / max(cycles["total"], 1))
              for layer, cycles in zip(layers, report["cycles"]["layers"], strict=True)]
    used = sorted({"array", *(layer["unit"] for layer in layers)}, key=lambda unit: -peaks[unit])
    across = Scale.of([x for x, _ in places] + [peaks[unit] / rate for unit in used],
                      LEFT, width - RIGHT)
    up = Scale.of([y for _, y in places] + [peaks[unit] for unit in used], height - BOTTOM, TOP)
    dots = gathered([Dot((at,), across(x), up(y), layer["unit"])
                     for at, ((x, y), layer) in enumerate(zip(places, layers, strict=True), 1)])
    roofs = [flat(unit, peaks[unit], (across(peaks[unit] / rate), up(peaks[unit])), across,
                  highest=unit == used[0]) for unit in used]
    start = max(10.0 ** across.low, 10.0 ** up.low / rate)
    roofs.append(slope((across(start), up(start * rate)), roofs[0].begin,
                       f"flash: {rate:g} bytes a cycle" if rate != 1 else "flash: a byte a cycle",
                       [box_of(dot) for dot in dots] + rooms_of(roofs)))
    within = across.begin, up.end, across.end, up.begin
    marks = labelled(dots, roofs, [layer["name"] for layer in layers], within,
                     named=width > NARROW and len(layers) <= NAMED)
    return Plot(width, height, *within, across.ticks(), up.ticks(), tuple(roofs), tuple(marks))


@dataclass(frozen=True)
class Scale:
    """A logarithmic scale of whole decades, from ``begin`` to ``end`` in px."""

    low: int   # powers of ten
    high: int
    begin: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float], begin: float, end: float) -> Scale:
        """Return one on which all values lie, with some room above the highest."""
        low = math.floor(math.log10(min(values)))
        return cls(low, max(math.ceil(math.log10(max(values)) + 0.05), low + 1), begin, end)

    def __call__(self, value: float) -> float:
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)

    def ticks(self) -> tuple[Tick, ...]:
        every = -(-(self.high - self.low) // TICKS)
        return tuple(Tick(self(10.0 ** power), spoken(power))
                     for power in range(self.low, self.high + 1, every))


def flat(unit: str, peak: int, ridge: Point, across: Scale, *, highest: bool) -> Roof:
    """Return the roof of a unit, with as much of its name as there is room for.

    Left of the highest one there is nothing that a name could meet.
    """
    room = across.end - (across.begin if highest else ridge[0])
    label = next((text for text in (f"{ROOFS[unit]}: {peak:,} a cycle", f"{unit}: {peak:,}",
                                    f"{peak:,}") if width_of(text) * FONT * EM < room), "")
    return Roof(unit, ridge, (across.end, ridge[1]), label,
                across.end - width_of(label) * FONT * EM, ridge[1] - LIFT)


def slope(begin: Point, end: Point, label: str, taken: Sequence[Rect]) -> Roof:
    """Return the roof that the flash makes, with its name along it where that is free."""
    (x, y), (to_x, to_y) = begin, end
    turn = math.atan2(to_y - y, to_x - x)
    off = math.dist(begin, end) - width_of(label) * FONT * EM - MARGIN
    while off >= MARGIN:
        found = Roof("flash", begin, end, label,
                     x + off * math.cos(turn) + LIFT * math.sin(turn),
                     y + off * math.sin(turn) - LIFT * math.cos(turn), math.degrees(turn))
        if not any(meet(room, other) for room in letters_of(found) for other in taken):
            return found
        off -= MARGIN
    return Roof("flash", begin, end, "", x, y)


def spoken(power: int) -> str:
    """Name a power of ten."""
    if power < -3:
        return f"1e{power}"
    for size, letter in ((9, "G"), (6, "M"), (3, "k")):
        if power >= size:
            return f"{10 ** (power - size):,}{letter}"
    return f"{10.0 ** power:g}"


def gathered(dots: Sequence[Dot]) -> list[Dot]:
    """Join what is too near to be told apart, of one unit."""
    found: list[Dot] = []
    for dot in dots:
        for at, other in enumerate(found):
            if other.unit == dot.unit and math.dist((dot.x, dot.y), (other.x, other.y)) < NEAR:
                found[at] = Dot(other.numbers + dot.numbers, other.x, other.y, other.unit)
                break
        else:
            found.append(dot)
    return found


def labelled(dots: Sequence[Dot], roofs: Sequence[Roof], names: Sequence[str],
             within: Rect, *, named: bool) -> Iterator[Mark]:
    """Yield a mark for each dot, with its label where nothing else is, by names if ``named``."""
    taken = [box_of(dot) for dot in dots] + rooms_of(roofs)
    labels: list[Rect] = []
    for dot in dots:
        found = next(((label, *at) for label in labels_of(dot, names if named else None)
                      for at in around(dot, label) if free(box(label, *at), taken, within)
                      and not any(meet(part, other) for part in lead(dot, box(label, *at))
                                  for other in labels)), None)
        label, x, y = found or ("", dot.x, dot.y)
        room = box(label, x, y)
        if found:
            labels.append(room)
            taken += [room, *lead(dot, room)]
        near = nearest(dot, room)
        title = "; ".join(f"{number} {names[number - 1]}" for number in dot.numbers)
        yield Mark(dot.x, dot.y, dot.unit, label, x, y, *near,
                   math.dist((dot.x, dot.y), near) > FAR, title)


def nearest(dot: Dot, room: Rect) -> Point:
    """Return the place of a room that is nearest to a dot."""
    return min(max(dot.x, room[0]), room[2]), min(max(dot.y, room[1]), room[3])


def lead(dot: Dot, room: Rect) -> list[Rect]:
    """Return the room of the line from a dot to its label, if there is one."""
    x, y = nearest(dot, room)
    length = math.dist((dot.x, dot.y), (x, y))
    if length <= FAR:
        return []
    parts = (part / length for part in range(DOT, int(length), 2))
    return [(dot.x + (x - dot.x) * part - 1, dot.y + (y - dot.y) * part - 1,
             dot.x + (x - dot.x) * part + 1, dot.y + (y - dot.y) * part + 1) for part in parts]


def labels_of(dot: Dot, names: Sequence[str] | None) -> Iterator[str]:
    """Yield what could be said of a dot, the best first."""
    numbers = numbered(dot.numbers)
    if names and len(dot.numbers) == 1:
        yield f"{numbers} {cut(names[dot.numbers[0] - 1], NAME)}"
    yield numbers if len(numbers) <= LONGEST else f"{len(dot.numbers)} layers"


def around(dot: Dot, label: str) -> Iterator[tuple[float, float]]:
    """Yield where a label may begin, on its base line: at the right first, then further off."""
    wide = width_of(label) * FONT * EM
    for off in range(DOT + 4, 60, 8):
        for x, y in ((off, FONT / 3), (-off - wide, FONT / 3), (-wide / 2, -off),
                     (-wide / 2, off + FONT * 0.8), (off * 0.7, -off), (off * 0.7, off + FONT / 2),
                     (-off * 0.7 - wide, -off), (-off * 0.7 - wide, off + FONT / 2)):
            yield dot.x + x, dot.y + y


def box(label: str, x: float, y: float) -> Rect:
    """Return the room that a label takes, from its base line."""
    return x - 2, y - FONT, x + width_of(label) * FONT * EM + 2, y + 3


def rooms_of(roofs: Sequence[Roof]) -> list[Rect]:
    """Return the room that lines take, and what is said of them."""
    found = [room for roof in roofs for room in letters_of(roof)]
    for roof in roofs:
        (x, y), (to_x, to_y) = roof.begin, roof.end
        steps = 1 if y == to_y else max(int(math.dist(roof.begin, roof.end) / THICK), 1)
        for at in range(steps):
            ends = [(x + (to_x - x) * part / steps, y + (to_y - y) * part / steps)
                    for part in (at, at + 1)]
            found.append((ends[0][0], min(ends[0][1], ends[1][1]) - THICK,
                          ends[1][0], max(ends[0][1], ends[1][1]) + THICK))
    return found


def letters_of(roof: Roof) -> Iterator[Rect]:
    """Yield the room of each letter of what is said of a roof."""
    turn = math.radians(roof.turn)
    for at in range(width_of(roof.label)):
        along = at * FONT * EM
        yield box("m", roof.x + along * math.cos(turn), roof.y + along * math.sin(turn))


def box_of(dot: Dot) -> Rect:
    return dot.x - DOT - 1, dot.y - DOT - 1, dot.x + DOT + 1, dot.y + DOT + 1


def meet(one: Rect, other: Rect) -> bool:
    return (one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def free(room: Rect, taken: Sequence[Rect], within: Rect) -> bool:
    left, top, right, bottom = room
    return (within[0] <= left and within[1] <= top and right <= within[2] and bottom <= within[3]
            and not any(meet(room, other) for other in taken))

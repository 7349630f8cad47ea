"""The network as boxes below each other, which wires join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.page.text import EM, cut, kind, shape, width_of


__all__ = ["Box", "Drawing", "draw_network"]

FONT = 12                  # px
BOX, GAP = 42, 18          # height of a box, and what is between two
LANE, LANES = 11, 70       # between wires that pass by boxes, and at most for all of them
PAD = 10
UNITS = {"array": "XNOR array", "fixed": "fixed-point unit", "drain": "on the way to memory",
         "memory": "side by side in memory", "host": "host"}


@dataclass(frozen=True)
class Box:
    """A step. ``left`` and ``right`` are its two lines on either side."""

    y: float
    kind: str
    left: tuple[str, str]
    right: tuple[str, str]
    title: str


@dataclass(frozen=True)
class Drawing:
    """Boxes of one width, and wires as paths."""

    width: float
    height: float
    x: float       # of all boxes
    boxes: tuple[Box, ...]
    wires: tuple[str, ...]


def draw_network(network: Mapping[str, Any], width: float) -> Drawing:
    """Draw a network ``width`` px wide. Wires that pass by other boxes have lanes at the left."""
    first, steps = network["input"], network["steps"]
    made = {first["name"]: 0} | {step["output"]: at for at, step in enumerate(steps, 1)}
    ways = sorted({(made[name], at) for at, step in enumerate(steps, 1)
                   for name in step["inputs"] if name in made})
    lanes = lanes_of(way for way in ways if way[1] > way[0] + 1)
    count = max(lanes.values(), default=-1) + 1
    pitch = min(LANE, LANES / max(count, 1))
    x = 1 + pitch * count + (PAD if count else 0)
    letters = (width - x - 2 * PAD) / (FONT * EM)
    given = {"name": first["name"], "kind": "Input", "on": "host"} | first
    boxes = tuple(box_of(step, at * (BOX + GAP) + 1, letters)
                  for at, step in enumerate([given, *steps]))
    return Drawing(width, boxes[-1].y + BOX + 1, x, boxes, tuple(
        wire(begin, end, x, x + (width - x) / 2, pitch, lanes.get((begin, end)))
        for begin, end in ways))


def lanes_of(ways: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Give a lane to each way, such that those in one lane do not meet."""
    found: dict[tuple[int, int], int] = {}
    ends: list[int] = []
    for begin, end in sorted(ways):
        lane = next((at for at, other in enumerate(ends) if other <= begin), len(ends))
        ends[lane:lane + 1] = [end]
        found[begin, end] = lane
    return found


def wire(begin: int, end: int, x: float, middle: float, pitch: float, lane: int | None) -> str:
    """Return the path from a box to the next, or by way of a lane to a later one."""
    top, bottom = begin * (BOX + GAP) + BOX + 1, end * (BOX + GAP) + 1
    if lane is None:
        return f"M{middle:.1f} {top}V{bottom}m-3.5 -5l3.5 5l3.5 -5"
    left = x - PAD - pitch * lane
    bend = min(PAD, x - left)
    leave, arrive = top - BOX / 4, bottom + BOX / 4
    return (f"M{x:.1f} {leave}H{left + bend:.1f}Q{left:.1f} {leave} {left:.1f} {leave + bend}"
            f"V{arrive - bend}Q{left:.1f} {arrive} {left + bend:.1f} {arrive}H{x:.1f}"
            f"m-5 -3.5l5 3.5l-5 3.5")


def box_of(step: Mapping[str, Any], y: float, letters: float) -> Box:
    right = shape(step["shape"]), step["type"]
    left = step["name"], f"{kind(step['kind'])} · {UNITS.get(step['on'], step['on'])}"
    if step["kind"] == "Input":
        left = step["name"], "Input"
    # What is at the right may take half, and what is at the left has the rest.
    right = cut(right[0], letters / 2), cut(right[1], letters / 2)
    rest = [cut(text, letters - width_of(other) - 2)
            for text, other in zip(left, right, strict=True)]
    title = f"{step['name']}: {step['kind']}, {shape(step['shape'])}, {step['type']}"
    return Box(y, step["on"], (rest[0], rest[1]), right, title)

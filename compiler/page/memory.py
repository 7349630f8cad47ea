"""The activation memory over time: which addresses hold what, from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from compiler.page.text import EM, KIB, cut


__all__ = ["Map", "Patch", "Tick", "draw_memories", "lifetime"]

FONT = 12                       # px
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 28, 40
LEAST = 2.0                     # px that anything takes
STEPS = 4                       # of the scale of addresses
LABEL = 16                      # px that a name takes, with some room
FEWEST = 3                      # letters of a name that are worth writing
MUCH = 0.5                      # part of the memory, above which tensors need no second map
BETWEEN = 40                    # px
TICK = 30                       # px between numbers of layers, at least


@dataclass(frozen=True)
class Patch:
    """Addresses that hold something for a time."""

    x: float
    y: float
    width: float
    height: float
    kind: str     # "tensor", "resident" or "stored"
    label: str    # may be empty
    title: str


@dataclass(frozen=True)
class Tick:
    """A place on a scale, with its name."""

    at: float
    label: str


@dataclass(frozen=True)
class Map:
    """Time to the right, a column for each layer, and addresses upwards."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    columns: tuple[float, ...]  # where they begin, and the last ends; none where they are many
    names: tuple[Tick, ...]     # of columns
    scaled: str                 # what the scale upwards is of
    addresses: tuple[Tick, ...]
    patches: tuple[Patch, ...]


def draw_memories(report: Mapping[str, Any], width: float, height: float, *,
                  beside: bool) -> list[Map]:
    """Draw the map ``width`` by ``height`` px large, or, where tensors take little of it, two
    maps, beside each other or not, of which the second is of their addresses alone."""
    memory = report["memory"]
    highest = max(of["address"] + of["bytes"] for of in memory["tensors"])
    if highest > memory["bytes"] * MUCH:
        return [draw_memory(report, memory["bytes"], "address", width, height)]
    if beside:
        width = (width - BETWEEN) / 2
    return [draw_memory(report, memory["bytes"], "address, all", width, height),
            draw_memory(report, highest, "address, enlarged", width, height)]


def draw_memory(report: Mapping[str, Any], size: int, scaled: str, width: float,
                height: float) -> Map:
    """Draw the map of the first ``size`` octets."""
    memory, layers = report["memory"], len(report["layers"])
    size = max(size, 1)
    left, right, top, bottom = LEFT, width - RIGHT, TOP, height - BOTTOM
    column = (right - left) / (layers + 2)

    def patch(kind: str, name: str, of: Mapping[str, Any]) -> Patch:
        x = left + (of["first"] + 1) * column
        high = (min(of["address"] + of["bytes"], size) - of["address"]) / size * (bottom - top)
        wide = (of["last"] - of["first"] + 1) * column
        tall = max(high, LEAST)
        y = min(bottom - of["address"] / size * (bottom - top) - high, bottom - tall)
        label = cut(name, (wide - 8) / (FONT * EM)) if tall >= LABEL else ""
        return Patch(x, y, wide, tall, kind, label if len(label) >= min(FEWEST, len(name)) else "",
                     f"{name}: {of['bytes']:,} bytes from {of['address']:,} on, "
                     f"{lifetime(of['first'], of['last'], layers)}")

    patches = [patch("resident" if of["first"] < 0 else "stored", "weights", of)
               for of in memory["weights"] if of["address"] < size]
    patches += [patch("tensor", of["name"], of) for of in memory["tensors"]]
    every = next(step for step in count_up() if step * column >= TICK)
    names = [Tick(left + column * (at + 0.5), str(at)) for at in range(1, layers + 1)
             if at % every == 0]
    if column >= TICK:
        names = [Tick(left + column / 2, "host"), *names, Tick(right - column / 2, "host")]
    return Map(width, height, left, right, top, bottom,
               tuple(left + column * at for at in range(layers + 3) if column >= TICK / 2),
               tuple(names), scaled,
               tuple(Tick(bottom - (bottom - top) * at / STEPS, label)
                     for at, label in enumerate(scale(size))), tuple(patches))


def count_up() -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on."""
    for power in count():
        yield from (digit * 10 ** power for digit in (1, 2, 5))


def scale(size: int) -> list[str]:
    """Return what is written beside the addresses from 0 to ``size``."""
    unit, name = (KIB, "KiB") if size > KIB else (1, "B")
    return [f"{round(size * at / STEPS / unit, 1):g} {name}" for at in range(STEPS + 1)]


def lifetime(first: int, last: int, layers: int) -> str:
    """Tell from which layer to which something is kept."""
    begin = "from before the frame" if first < 0 else f"from layer {first + 1}"
    return f"{begin} {'to its end' if last >= layers else f'to layer {last + 1}'}"

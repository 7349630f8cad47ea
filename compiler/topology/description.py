"""Reads descriptions of networks: TOML, a row for each layer. ::

    input = [227, 227, 3]     # height, width, channels, of octets
    mean = [0.485, ...]       # of octets as numbers of 0 to 1, by channel; may be left out
    std = [0.229, ...]
    seed = 1                  # of the random weights
    layers = [
        {conv = 96, kernel = 11, stride = 4, pad = 2, bits = 8},
        {norm = 1e-5}, "relu", {pool = 3, stride = 2},
        {norm = 1e-4}, "sign", {dense = 1000, bits = 1, bias = true},
    ]

`ROWS` has the rows and their keys. A description may be `like` another, a file beside it, and then
names what differs. `width` multiplies the channels of all layers but the last.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

from compiler.errors import UserError
from compiler.topology.blocks import Builder
from compiler.topology.rows import Topology


__all__ = ["DescriptionError", "read"]

SUFFIX = ".toml"

# The keys of each row besides its own, which has the value that the comment tells.
ROWS: dict[str, tuple[str, ...]] = {
    "conv":       ("kernel", "stride", "pad", "groups", "bits", "bias"),  # channels
    "depthwise":  ("stride", "pad", "bits"),                              # kernel, or "all"
    "dense":      ("bits", "bias"),                                       # channels
    "norm":       (),                                                     # epsilon
    "relu":       (),
    "prelu":      (),
    "sign":       (),
    "quantize":   (),                                                     # bits, unsigned
    "pool":       ("stride", "pad"),                                      # kernel
    "mean":       (),                                                     # over the whole picture
    "separable":  ("stride",),                                            # channels
    "bottleneck": ("expand", "stride", "repeat", "activation"),           # channels
    "fire":       ("expand",),                                            # channels
}
WEIGHTED = "conv", "dense", "separable", "bottleneck", "fire"
PLAIN = "relu", "prelu", "sign", "mean"
FIELDS = "input", "mean", "std", "seed", "layers", "like", "width"
LEAST = {"pad": 0}  # of whole numbers; else 1
MOST = {"bits": 8, "quantize": 8}
LARGEST = 1 << 16    # any other whole number
ACTIVATIONS = "relu", "prelu"


class DescriptionError(UserError):
    """A description that is not one."""


def read(path: Path) -> Topology:
    """Read a description. Raises UserError of one sentence for what it must not say."""
    said = _fields(path)
    shape = said.get("input")
    if not (isinstance(shape, list) and len(shape) == 3 and all(map(_whole, shape))):
        raise DescriptionError(f"'{path}': input must be [height, width, channels], not {shape!r}")
    rows = said.get("layers")
    if not isinstance(rows, list) or not rows:
        raise DescriptionError(f"'{path}': layers must be a list of rows, not {rows!r}")
    width = said.get("width", 1)
    if not isinstance(width, int | float) or isinstance(width, bool) or not 0 < width < math.inf:
        raise DescriptionError(f"'{path}': width must be a number above 0, not {width!r}")
    seed = said.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise DescriptionError(f"'{path}': seed must be a whole number of at least 0, not {seed!r}")
    parsed = [_row(f"'{path}': row {at + 1} of layers", row) for at, row in enumerate(rows)]
    weighted = [at for at, (op, _) in enumerate(parsed) if op in WEIGHTED]
    if not weighted:
        raise DescriptionError(f"'{path}': layers must have at least one conv or dense, not none")
    builder = Builder(shape[2])
    for at, (op, keys) in enumerate(parsed):
        if op in WEIGHTED and at != weighted[-1]:
            keys[op] = _scaled(f"'{path}': row {at + 1} of layers", keys[op], width)
        builder.add(op, keys.pop(op, None), keys)
    return Topology(path.stem, tuple(shape), tuple(builder.rows), seed,
                    *(_colours(path, said, key, shape[2]) for key in ("mean", "std")))


def _fields(path: Path) -> dict[str, Any]:
    """Return what a description says, with what it leaves to another."""
    said = _parsed(path)
    like = said.pop("like", None)
    if like is None:
        return said
    if (not isinstance(like, str) or Path(like).name != like
            or not path.with_name(like).is_file()):
        raise DescriptionError(f"'{path}': like must name a file beside it, not {like!r}")
    base = _parsed(path.with_name(like))
    if "like" in base:
        raise DescriptionError(f"'{path}': like must name a description that is like no other, "
                               f"not {like!r}")
    return base | said


def _parsed(path: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DescriptionError(f"'{path}' must be TOML, but: {error}") from error
    for key in said:
        if key not in FIELDS:
            raise DescriptionError(f"'{path}' must say nothing but {', '.join(FIELDS)}, "
                                   f"not {key!r}")
    return said


def _row(where: str, row: object) -> tuple[str, dict[str, Any]]:
    """Return the operation of a row, and its keys, its own among them."""
    if isinstance(row, str):
        if row not in PLAIN:
            raise DescriptionError(f"{where} must be one of {', '.join(PLAIN)}, or have a value, "
                                   f"not {row!r}")
        return row, {}
    keys = row if isinstance(row, dict) else {}
    found = [key for key in keys if key in ROWS and key not in PLAIN]
    if len(found) != 1:
        raise DescriptionError(f"{where} must have one of {', '.join(ROWS)}, not {row!r}")
    op, = found
    for key, value in keys.items():
        if key not in (op, *ROWS[op]):
            raise DescriptionError(f"{where}: {op} may have {', '.join(ROWS[op]) or 'no key'}, "
                                   f"not {key!r}")
        _check(f"{where}: {key}", key, value)
    return op, dict(keys)


def _check(what: str, key: str, value: object) -> None:
    if key == "bias":
        good, wanted = isinstance(value, bool), "true or false"
    elif key == "activation":
        good, wanted = value in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"
    elif key == "norm":
        good, wanted = isinstance(value, float) and 0 < value < 1, "an epsilon between 0 and 1"
    elif value == "all" and key == "depthwise":
        return
    else:
        least, most = LEAST.get(key, 1), MOST.get(key, LARGEST)
        good, wanted = _whole(value, least, most), f"a whole number of {least} to {most}"
    if not good:
        raise DescriptionError(f"{what} must be {wanted}, not {value!r}")


def _whole(value: object, least: int = 1, most: int = LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _scaled(where: str, channels: int, width: float) -> int:
    scaled = channels * width
    if scaled != int(scaled) or not scaled:
        raise DescriptionError(f"{where}: {channels} channels times the width of {width} must be "
                               f"a whole number of at least 1, not {scaled:.10g}")
    return int(scaled)


def _colours(path: Path, said: dict[str, Any], key: str, count: int) -> tuple[float, ...]:
    values = said.get(key, [])
    if not isinstance(values, list) or len(values) not in (0, count) or not all(
            isinstance(value, float) and math.isfinite(value) and (key == "mean" or value > 0)
            for value in values):
        raise DescriptionError(f"'{path}': {key} must be a number for each of its {count} "
                               f"channels, not {values!r}")
    if bool(said.get("mean")) != bool(said.get("std")):
        raise DescriptionError(f"'{path}' must have both mean and std, or none, not {key} alone")
    return tuple(values)

"""Nodes, types and places as JSON, and back, so that a host can do without the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from compiler import ir
from compiler.errors import UserError
from compiler.ir import Graph, Node
from compiler.schedule.layout import Layout, Placement
from compiler.schedule.streaming import Piece
from compiler.schedule.unfold import Unfold
from hdl.config import Config
from hdl.isa import Feed, Target


__all__ = ["from_json", "to_json"]

TYPES = ir.Real, ir.Binary, ir.Fixed, ir.Sum
NODES = tuple(kind for name in ir.__all__
              if isinstance(kind := getattr(ir, name), type) and issubclass(kind, Node))
KINDS = {kind.__name__: kind for kind in (*TYPES, *NODES, Graph, Layout, Unfold, Placement, Piece,
                                         Config)}
ENUMS: Mapping[str, type[Enum]] = {kind.__name__: kind for kind in (Feed, Target)}


def to_json(value: Any) -> Any:
    """Return what `json` can write. Of a value that this does not know, raises TypeError."""
    if isinstance(value, np.ndarray):
        return {"kind": "array", "type": value.dtype.str, "shape": list(value.shape),
                "values": value.ravel().tolist()}
    if isinstance(value, Enum):
        return {"kind": type(value).__name__, "name": value.name}
    if is_dataclass(value) and type(value).__name__ in KINDS:
        return {"kind": type(value).__name__} | {
            field.name: to_json(getattr(value, field.name)) for field in fields(value)
            if field.init}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"'value' must be a node, a type, a place or plain, not {value!r}")


def from_json(value: Any) -> Any:
    """Return what `to_json` was given, but that lists become tuples. Raises UserError for what it
    has never made."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    items = {key: from_json(item) for key, item in value.items()}
    if "kind" not in items:
        return items
    kind = items.pop("kind")
    try:
        if kind == "array":
            values = np.array(items["values"], np.dtype(items["type"]))
            return values.reshape(items["shape"])
        if kind in ENUMS:
            return ENUMS[kind][items["name"]]
        return KINDS[kind](**items)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"A record must be one that this version makes, not a {kind!r} "
                        f"with {', '.join(items) or 'nothing'}: {error}") from error

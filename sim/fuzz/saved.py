"""Networks in files, as they were drawn."""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

import compiler.ir as ir
from compiler.errors import UserError
from sim.fuzz.builder import Network


__all__ = ["load", "save"]


def save(network: Network, path: Path) -> None:
    """Write a network with its frames to an .npz; `load` reads it."""
    arrays, nodes = {"frames": network.frames}, []
    for at, node in enumerate(network.graph.nodes):
        told = {"kind": type(node).__name__}
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{at}.{field.name}"] = value
            elif is_dataclass(value):
                told[field.name] = {"kind": type(value).__name__, **asdict(value)}
            else:
                told[field.name] = value
        nodes.append(told)
    beside = path.with_suffix(".part.npz")
    np.savez_compressed(beside, nodes=np.array(json.dumps(nodes)), **arrays)
    beside.replace(path)


def load(path: Path) -> Network:
    """Read what `save` has written. Raises UserError for other files."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
        nodes = [built(told) for told in json.loads(str(arrays.pop("nodes")))]
        frames = arrays.pop("frames")
    except (OSError, EOFError, BadZipFile, ValueError, KeyError) as error:
        raise UserError(f"'{path}' must be a network that the fuzzer saved, but: {error}"
                        ) from error
    made = []
    for at, (kind, told) in enumerate(nodes):
        own = {name.split(".", 1)[1]: array for name, array in arrays.items()
               if name.split(".", 1)[0] == str(at)}
        made.append(kind(**told, **own))
    return Network(ir.Graph(tuple(made), name=path.stem), frames)


def built(told: dict) -> tuple[type, dict]:
    """The class of a node, and the fields that are no arrays."""
    values = {name: tuple(value) if isinstance(value, list) else value
              for name, value in told.items() if name != "kind"}
    for name, value in values.items():
        if isinstance(value, dict):
            kind, own = built(value)
            values[name] = kind(**own)
    return getattr(ir, told["kind"]), values

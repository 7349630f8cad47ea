"""Reads the modules of a Torch7 file: binary, of a network in sequence."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torchfile
from numpy.lib.stride_tricks import as_strided

from compiler.frontends.refusal import Refusal


__all__ = ["Module", "modules", "recognise"]

Array = np.ndarray[Any, Any]

BEGIN = struct.pack("<i", torchfile.TYPE_TORCH)  # of a file that holds an object
MOST_AXES = 8
CONTAINER = "Sequential"
DTYPES = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4",
          "Double": "<f8", "Cuda": "<f4", "CudaDouble": "<f8"}


@dataclass(frozen=True)
class Module:
    """A module by the last part of its class's name, and its fields."""

    kind: str
    fields: dict[str, Any]
    number: int  # in the order of execution, from 1 on

    def __str__(self) -> str:
        return f"Module {self.number} ({self.kind})"

    def whole(self, name: str, default: int | None = None, least: int = 0) -> int:
        """Return a field that is a whole number; ``default`` where there is none."""
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Refusal(f"{self} must have a whole number of at least {least} as {name}, "
                          f"not {value!r}")
        return value

    def real(self, name: str) -> float:
        """Return a field that is a number."""
        value = self.fields.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise Refusal(f"{self} must have a number as {name}, not {value!r}")
        return float(value)

    def array(self, name: str, count: int) -> Array:
        """Return a field that is a tensor of ``count`` finite numbers, as float64."""
        value = self.fields.get(name)
        if not isinstance(value, np.ndarray) or value.size != count:
            size = value.size if isinstance(value, np.ndarray) else value
            raise Refusal(f"{self} must have a tensor of {count} numbers as {name}, not {size!r}")
        if not np.isfinite(value).all():
            raise Refusal(f"{self} must have finite numbers as {name}")
        return value.astype(np.float64)


def recognise(path: Path) -> bool:
    """Whether ``path`` is a file that begins as Torch7's do that hold an object."""
    with path.open("rb") as file:
        return file.read(len(BEGIN)) == BEGIN


def modules(path: Path) -> list[Module]:
    """Return the modules of a network in the order of execution; containers are opened.

    Raises `Refusal` for what is not a whole file of modules in sequence.
    """
    try:
        with path.open("rb") as file:
            reader = torchfile.T7Reader(file, use_list_heuristic=False)
            network = reader.read_obj()
        found = [(kind, fields) for kind, fields in _opened(network, set())]
    except (OSError, Refusal):
        raise
    except Exception as error:  # whatever the octets of a damaged file make the reader trip over
        raise Refusal(f"'{path}' must be a whole Torch7 file, binary, but: "
                      f"{type(error).__name__} {error}") from error
    return [Module(kind, fields, number) for number, (kind, fields) in enumerate(found, 1)]


def _opened(thing: object, inside: set[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(thing, torchfile.TorchObject) or not isinstance(thing._obj, dict):
        raise Refusal(f"A Torch7 file must hold modules, not {type(thing).__name__}")
    if id(thing) in inside:
        raise Refusal("A Torch7 file must hold modules in sequence, not one within itself")
    kind = thing.torch_typename().decode("utf-8", "replace").rpartition(".")[2]
    fields = {key.decode("utf-8", "replace"): value for key, value in thing._obj.items()
              if isinstance(key, bytes)}
    if kind != CONTAINER:
        yield kind, fields
        return
    parts = fields.get("modules")
    if not isinstance(parts, dict):
        raise Refusal(f"A {CONTAINER} must have a table of modules, not {parts!r}")
    for number in range(1, len(parts) + 1):
        yield from _opened(parts.get(number), inside | {id(thing)})


# Tensors and storages, as torchfile reads them, but within the file and the storage.

def _storage(dtype: np.dtype[Any]) -> Callable[[Any, object], Array]:
    def read(reader: Any, version: object) -> Array:
        count, = struct.unpack("<q", reader.f.read(8))
        left = os.fstat(reader.f.fileno()).st_size - reader.f.tell()
        if not 0 <= count * dtype.itemsize <= left:
            raise ValueError(f"a storage of {count} numbers must lie within the file")
        return np.frombuffer(reader.f.read(count * dtype.itemsize), dtype)

    return read


def _tensor(dtype: np.dtype[Any]) -> Callable[[Any, object], Array]:
    def read(reader: Any, version: object) -> Array:
        axes = reader.read_int()
        if not 0 <= axes <= MOST_AXES:
            raise ValueError(f"a tensor must have at most {MOST_AXES} axes, not {axes}")
        numbers = struct.unpack(f"<{2 * axes + 1}q", reader.f.read(8 * (2 * axes + 1)))
        sizes, strides, first = numbers[:axes], numbers[axes:-1], numbers[-1] - 1
        storage = reader.read_obj()
        if storage is None or axes == 0:
            return np.empty(0, dtype)
        last = first + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if (min(sizes) < 1 or min(strides) < 0 or first < 0 or last >= len(storage)
                or math.prod(sizes) > len(storage)):
            raise ValueError(f"a tensor of {sizes} must lie within its storage of {len(storage)}")
        return as_strided(storage[first:], sizes, [dtype.itemsize * step for step in strides],
                          writeable=False)

    return read


for _name, _code in DTYPES.items():
    torchfile.type_handlers[f"torch.{_name}Tensor".encode()] = _tensor(np.dtype(_code))
    torchfile.type_handlers[f"torch.{_name}Storage".encode()] = _storage(np.dtype(_code))

"""Reads a folder that has a folder of pictures for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from compiler.datasets import DataError, Dataset
from compiler.ir import Input
from compiler.pictures import is_picture, read_picture


__all__ = ["is_picture_folder", "read_picture_folder"]


def is_picture_folder(path: str | Path) -> bool:
    """Whether there is a folder with pictures in the folder."""
    return Path(path).is_dir() and any(pictures(folder) for folder in folders(Path(path)))


def read_picture_folder(path: str | Path, node: Input, meta: Mapping[str, Any],
                        count: int | None = None) -> Dataset:
    """Return the pictures in the folders of a folder, or ``count`` of them, as inputs of a network.

    They are read as `compiler.pictures.read_picture` reads them, from each folder one in turn, so
    the first ones are of all classes. A folder is called as a class of the network, which
    ``meta["classes"]`` names; or by the number of its class; or, where the network names none, as
    one likes: then classes are numbered as their names are sorted. What is no picture is left out.

    Raises DataError for a folder of another name, and for a picture that cannot be read.
    """
    found = folders(Path(path))
    labels, classes = numbered([folder.name for folder in found], meta.get("classes", ()),
                               Path(path))
    rows = zip_longest(*([(file, label) for file in pictures(folder)]
                         for folder, label in zip(found, labels, strict=True)))
    taken = [place for place in chain.from_iterable(rows) if place][:count]
    x = np.concatenate([read_picture(file, node, meta) for file, _ in taken])
    return Dataset(x, np.array([label for _, label in taken]), classes, Path(path).name)


def numbered(names: Sequence[str], classes: Sequence[str],
             path: Path) -> tuple[list[int], tuple[str, ...]]:
    """Return the class of each folder, and the names of all classes."""
    if all(name in classes for name in names):
        return [list(classes).index(name) for name in names], tuple(classes)
    if all(name.isdecimal() for name in names):
        labels = [int(name) for name in names]
        return labels, tuple(classes) or tuple(map(str, range(max(labels) + 1)))
    if classes:
        odd = next(name for name in names if name not in classes)
        raise DataError(f"Folders in '{path}' must have the names of the network's classes, "
                        f"{', '.join(classes)}, or their numbers, not '{odd}'")
    return list(range(len(names))), tuple(names)


def folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir()
                  if entry.is_dir() and not entry.name.startswith("."))


def pictures(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir()
                  if is_picture(entry) and not entry.name.startswith("."))

"""Reads pictures and labels: IDX, CIFAR-10 and NumPy files, scikit-learn's digits, and XOR."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.errors import MissingToolError, UserError


__all__ = ["DIGITS", "XOR", "DataError", "Dataset", "load"]

Array = np.ndarray[Any, Any]

DIGITS = "digits"      # the word that names scikit-learn's data set
DIGITS_SEED = 2016     # of its split into a training and a test part
DIGITS_TEST_SHARE = 4  # every fourth picture of a class is kept back

XOR = "xor"            # the word that names the inputs of tinier-nn's demo
XOR_INPUTS = 32

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0b: ">i2", 0x0c: ">i4", 0x0d: ">f4", 0x0e: ">f8"}
IDX_FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
             "test":  ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}

CIFAR_PLANES = 3, 32, 32  # of a picture: red, green, blue
CIFAR_RECORD = 1 + math.prod(CIFAR_PLANES)  # bytes: the class, then the picture
CIFAR_FILES = {"train": [f"data_batch_{part}.bin" for part in range(1, 6)],
               "test":  ["test_batch.bin"]}
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck")


class DataError(UserError):
    """A data set that cannot be read."""


@dataclass(frozen=True)
class Dataset:
    """Inputs and, where known, their classes."""

    x: Array                 # (count, ...), as stored
    labels: Array | None     # (count,), integer
    classes: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        return len(self.x)

    def shaped(self, shape: tuple[int, ...]) -> Array:
        """Return the inputs as ``(count, *shape)``, the last axis fastest."""
        if math.prod(self.x.shape[1:]) != math.prod(shape):
            raise DataError(f"Inputs of '{self.name}' must fill {shape}, as the network reads it, "
                            f"not {self.x.shape[1:]}")
        return self.x.reshape(len(self.x), *shape)


def load(spec: str | Path, *, split: str = "test") -> Dataset:
    """Read the data set that ``spec`` names.

    Parameters
    ----------
    spec
        An IDX file of pictures, plain or gzipped, with its labels beside it; a folder with MNIST's
        four such files; a ``.bin`` file of CIFAR-10's records, or a folder with its batches, whose
        pictures become (32, 32, 3); an ``.npz`` file with ``x`` and perhaps ``y``; an ``.npy`` file
        of inputs; the word "digits" for that data set of scikit-learn (extra ``train``); or the
        word "xor" for the four inputs of tinier-nn's demo.
    split
        "train" or "test": which part of a folder or of the digits.
    """
    if split not in IDX_FILES:
        raise DataError(f"Split must be one of {', '.join(IDX_FILES)}, not {split!r}")
    path = Path(spec)
    try:
        if str(spec) == DIGITS and not path.exists():
            return _digits(split)
        if str(spec) == XOR and not path.exists():
            return _xor()
        if path.is_dir() and (path / CIFAR_FILES["test"][0]).exists():
            return _cifar([path / name for name in CIFAR_FILES[split]], path)
        if path.is_dir():
            return _idx_pair(_with_suffix(path / IDX_FILES[split][0]), path.name)
        match path.suffix:
            case ".npz":
                return _npz(path)
            case ".bin":
                return _cifar([path], path)
            case ".npy":
                with path.open("rb") as file:
                    return _dataset(np.load(file, allow_pickle=False), None, path)
        return _idx_pair(path, path.name)
    except OSError as error:
        raise DataError(f"'{path}' must be a readable data set: {error.strerror or error}") \
            from error
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise DataError(f"'{path}' must be a data set that is whole: {error}") from error


def _dataset(x: Array, labels: Array | None, path: Path, name: str | None = None,
             classes: Iterable[str] | None = None) -> Dataset:
    if x.ndim < 2 or not len(x) or x.dtype.kind not in "iuf":
        raise DataError(f"'{path}' must hold inputs as numbers of (count, ...), "
                        f"not {x.dtype} of {x.shape}")
    if labels is not None:
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise DataError(f"Labels of '{path}' must be integers of (count,), "
                            f"not {labels.dtype} of {labels.shape}")
        if len(labels) != len(x):
            raise DataError(f"'{path}' must have a label for each of its {len(x)} inputs, "
                            f"not {len(labels)}")
        labels = labels.astype(np.int64)
        if labels.min() < 0:
            raise DataError(f"Labels of '{path}' must count from 0, not {labels.min()}")
    if classes is None:
        classes = map(str, range(0 if labels is None else int(labels.max()) + 1))
    return Dataset(x, labels, tuple(classes), name or path.name)


def _npz(path: Path) -> Dataset:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if "x" not in arrays:
            found = ", ".join(arrays) or "nothing"
            raise DataError(f"'{path}' must hold an array 'x', not {found}")
        classes = map(str, arrays["classes"]) if "classes" in arrays else None
        return _dataset(arrays["x"], arrays.get("y"), path,
                        classes=classes)


def _digits(split: str) -> Dataset:
    """scikit-learn's 1,797 pictures of 8 x 8 pixels from 0 to 16, a quarter for tests."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingToolError("Digits need scikit-learn: install it with "
                               "`pip install xnorloom[train]`") from error
    digits = load_digits()
    chance = np.random.default_rng(DIGITS_SEED)
    test = np.zeros(len(digits.target), bool)
    for label in range(10):
        members = chance.permutation(np.flatnonzero(digits.target == label))
        test[members[:len(members) // DIGITS_TEST_SHARE]] = True
    chosen = test if split == "test" else ~test
    return Dataset(digits.data[chosen].astype(np.uint8), digits.target[chosen].astype(np.int64),
                   tuple(map(str, digits.target_names)), DIGITS)


def _xor() -> Dataset:
    """The inputs of tinier-nn's demo, 00, 01, 10 and 11: two bits, then 30 of -1. The class is 1
    where the two are equal."""
    x = np.full((4, XOR_INPUTS), -1, np.int8)
    x[[1, 3], 1] = x[[2, 3], 0] = 1
    return Dataset(x, (x[:, 0] == x[:, 1]).astype(np.int64), ("different", "equal"), XOR)


def _cifar(files: list[Path], path: Path) -> Dataset:
    """Read records of CIFAR-10: a class, then the planes of red, green and blue, row by row."""
    records = [_cifar_records(file) for file in files]
    labels = np.concatenate([part[:, 0] for part in records])
    planes = np.concatenate([part[:, 1:] for part in records]).reshape(-1, *CIFAR_PLANES)
    pictures = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return _dataset(pictures, labels, path, classes=CIFAR_CLASSES)


def _cifar_records(file: Path) -> Array:
    raw = np.fromfile(file, np.uint8)
    if not raw.size or raw.size % CIFAR_RECORD:
        raise DataError(f"'{file}' must hold CIFAR-10 records of {CIFAR_RECORD} bytes each, "
                        f"not {raw.size} bytes")
    records = raw.reshape(-1, CIFAR_RECORD)
    if records[:, 0].max() >= len(CIFAR_CLASSES):
        raise DataError(f"'{file}' must hold classes of 0 to {len(CIFAR_CLASSES) - 1} as CIFAR-10 "
                        f"has them, not {records[:, 0].max()}")
    return records


def _with_suffix(path: Path) -> Path:
    """Return the path, or that of the same file gzipped if only this is there."""
    packed = path.with_name(path.name + ".gz")
    return packed if packed.exists() and not path.exists() else path


def _idx_pair(path: Path, name: str) -> Dataset:
    pictures = _idx(path)
    label_name = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    beside = _with_suffix(path.with_name(label_name))
    labels = _idx(beside) if beside.name != path.name and beside.exists() else None
    return _dataset(pictures, labels, path, name)


def _idx(path: Path) -> Array:
    """Read an IDX file: two zeros, a type, the number of axes, their lengths, then the data."""
    raw = path.read_bytes()
    if path.suffix == ".gz" or raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or not raw[3]:
        raise DataError(f"'{path}' must begin as IDX files do, with 00 00, a type and a number of "
                        f"axes, not {raw[:4].hex(' ') or 'nothing'}")
    kind, start = np.dtype(IDX_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < start:
        raise DataError(f"'{path}' must have {raw[3]} axes, not end in its head")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
    size = math.prod(shape) * kind.itemsize
    if len(raw) - start != size:
        raise DataError(f"'{path}' must have {size} bytes of data for {shape}, "
                        f"not {len(raw) - start}")
    return np.frombuffer(raw, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))

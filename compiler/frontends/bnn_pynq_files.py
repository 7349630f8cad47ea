"""What is in the files of a folder of BNN-PYNQ parameters.

Each layer ``L`` and processing element ``p`` has a file ``L-p-weights.bin`` of little-endian
uint64 and a file ``L-p-thres.bin`` of little-endian int64. Neuron ``r`` is fold ``r // PE`` of
element ``r % PE``; a word holds the weights of SIMD neighbouring synapses from bit 0 on. A weight
of one bit is +1 where the bit is set, else -1; one of two bits is in two's complement.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends.refusal import Refusal


__all__ = ["WORD_BITS", "by_neuron", "files_of", "has_files", "read_classes", "read_thresholds",
           "read_words", "unpacked"]

Array = np.ndarray[Any, Any]

WORD_BITS = 64
SIZE_LIMIT = 1 << 26   # bytes in a file
THRESHOLD_LIMIT = (1 << 31) - 1


def has_files(folder: Path) -> bool:
    """Whether ``folder`` has a file of weights."""
    return any(files_of(folder, "weights"))


def files_of(folder: Path, kind: str) -> dict[tuple[int, int], Path]:
    """Return the files of ``kind``, "weights" or "thres", by layer and processing element."""
    pattern = re.compile(rf"(\d{{1,3}})-(\d{{1,4}})-{kind}\.bin", re.ASCII)
    found = ((pattern.fullmatch(file.name), file) for file in sorted(folder.iterdir()))
    return {(int(match[1]), int(match[2])): file for match, file in found if match}


def read_words(folder: Path, layer: int, kind: str = "weights", dtype: str = "<u8") -> Array:
    """Return the words of one layer, (elements, words)."""
    files = {pe: file for (at, pe), file in files_of(folder, kind).items() if at == layer}
    if sorted(files) != list(range(len(files))) or not files:
        missing = next(pe for pe in range(len(files) + 1) if pe not in files)
        raise Refusal(f"Folder '{folder}' must hold '{layer}-{missing}-{kind}.bin'")
    sizes = {files[pe].stat().st_size for pe in files}
    size = max(sizes)
    if len(sizes) != 1 or size % 8 or not 0 < size <= SIZE_LIMIT:
        odd = next(file for file in files.values()
                   if file.stat().st_size in sizes - {size} or len(sizes) == 1)
        raise Refusal(f"File '{odd}' must hold whole words of 64 bits, as many as the other files "
                      f"of its layer, not {odd.stat().st_size} bytes")
    return np.stack([np.fromfile(files[pe], dtype) for pe in range(len(files))])


def read_thresholds(folder: Path, layer: int) -> Array:
    """Return the thresholds of one layer, (elements, thresholds)."""
    thresholds = read_words(folder, layer, "thres", "<i8")
    if thresholds.min() < -THRESHOLD_LIMIT or thresholds.max() > THRESHOLD_LIMIT:
        raise Refusal(f"Folder '{folder}': layer {layer} must have thresholds of at most 32 bits, "
                      f"not {thresholds.min()} to {thresholds.max()}")
    return thresholds.astype(np.int64)


def unpacked(words: Array, folds: int, simd: int, bits: int = 1) -> Array:
    """Return the weights in ``words`` (elements, words), each of ``bits`` 1 or 2: (neurons,
    synapses)."""
    fields = words[:, :, None] >> np.arange(0, simd * bits, bits, dtype=np.uint64)
    fields = (fields & np.uint64((1 << bits) - 1)).astype(np.int64)
    weights = 2 * fields - 1 if bits == 1 else fields - 4 * (fields > 1)
    return by_neuron(weights.reshape(len(words) * folds, -1), len(words))


def by_neuron(rows: Array, elements: int) -> Array:
    """Put rows that lie element by element, fold by fold, in the order of the neurons."""
    split = rows.reshape(elements, -1, rows.shape[1])
    return split.transpose(1, 0, 2).reshape(len(rows), -1)


def read_classes(folder: Path) -> list[str]:
    """Return the names in ``classes.txt``; none where there is no such file."""
    file = folder / "classes.txt"
    if not file.is_file():
        return []
    try:
        return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise Refusal(f"File '{file}' must be text in UTF-8") from None

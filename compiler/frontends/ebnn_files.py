"""What is in the files of eBNN: the C header that it generates, or its arrays alone in an ``.npz``.

eBNN is that of B. McDanel, S. Teerapittayanon and H. T. Kung, "Embedded Binarized Neural Networks"
(EWSN 2017), https://arxiv.org/abs/1709.02260. A header has, for each block, arrays of weights and
of what stands behind the sums, and one call that tells the shapes. Bits come highest first, +1 is
1, and what fills the last byte of a row is left out here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends.refusal import Refusal, quoted


__all__ = ["Block", "Shapes", "read_blocks", "recognise"]

Array = np.ndarray[Any, Any]

HEADER = b'#include "ebnn.h"'
ZIP = b"PK\x03\x04"
HEAD = 1 << 12          # bytes of a file that tell what it is
SIZE_LIMIT = 1 << 26    # bytes in a header

ARRAY = re.compile(r"\b(?:float|uint8_t)\s+(\w+)\s*\[\s*\d+\s*\]\s*=\s*\{([^{}]*)\}\s*;")
FUNCTION = re.compile(r"\bvoid\s+(\w+)\s*\([^()]*\)\s*\{([^{}]*)\}")
CALL = re.compile(r"(\w+)\s*\(([^()]*)\)\s*;")
COMPUTE = "ebnn_compute"
LAYERS = {"fconv_layer": 17, "bconv_layer": 17, "blinear_layer": 3,
          "blinear_sm_layer": 3}  # functions of eBNN's library, and the numbers that they take

STATISTICS = "gamma", "beta", "mean", "std"
NAMES = re.compile(r"l_(?P<binary>b_)?(?:(?P<conv>conv)(?P<pool>_pool)?|linear)_bn_"
                   r"(?P<end>bst|softmax)(?P<at>\d{1,3})_(?:bconv|bl)_W")


@dataclass(frozen=True)
class Shapes:
    """Of a convolution and the pool behind it, whose pictures and windows are squares."""

    filters: int
    size: int                   # pixels along each side of what it reads
    depth: int                  # channels of that
    conv: tuple[int, int, int]  # kernel, stride, pad
    pool: tuple[int, int, int]

    @property
    def made(self) -> int:
        """Pixels along each side of what it makes."""
        size = self.size
        for kernel, stride, pad in self.conv, self.pool:
            size = (size + 2 * pad - kernel) // stride + 1
        return size


@dataclass(frozen=True)
class Block:
    """Sums, perhaps the highest of each window, ``bias`` and BatchNorm; then a sign, or arg-max."""

    name: str
    shapes: Shapes | tuple[int, int]  # or inputs and outputs of a dense layer
    binary: bool                      # what it reads: bits; else real numbers
    last: bool                        # arg-max
    weights: Array                    # -1 and +1: (filters, y, x, depth) or (outputs, inputs)
    bias: Array                       # (outputs,), as the statistics
    norm: Mapping[str, Array]         # gamma, beta, mean, std

    @property
    def outputs(self) -> int:
        return len(self.weights)

    @property
    def reads(self) -> tuple[int, ...]:
        """Shape of its input, channels last."""
        if isinstance(self.shapes, Shapes):
            return self.shapes.size, self.shapes.size, self.shapes.depth
        return self.shapes[:1]

    @property
    def makes(self) -> tuple[int, ...]:
        """Shape of its output, channels last."""
        if isinstance(self.shapes, Shapes):
            return self.shapes.made, self.shapes.made, self.outputs
        return self.outputs,


def recognise(path: Path) -> bool:
    """Whether a file is a generated header, or holds arrays with the names of eBNN's."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(ZIP):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return any(NAMES.fullmatch(name) for name in arrays.files)
        except Exception:  # whatever zipfile finds wrong with it: no file of eBNN's
            return False
    return HEADER in head


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read the blocks in their order. Raises Refusal for what is damaged or not of this kind.

    An ``.npz`` does not tell shapes: they are those of eBNN's examples for MNIST, pictures of 28 x
    28 pixels, convolutions of 3 x 3 with stride 2, and pools of 3 x 3 with stride 2.
    """
    with path.open("rb") as file:
        zipped = file.read(len(ZIP)) == ZIP
    blocks = _from_arrays(path) if zipped else _from_header(path)
    for block in blocks:
        if block.last != (block is blocks[-1]):
            raise Refusal(f"File '{path}' must end in its one block of arg-max, not have "
                          f"{quoted(block.name)} where it is")
        if not block.binary and block is not blocks[0]:
            raise Refusal(f"Block {quoted(block.name)} of '{path}' must read bits, as it is not "
                          f"the first, not real numbers")
    return blocks


# Headers

def _from_header(path: Path) -> tuple[Block, ...]:
    if path.stat().st_size > SIZE_LIMIT:
        raise Refusal(f"File '{path}' must have at most {SIZE_LIMIT} bytes, not "
                      f"{path.stat().st_size}")
    try:
        text = path.read_text("ascii")
    except UnicodeDecodeError:
        raise Refusal(f"File '{path}' must be C in ASCII") from None
    arrays = {match[1]: _numbers(path, match[1], match[2]) for match in ARRAY.finditer(text)}
    functions = {match[1]: match[2] for match in FUNCTION.finditer(text)}
    if COMPUTE not in functions:
        raise Refusal(f"File '{path}' must define {COMPUTE}, as eBNN writes it")
    blocks = []
    before = "input"
    for match in CALL.finditer(functions[COMPUTE]):
        reads, writes = (name.strip() for name in f"{match[2]},".split(",")[:2])
        if match[1] not in functions or reads != before or not writes:
            raise Refusal(f"File '{path}' must call one block after the other, each on what the "
                          f"one before it has made, not {quoted(match[0])}")
        before = writes
        blocks.append(_block(path, match[1], functions[match[1]], arrays))
    if not blocks or before != "output":
        raise Refusal(f"File '{path}' must call blocks from its input to its output, not end in "
                      f"{quoted(before)}")
    return tuple(blocks)


def _numbers(path: Path, name: str, text: str) -> Array:
    """Return the numbers as C has them: what is written is rounded to `float`."""
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise Refusal(f"Array {quoted(name)} of '{path}' must hold numbers") from None
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def _block(path: Path, name: str, body: str, arrays: Mapping[str, Array]) -> Block:
    """Make a block of the function ``name``, which calls one of the library's."""
    calls = CALL.findall(body)
    if len(calls) != 1 or calls[0][0] not in LAYERS:
        raise Refusal(f"Block {quoted(name)} of '{path}' must call one of {', '.join(LAYERS)}, not "
                      f"{', '.join(quoted(kind) for kind, _ in calls) or 'none'}")
    kind, words = calls[0][0], [word.strip() for word in calls[0][1].split(",")]
    numbers = [int(word) for word in words[8:] if re.fullmatch(r"\d{1,6}", word)]
    if not len(words) - 8 == len(numbers) == LAYERS[kind] or numbers[0] != 1:
        raise Refusal(f"Block {quoted(name)} of '{path}' must give {kind} its 8 arrays and "
                      f"{LAYERS[kind]} numbers, 1 first, not {quoted(', '.join(words[8:]))}")
    if missing := [word for word in words[1:2] + words[3:8] if word not in arrays]:
        raise Refusal(f"Block {quoted(name)} of '{path}' must have its array {quoted(missing[0])}")
    weights, bias, gamma, beta, mean, std = (arrays[word] for word in words[1:2] + words[3:8])
    norm = {"gamma": gamma, "beta": beta, "mean": mean, "std": std}
    shapes: Shapes | tuple[int, int] = (numbers[1], numbers[2])
    if "conv" in kind:
        filters, width, height, depth, *windows = numbers[1:]
        if width != height or windows[::2] != windows[1::2]:
            raise Refusal(f"Block {quoted(name)} of '{path}' must have square pictures and "
                          f"windows, as eBNN's own C indexes no others, not {numbers[1:]}")
        kernel, stride, pad, *pool = windows[::2]
        shapes = Shapes(filters, width, depth, (kernel, stride, pad), (pool[0], pool[1], pool[2]))
    return _checked(path, name, shapes, kind != "fconv_layer", kind == "blinear_sm_layer",
                    weights, bias, norm)


# Arrays

def _from_arrays(path: Path) -> tuple[Block, ...]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name].reshape(-1).astype(np.float64, casting="same_kind")
                      for name in found.files if name.startswith("l_")}
    except Exception as error:  # whatever zipfile and NumPy find wrong with it
        raise Refusal(f"File '{path}' must hold arrays that are whole: {error}") from error
    named = [match for name in arrays if (match := NAMES.fullmatch(name))]
    blocks: list[Block] = []
    size, depth = 28, 1
    for match in sorted(named, key=lambda match: int(match["at"])):
        prefix = match[0].removesuffix("_W")
        stem = prefix.rpartition("_")[0]
        names = [f"{prefix}_b", *(f"{stem}_bn_{key}" for key in STATISTICS)]
        if missing := [name for name in names if name not in arrays]:
            raise Refusal(f"Block {quoted(stem)} of '{path}' must have its array "
                          f"{quoted(missing[0])}")
        bias, *norm = (arrays[name] for name in names)
        shapes: Shapes | tuple[int, int] = (size * size * depth, len(bias))
        if match["conv"]:
            conv, pool = (3, 2, 0), (3, 2, 0) if match["pool"] else (1, 1, 0)
            shapes = Shapes(len(bias), size, depth, conv, pool)
        blocks.append(_checked(path, stem, shapes, bool(match["binary"] or not match["conv"]),
                               match["end"] == "softmax", arrays[match[0]], bias,
                               dict(zip(STATISTICS, norm, strict=True))))
        size, depth = blocks[-1].makes[0] if match["conv"] else 1, len(bias)
    return tuple(blocks)


# Both

def _checked(path: Path, name: str, shapes: Shapes | tuple[int, int], binary: bool, last: bool,
             weights: Array, bias: Array, norm: Mapping[str, Array]) -> Block:
    """Unpack the bits of the weights, and hold every array to the shapes."""
    if isinstance(shapes, Shapes):
        if min(shapes.size, shapes.depth, *shapes.conv[:2], *shapes.pool[:2]) < 1 or (
                shapes.made < 1):
            raise Refusal(f"Block {quoted(name)} of '{path}' must have windows that fit its "
                          f"pictures of {shapes.size} x {shapes.size} pixels, not {shapes.conv} "
                          f"and {shapes.pool} (kernel, stride, pad)")
        outputs, area = shapes.filters, shapes.conv[0] ** 2
        rows, length = (outputs * shapes.depth, area) if binary else (outputs,
                                                                      area * shapes.depth)
    else:
        length, outputs = shapes
        rows = outputs
    size = rows * -(-length // 8)
    if weights.shape != (size,) or not size:
        raise Refusal(f"Block {quoted(name)} of '{path}' must have {size} bytes of weights for "
                      f"its shapes, not {weights.size}")
    if (weights < 0).any() or (weights > 255).any() or (weights % 1 != 0).any():
        raise Refusal(f"Block {quoted(name)} of '{path}' must have weights in bytes of 0 to 255")
    for key, values in {"bias": bias, **norm}.items():
        if values.shape != (outputs,) or not np.isfinite(values).all():
            raise Refusal(f"Block {quoted(name)} of '{path}' must have {outputs} finite numbers "
                          f"as its {key}, one for each output")
    if (norm["std"] <= 0).any():
        raise Refusal(f"Block {quoted(name)} of '{path}' must have positive deviations (std), not "
                      f"{norm['std'].min():g}")
    bits = np.unpackbits(weights.astype(np.uint8).reshape(rows, -1), axis=1, count=length)
    signs = 2 * bits.astype(np.int64) - 1
    if isinstance(shapes, Shapes):
        kernel = shapes.conv[0]
        signs = signs.reshape(outputs, shapes.depth, kernel, kernel).transpose(0, 2, 3, 1)
    else:
        signs = signs.reshape(outputs, length)
    return Block(name, shapes, binary, last, signs, bias, norm)

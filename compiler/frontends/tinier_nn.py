"""The text of tinier-nn, ``model.def``: dense layers whose weights, inputs and outputs are bits.

``bnn``, then for each layer a line ``inputs,outputs`` and a row of digits for each output, one for
each input, then ``0,0``. A 1 stands for +1, a 0 for -1. An output is +1 where its sum is more than
0, else -1: a tie is -1. Both numbers are multiples of 32, since the program packs 32 digits to a
word, the first in its highest bit. It prints the words of the answer from the lowest bit on, so
its last output comes first.

Source: https://github.com/codekansas/tinier-nn, ``eval/model.h`` and ``eval/matrix.h``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends.refusal import Refusal, quoted
from compiler.ir import Binary, Dense, Graph, Input, Node, TensorType, Threshold


__all__ = ["LEVELS", "WORD_BITS", "graph_of", "read", "recognise", "text_of"]

Array = np.ndarray[Any, Any]

MAGIC = b"bnn"
SIZES = re.compile(rb"\s*(\d{1,9}),(\d{1,9})")
NEWLINES = b"\r\n"     # may be anywhere between digits
WORD_BITS = 32         # of which a layer has whole words
LEVELS = 1, 2          # "sum > 0": sums of an even number of -1 and +1 are even
SIZE_LIMIT = 1 << 26   # bytes in a file


def recognise(path: Path) -> bool:
    """Whether a file begins as the format does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(path: Path, input_type: TensorType | None = None) -> Graph:
    """Read a network that takes bits (inputs,) and makes bits (outputs,), input 0 the first.

    Raises `Refusal` for what is not of the format, and for another input type.
    """
    if input_type not in (None, Binary()):
        raise Refusal(f"File '{path}' has a network that reads bits, and its input type must be "
                      f"binary, not {input_type}")
    size = path.stat().st_size
    if size > SIZE_LIMIT:
        raise Refusal(f"File '{path}' must have at most {SIZE_LIMIT} bytes, not {size}")
    return graph_of(_layers(path.read_bytes(), path), path.stem)


def graph_of(layers: Sequence[Array], name: str) -> Graph:
    """Return the network of ``layers``, weights (outputs, inputs) of -1 and +1."""
    nodes: list[Node] = [Input(name="bits", shape=(layers[0].shape[1],), type=Binary())]
    for at, weights in enumerate(layers):
        nodes += [
            Dense(name=f"sums{at}", inputs=(nodes[-1].name,), weights=weights, bits=1),
            Threshold(name=f"bits{at}", inputs=(f"sums{at}",), levels=np.array([LEVELS[:1]])),
        ]
    return Graph(tuple(nodes), name, {"source": "tinier-nn", "votes": True})


def text_of(layers: Sequence[Array]) -> bytes:
    """Return the file of ``layers``, weights (outputs, inputs) of -1 and +1, as the program of
    the format writes it: without a newline at its end."""
    lines = [MAGIC]
    for weights in layers:
        outputs, inputs = weights.shape
        lines.append(f"{inputs},{outputs}".encode())
        lines += [row.tobytes() for row in np.where(weights > 0, b"1", b"0")]
    return b"\n".join([*lines, b"0,0"])


def _layers(raw: bytes, path: Path) -> list[Array]:
    """Return the weights of each layer, (outputs, inputs) of -1 and +1."""
    layers: list[Array] = []
    at = len(MAGIC)
    while True:
        where = f"File '{path}': layer {len(layers)}"
        size = SIZES.match(raw, at)
        if size is None:
            raise Refusal(f"{where} must begin with its numbers of inputs and outputs, such as "
                          f"32,64, or be the end, 0,0, not {_seen(raw, at)}")
        at = size.end()
        inputs, outputs = int(size[1]), int(size[2])
        if inputs == outputs == 0:
            break
        if not inputs or not outputs or inputs % WORD_BITS or outputs % WORD_BITS:
            raise Refusal(f"{where} must have inputs and outputs in multiples of {WORD_BITS}, "
                          f"not {inputs} and {outputs}")
        if layers and inputs != len(layers[-1]):
            raise Refusal(f"{where} must have the {len(layers[-1])} outputs of the layer before "
                          f"as its inputs, not {inputs}")
        found, at = _digits(raw, at, inputs * outputs)
        if wrong := found.translate(None, b"01"):
            good = found.index(wrong[:1])
            raise Refusal(f"{where} must have {inputs * outputs} weights of 0 or 1, "
                          f"not {_text(wrong[:1])} behind {good} of them")
        if len(found) < inputs * outputs:
            raise Refusal(f"{where} must have {inputs * outputs} weights, not {len(found)}")
        if raw[at:at + 1] == b",":
            raise Refusal(f"{where} must have {inputs * outputs} weights ahead of the next "
                          f"sizes, not fewer")
        weights = np.where(np.frombuffer(found, np.uint8) == ord("1"), 1, -1)
        layers.append(weights.reshape(outputs, inputs))
    if not layers:
        raise Refusal(f"File '{path}' must have at least one layer, not none")
    if raw[at:].strip():
        raise Refusal(f"File '{path}' must end with 0,0, not go on with {_seen(raw, at)}")
    return layers


def _digits(raw: bytes, at: int, count: int) -> tuple[bytes, int]:
    """Return ``count`` octets from ``at`` on, newlines left out, and where they end; fewer where
    the file ends."""
    found = b""
    while len(found) < count and at < len(raw):
        part = raw[at:at + count - len(found)]
        found += part.translate(None, NEWLINES)
        at += len(part)
    return found, at


def _seen(raw: bytes, at: int) -> str:
    return _text(raw[at:].lstrip()[:100].split(b"\n")[0])


def _text(octets: bytes) -> str:
    return quoted(octets.decode("ascii", "backslashreplace"))

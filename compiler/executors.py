"""What can run a network, by name, and whether they all do the same.

The simulators lie above the compiler, so they are found by name when they are asked for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from compiler import golden
from compiler.errors import UserError
from compiler.ir import Flatten, Graph
from compiler.minifloats import has_minifloats, split_minifloats
from compiler.stages import split


__all__ = ["EXECUTORS", "Executor", "Golden", "Mismatch", "classes_of", "compare", "executor",
           "known", "layers_of", "votes"]

Array = np.ndarray[Any, Any]

EXECUTORS: Mapping[str, str] = {
    "golden": "compiler.executors:Golden",
    "c":      "sim.native:Native",
    "rtl":    "sim.rtl:Rtl",
}


class Executor(Protocol):
    """Runs one network, of integers or of minifloats."""

    def run(self, x: Array) -> Array:
        """Return what `golden.run` returns for the batch ``x``, (frames, ...)."""

    def trace(self, x: Array) -> Mapping[str, Array | None]:
        """Return the tensor that every layer of the device leaves, (frames, ...), by name.

        None stands for a tensor that the executor never holds, or not to the end of a frame.
        """


def layers_of(graph: Graph) -> list[str]:
    """Return the tensors that the layers of a network leave, by name."""
    if has_minifloats(graph):
        return [node.name for node in split_minifloats(graph).body
                if not isinstance(node, Flatten)]
    return [step.output for step in split(graph).body]


class Golden:
    """The golden model, which the others are held to."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers = layers_of(graph)

    def run(self, x: Array) -> Array:
        return golden.run(self.graph, x)

    def trace(self, x: Array) -> dict[str, Array]:
        tensors = {node.name: values for node, values in golden.trace(self.graph, x)}
        return {name: tensors[name] for name in self.layers}


@dataclass(frozen=True)
class Mismatch:
    """The first value in which an executor and the golden model differ."""

    executor: str
    sample: int
    layer: str
    channel: int
    y: int
    x: int
    found: int | float
    expected: int | float

    def __str__(self) -> str:
        return (f"{self.executor}: sample {self.sample}, layer '{self.layer}', "
                f"channel {self.channel}, y {self.y}, x {self.x}: "
                f"{self.found}, not {self.expected}")


def known(names: str) -> list[str]:
    """Split a list such as ``c,rtl``. Raises UserError for a name that is not in `EXECUTORS`."""
    found = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in found:
        if name not in EXECUTORS:
            raise UserError(f"Executor must be one of {', '.join(EXECUTORS)}, not {name!r}")
    return found


def executor(name: str, graph: Graph) -> Executor:
    """Return the executor ``name`` with an integer graph in it."""
    name, = known(name)
    return pkgutil.resolve_name(EXECUTORS[name])(graph)


def compare(name: str, made: Mapping[str, Array | None], expected: Mapping[str, Array],
            first: int = 0) -> Mismatch | None:
    """Return the first mismatch, in the order of layers, then samples; None where all agree.

    Tensors are (frames, channels) or (frames, height, width, channels); ``first`` is the number
    of the first frame. What is None is not compared. A layer that is missing counts as a bug, and
    raises KeyError.
    """
    for layer, right in expected.items():
        if (found := made[layer]) is None:
            continue
        values = np.asarray(found).reshape(right.shape)
        if not (wrong := values != right).any():
            continue
        at = tuple(int(index) for index in np.argwhere(wrong)[0])
        sample, *place, channel = at if len(at) > 1 else (*at, 0)
        y, x = place if len(place) == 2 else (0, 0)
        return Mismatch(name, first + sample, layer, channel, y, x, values[at].item(),
                        right[at].item())
    return None


def batches(x: Array, size: int) -> Iterator[tuple[int, Array]]:
    """Yield parts of at most ``size`` frames, each with the number of its first."""
    for at in range(0, len(x), size):
        yield at, x[at:at + size]


def classes_of(answers: Array | Sequence[int], voted: bool = False) -> Array:
    """Return the class of each answer: the answer itself, or its highest channel; where channels
    of -1 and +1 have ``voted``, 1 where most are +1, else 0."""
    values = np.asarray(answers)
    if values.ndim == 1:
        return values
    channels = values.reshape(len(values), -1)
    return (channels.sum(1) > 0).astype(np.int64) if voted else channels.argmax(1)


def votes(graph: Graph) -> bool:
    """Whether the outputs of a network vote, as those of tinier-nn's demo do."""
    return bool(graph.meta.get("votes"))

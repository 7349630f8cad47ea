"""What a command works on: a network by file or name, and inputs for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler import models
from compiler.datasets import DataError, Dataset
from compiler.datasets import load as load_data
from compiler.frontends import load
from compiler.ir import Binary, Fixed, Graph, Input, Quant, Requantize, Threshold, value_range
from compiler.minifloats import has_minifloats
from compiler.passes import to_integer
from compiler.passes.minifloats import to_minifloats
from compiler.picture_folders import is_picture_folder, read_picture_folder
from compiler.pictures import is_picture, read_picture


__all__ = ["Workload", "inputs_of", "open_workload"]

Array = np.ndarray[Any, Any]

CALIBRATION = 500      # inputs from which a network without quantizers learns its precisions
PIXEL = 0, 255         # of random inputs where the network does not say
SEED = 2016            # of random inputs


@dataclass(frozen=True)
class Workload:
    """A network of integers or of minifloats, and where its inputs come from."""

    name: str
    graph: Graph
    data: str | None   # as `inputs_of` reads it

    def samples(self, count: int | None) -> Dataset:
        """Return the first ``count`` inputs, or all: of the data, or random where there are none.
        """
        if self.data is None:
            return random_inputs(self.graph.input, 1 if count is None else count)
        return inputs_of(self.graph, self.data, count)


def open_workload(model: str | None, data: str | None = None,
                  input_type: str | None = None) -> Workload:
    """Read a model and make it integer, unless it is one of minifloats.

    Parameters
    ----------
    model
        A file or folder, or the name of a network of `compiler.models`; the default one for None.
    data
        What `inputs_of` reads. A network that came by name has its own.
    input_type
        As `compiler.frontends.load` takes it.

    Raises a UserError for a model or data that cannot be used.
    """
    path, own = find(model)
    data = data or own
    graph = load(path, input_type=input_type)
    if has_minifloats(graph):
        return Workload(graph.name, to_minifloats(graph), data)
    calibration = None
    if data is not None and wants_calibration(graph):
        calibration = inputs_of(graph, data, CALIBRATION, split="train").x
    return Workload(graph.name, to_integer(graph, calibration), data)


def inputs_of(graph: Graph, data: str, count: int | None = None, *,
              split: str = "test") -> Dataset:
    """Return the first ``count`` inputs, or all, as the network takes them: of a picture, of a
    folder of pictures for each class, or of what `compiler.datasets.load` reads. Their classes are
    those of the network, where it names them."""
    node, meta = graph.input, graph.meta
    if is_picture(data):
        return Dataset(read_picture(data, node, meta), None, tuple(meta.get("classes", ())),
                       Path(data).name)
    if is_picture_folder(data):
        return read_picture_folder(data, node, meta, count)
    found = load_data(data, split=split)
    x = found.shaped(node.shape)[:count]
    if isinstance(node.type, Binary) and (wrong := x[np.abs(x) != 1]).size:
        raise DataError(f"Inputs of '{found.name}' must be -1 and +1, as the network reads bits, "
                        f"not {wrong[0]}; 2 * x - 1 makes them of 0 and 1")
    labels = None if found.labels is None else found.labels[:count]
    return Dataset(x, labels, tuple(meta.get("classes", found.classes)), found.name)


def find(model: str | None) -> tuple[Path, str | None]:
    """Return the path of a model, and its own data if it came by name."""
    if model is None or (model in models.names() and not Path(model).exists()):
        name = model or models.DEFAULT
        own = models.held_back(name)
        return models.network(name), None if own is None else str(own)
    return Path(model), None


def wants_calibration(graph: Graph) -> bool:
    """Whether the network leaves its precisions to us: it has no quantizer."""
    return not any(isinstance(node, Quant | Requantize | Threshold) for node in graph.nodes)


def random_inputs(node: Input, count: int) -> Dataset:
    """Return inputs of the network's type, without labels; the same ones every time."""
    chance = np.random.default_rng(SEED)
    shape = count, *node.shape
    match node.type:
        case Binary():
            x = chance.choice(np.array([-1, 1]), shape)
        case Fixed():
            low, high = value_range(node.type)
            x = chance.integers(low, high, shape, endpoint=True)
        case _:
            x = chance.integers(*PIXEL, shape, endpoint=True)
    return Dataset(x, None, (), "random inputs")

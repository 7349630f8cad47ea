"""How many answers of a network are right, as far as that is soon known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.executors import Golden, batches, classes_of, votes
from compiler.ir import Graph
from compiler.stages import split
from compiler.workload import Workload


__all__ = ["Accuracy", "measure", "products"]

MOST_PRODUCTS = 3e10  # of the samples together: some ten seconds
BATCH = 64            # frames at once


@dataclass(frozen=True)
class Accuracy:
    """What came of running the golden model, which all else agrees with to the bit."""

    data: str
    samples: int  # the first of the data
    given: int    # inputs in the data
    correct: int


def measure(work: Workload) -> Accuracy | None:
    """Run the first inputs, or all where that is soon done. None where the data has no labels.

    Raises a UserError for data that cannot be used.
    """
    if work.data is None:
        return None
    data = work.samples(None)
    if data.labels is None:
        return None
    most = max(int(MOST_PRODUCTS // products(work.graph)), 1)
    x, labels = data.x[:most], data.labels[:most]
    golden = Golden(work.graph)
    answers = np.concatenate([golden.run(part) for _, part in batches(x, BATCH)])
    found = classes_of(answers, votes(work.graph))
    return Accuracy(data.name, len(x), len(data), int((found == labels).sum()))


def products(graph: Graph) -> int:
    """Return how many products the layers of an integer graph sum in a frame."""
    return sum(math.prod(layer.output_shape) * layer.sums.fan_in for layer in split(graph).layers)

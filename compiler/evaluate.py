"""How often a network is right: the generated C over a whole data set, side by side."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from compiler.cluster import results
from compiler.datasets import DataError
from compiler.executors import Executor, classes_of, executor, votes
from compiler.progress import Count, uncounted
from compiler.workload import Workload, random_inputs


if TYPE_CHECKING:
    from distributed import Client


__all__ = ["Evaluation", "evaluate"]

Array = np.ndarray[Any, Any]

OCTETS = 1 << 20  # of inputs in a job
FRAMES = 256      # in a job, at most
MOST_CLASSES = 4096
PREPARING = Lock()


@dataclass(frozen=True)
class Evaluation:
    """The answers of a network beside the labels.

    ``confusion`` is (classes, classes): how many inputs of the class of its row were taken for
    the class of its column.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    confusion: Array

    @property
    def samples(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """Share of the inputs that were classified right."""
        return self.correct / self.samples

    def facts(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"model": self.model, "data": self.data, "samples": self.samples,
                "correct": self.correct, "accuracy": self.accuracy,
                "classes": list(self.classes), "confusion": self.confusion.tolist()}


def evaluate(work: Workload, client: Client, samples: int | None = None,
             count: Count = uncounted) -> Evaluation:
    """Run the C of a network on the first ``samples`` inputs of its data, or on all.

    Every worker compiles the C for itself. Raises DataError for data without labels, and what the
    executor raises.
    """
    data = work.samples(samples)
    if data.labels is None:
        raise DataError(f"Data must have labels, such as an .npz file with x and y, or a folder of "
                        f"pictures for each class; {data.name} has none")
    size = max(1, min(FRAMES, OCTETS // max(1, data.x[0].nbytes)))
    parts = [data.x[at:at + size] for at in range(0, len(data), size)]
    network = client.scatter(pickle.dumps(work.graph), broadcast=True, hash=False)
    found = np.empty(len(data), np.int64)
    done = 0
    with count(f"{len(data)} inputs of {data.name}", len(data)) as tell:
        for number, classes in results(client, classify, ((network, part) for part in parts)):
            found[number * size:][:len(classes)] = classes
            done += len(classes)
            tell(done)
    return Evaluation(work.name, data.name, *confuse(data.labels, found, data.classes))


def classify(network: bytes, x: Array) -> Array:
    """Return the classes of a batch, by the C of a pickled graph."""
    with PREPARING:
        made, voted = prepared(network)
    return classes_of(made.run(x), voted)


@lru_cache(maxsize=1)
def prepared(network: bytes) -> tuple[Executor, bool]:
    """Return the executor of a pickled graph, and whether its outputs vote.

    It is compiled, since what runs it later may be many threads.
    """
    graph = pickle.loads(network)
    made = executor("c", graph)
    made.run(random_inputs(graph.input, 1).x)
    return made, votes(graph)


def confuse(labels: Array, found: Array, names: tuple[str, ...]) -> tuple[tuple[str, ...], Array]:
    """Return the names of classes, numbers where there are no names, and the confusion matrix."""
    for value in (found.min(), found.max(), labels.max()):
        if not 0 <= value < MOST_CLASSES:
            raise DataError(f"Labels and answers must be classes between 0 and {MOST_CLASSES - 1}, "
                            f"not {value}")
    count = max(len(names), int(labels.max()) + 1, int(found.max()) + 1)
    matrix = np.bincount(labels * count + found, minlength=count * count).reshape(count, count)
    return tuple(named(names, count)), matrix


def named(names: tuple[str, ...], count: int) -> Iterator[str]:
    """Yield ``count`` names; a class without one is called by its number."""
    for number in range(count):
        yield names[number] if number < len(names) else str(number)

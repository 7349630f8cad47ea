"""Holds executors to the golden model, in every layer and every answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.datasets import Dataset
from compiler.executors import (
    Executor,
    Golden,
    Mismatch,
    batches,
    classes_of,
    compare,
    executor,
    known,
    votes,
)
from compiler.ir import Graph
from compiler.progress import Step, quiet
from compiler.workload import Workload


__all__ = ["Verdict", "verify"]

Array = np.ndarray[Any, Any]

BATCH = 256      # frames whose tensors are held at once
ANSWER = "answer"  # the name under which what `run` returns is compared


@dataclass(frozen=True)
class Verdict:
    """What came of holding executors to the golden model."""

    samples: int
    data: str
    layers: tuple[str, ...]
    mismatches: Mapping[str, Mismatch | None]  # by executor; None where all agrees
    correct: Mapping[str, int]                 # answers that are the label; none without labels

    @property
    def agree(self) -> bool:
        return not any(self.mismatches.values())

    def lines(self) -> Iterator[str]:
        """Tell it, one fact a line."""
        yield f"{self.samples} samples of {self.data}, layers {', '.join(self.layers)}"
        for name, mismatch in self.mismatches.items():
            yield f"mismatch on {mismatch}" if mismatch else f"{name}: every layer agrees"
        for name, correct in self.correct.items():
            yield f"accuracy {name}: {100 * correct / self.samples:.2f} %"


def verify(work: Workload, names: str, samples: int | None, progress: Step = quiet) -> Verdict:
    """Run up to ``samples`` inputs on the executors ``names`` (such as ``c,rtl``), and compare.

    An executor is left at the batch of its first mismatch. Raises what executors raise.
    """
    chosen = known(names)
    data = work.samples(samples)
    reference = Golden(work.graph)
    with progress(f"golden: {len(data)} samples"):
        right = np.concatenate([reference.run(x) for _, x in batches(data.x, BATCH)])
    mismatches: dict[str, Mismatch | None] = {}
    answers = {"golden": right}
    for name in chosen:
        with progress(f"preparing {name}"):
            made = executor(name, work.graph)
        with progress(f"{name}: {len(data)} samples"):
            mismatches[name], answers[name] = hold(name, made, reference, data.x, right)
    return Verdict(len(data), data.name, tuple(reference.layers), mismatches,
                   correct_answers(data, answers, work.graph))


def hold(name: str, made: Executor, reference: Golden, x: Array,
         right: Array) -> tuple[Mismatch | None, Array]:
    """Return the first mismatch, and the answers up to its batch."""
    answers = []
    for first, part in batches(x, BATCH):
        expected = reference.trace(part) | {ANSWER: right[first:first + len(part)]}
        answers.append(made.run(part))
        found = {**made.trace(part), ANSWER: answers[-1]}
        if mismatch := compare(name, found, expected, first):
            return mismatch, np.concatenate(answers)
    return None, np.concatenate(answers)


def correct_answers(data: Dataset, answers: Mapping[str, Array], graph: Graph) -> dict[str, int]:
    """Count right answers of the executors that gave an answer for every sample."""
    if data.labels is None:
        return {}
    return {name: int((classes_of(found, votes(graph)) == data.labels).sum())
            for name, found in answers.items() if len(found) == len(data)}

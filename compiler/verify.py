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
)
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
    made: dict[str, Executor] = {}
    for name in chosen:
        with progress(f"preparing {name}"):
            made[name] = executor(name, work.graph)
    mismatches: dict[str, Mismatch | None] = dict.fromkeys(chosen)
    answers: dict[str, list[Array]] = {name: [] for name in ("golden", *chosen)}
    for first, x in batches(data.x, BATCH):
        expected = reference.trace(x) | {ANSWER: reference.run(x)}
        answers["golden"].append(expected[ANSWER])
        for name in chosen:
            if name == "golden" or mismatches[name]:
                continue
            with progress(f"{name}: samples {first} to {first + len(x) - 1}"):
                found = made[name].trace(x) | {ANSWER: made[name].run(x)}
            mismatches[name] = compare(name, found, expected, first)
            answers[name].append(found[ANSWER])
    return Verdict(len(data), data.name, tuple(reference.layers), mismatches,
                   correct_answers(data, answers))


def correct_answers(data: Dataset, answers: Mapping[str, list[Array]]) -> dict[str, int]:
    """Count right answers of the executors that gave an answer for every sample."""
    if data.labels is None:
        return {}
    found = {name: classes_of(np.concatenate(parts)) for name, parts in answers.items() if parts}
    return {name: int((classes == data.labels).sum()) for name, classes in found.items()
            if len(classes) == len(data)}

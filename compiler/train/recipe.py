"""What is trained, and how: all that it takes to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compiler.errors import UserError


__all__ = ["TASKS", "Recipe", "Task", "TrainError", "make_recipe"]


class TrainError(UserError):
    """A recipe that cannot be followed."""


@dataclass(frozen=True)
class Task:
    """A data set, and what suits it."""

    data: str | None         # what `compiler.datasets.load` reads; None: the user must say
    input_bits: int          # of a pixel, unsigned
    side: int                # pixels along each side of a picture
    hidden: tuple[int, ...]
    epochs: int


TASKS: Mapping[str, Task] = {
    "digits": Task("digits", input_bits=5, side=8, hidden=(256, 256), epochs=120),
    "mnist":  Task(None, input_bits=8, side=28, hidden=(512, 512, 512), epochs=30),
}


@dataclass(frozen=True)
class Recipe:
    """One training. The same recipe with the same versions gives the same network."""

    task: str
    data: str
    hidden: tuple[int, ...]
    epochs: int
    seed: int
    batch: int = 64
    rate: float = 0.01          # of Adam at its highest; it rises and falls over the epochs
    weight_bits: int = 8        # of the first and the last layer; those between have 1
    shift: int = 1              # pixels by which pictures are moved at random

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"hidden": list(self.hidden)}

    def command(self, out: str) -> str:
        """Return the command that follows this recipe."""
        data = "" if self.data == self.task else f" --data {self.data}"
        hidden = " ".join(f"--hidden {width}" for width in self.hidden)
        return (f"python -m compiler train --task {self.task}{data} {hidden} "
                f"--epochs {self.epochs} --seed {self.seed} --out {out}")


def make_recipe(task: str, data: str | None, hidden: tuple[int, ...] | None, epochs: int | None,
                seed: int) -> Recipe:
    """Fill in what suits the task. Raises TrainError for what cannot be."""
    if task not in TASKS:
        raise TrainError(f"Task must be one of {', '.join(TASKS)}, not {task!r}")
    known = TASKS[task]
    data = known.data if data is None else data
    if data is None:
        raise TrainError(f"Task {task!r} must have --data, the folder of its files, not none")
    hidden = known.hidden if hidden is None else tuple(hidden)
    epochs = known.epochs if epochs is None else epochs
    if not hidden or min(hidden) < 1:
        raise TrainError(f"Hidden layers must be one or more of at least 1 neuron, not {hidden}")
    if epochs < 1:
        raise TrainError(f"Epochs must be at least 1, not {epochs}")
    return Recipe(task, data, hidden, epochs, seed)

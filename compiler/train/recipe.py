"""What is trained, and how: all that it takes to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compiler.frontends.tinier_nn import WORD_BITS
from compiler.train.layers import TrainError, read_forms, weight_shapes


__all__ = ["TASKS", "Pictures", "Recipe", "Task", "make_recipe"]

WEIGHT_BITS = 8  # of the first and the last layer, but in networks of bits alone


@dataclass(frozen=True)
class Pictures:
    """What a data set must hold."""

    data: str | None             # what `compiler.datasets.load` reads; None: the user must say
    shape: tuple[int, int, int]  # height, width, channels
    bits: int                    # of a pixel, unsigned; 1: -1 and +1
    white: int                   # the highest value of a pixel

    @property
    def binary(self) -> bool:
        """Whether the network is of bits alone, in tinier-nn's format, and its outputs vote."""
        return self.bits == 1

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest value of a pixel."""
        return (-1, 1) if self.binary else (0, (1 << self.bits) - 1)


DIGITS = Pictures("digits", (8, 8, 1), bits=5, white=16)
MNIST = Pictures(None, (28, 28, 1), bits=8, white=255)
CIFAR10 = Pictures(None, (32, 32, 3), bits=8, white=255)
XOR = Pictures("xor", (1, 1, 32), bits=1, white=1)


@dataclass(frozen=True)
class Task:
    """Pictures, and what suits them."""

    pictures: Pictures
    layers: str           # all but the last, as `compiler.train.layers.read_forms` reads them
    epochs: int
    rate: float = 0.01    # of Adam at its highest; it rises and falls over the epochs
    shift: int = 1        # pixels by which pictures are moved at random
    mirror: bool = False  # turn every other picture, by chance, left to right
    ebnn: bool = False    # blocks as eBNN has them; see Recipe

    @property
    def suffix(self) -> str:
        """Of the file that the network is written to."""
        return ".def" if self.pictures.binary else ".onnx"


# The network for CIFAR-10 has the layers of CNV (Y. Umuroglu et al., "FINN: A Framework for Fast,
# Scalable Binarized Neural Network Inference", 2017, https://arxiv.org/abs/1612.07119); that of
# ebnn has two blocks of B. McDanel et al., "Embedded Binarized Neural Networks" (2017),
# https://arxiv.org/abs/1709.02260.
TASKS: Mapping[str, Task] = {
    "digits":      Task(DIGITS, "256-256", epochs=120),
    "digits-conv": Task(DIGITS, "32C3-32C3-P2-128", epochs=120),
    "mnist":       Task(MNIST, "512-512-512", epochs=30),
    "mnist-conv":  Task(MNIST, "32C3-P2-64C3-P2-256", epochs=10),
    "ebnn":        Task(MNIST, "32C3-P3S2-32C3-P3S2", epochs=10, ebnn=True),
    "cifar10":     Task(CIFAR10, "64C3-64C3-P2-128C3-128C3-P2-256C3-256C3-512-512", epochs=100,
                        shift=4, mirror=True),
    "xor":         Task(XOR, "64-64", epochs=500, shift=0),
}


@dataclass(frozen=True)
class Recipe:
    """One training. The same recipe gives the same network, with the same versions on the same
    kind of processor."""

    task: str
    data: str
    layers: str
    epochs: int
    seed: int
    rate: float
    shift: int
    mirror: bool
    batch: int = 64
    weight_bits: int = WEIGHT_BITS  # of the first and the last layer; those between have 1
    ebnn: bool = False    # pools are ahead of BatchNorm, which is behind the last layer, too

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def command(self, out: str) -> str:
        """Return the command that follows this recipe."""
        data = "" if self.data == TASKS[self.task].pictures.data else f" --data {self.data}"
        return (f"python -m compiler train --task {self.task}{data} --layers {self.layers} "
                f"--epochs {self.epochs} --seed {self.seed} --out {out}")


def make_recipe(task: str, data: str | None, layers: str | None, epochs: int | None,
                seed: int) -> Recipe:
    """Fill in what suits the task. Raises TrainError for what cannot be."""
    if task not in TASKS:
        raise TrainError(f"Task must be one of {', '.join(TASKS)}, not {task!r}")
    known = TASKS[task]
    data = known.pictures.data if data is None else data
    if data is None:
        raise TrainError(f"Task {task!r} must have --data, the folder of its files, not none")
    layers = known.layers if layers is None else layers
    epochs = known.epochs if epochs is None else epochs
    forms = read_forms(layers)
    weight_shapes(forms, known.pictures.shape)
    if known.pictures.binary:
        if data != known.pictures.data:
            raise TrainError(f"Task {task!r} must have its own inputs, not --data {data}")
        if any(form.kernel or form.outputs % WORD_BITS for form in forms):
            raise TrainError(f"Layers of task {task!r} must be dense, with neurons in multiples "
                             f"of {WORD_BITS}, not {layers!r}")
    if epochs < 1:
        raise TrainError(f"Epochs must be at least 1, not {epochs}")
    return Recipe(task, data, layers, epochs, seed, known.rate, known.shift, known.mirror,
                  weight_bits=1 if known.pictures.binary or known.ebnn else WEIGHT_BITS,
                  ebnn=known.ebnn)

"""What the names in an ONNX graph stand for while it is read: constants and tensors."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


__all__ = ["Clipped", "Constant", "Operand", "Padded", "Tensor", "Truth", "apply"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the input; float64 or int64.

    Where it came out of a quantizer of ``bits`` bits, its elements are integer multiples of
    ``step``, which has as many axes as the values, or none.
    """

    values: Array
    step: Array | None = None
    bits: int = 0

    @property
    def integers(self) -> Array:
        assert self.step is not None
        return np.rint(self.values / self.step).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that depends on the input: the one that node ``name`` of our graph makes.

    ONNX has axes in other orders than our channels-last graph, and reshapes them at will. All of
    that happens in ``index``: an array of the shape that ONNX knows, without the batch axis, that
    tells where in our tensor, flattened, each element is.
    """

    name: str
    index: Array

    @property
    def features(self) -> int:
        return int(self.index.size)

    @property
    def in_order(self) -> bool:
        """Whether our graph has the elements in the same order."""
        return bool((self.index.reshape(-1) == np.arange(self.index.size)).all())


@dataclass(frozen=True, eq=False)
class Truth(Tensor):
    """A comparison: true where our tensor, of -1 and +1, is ``when``."""

    when: int = 1


@dataclass(frozen=True, eq=False)
class Clipped(Tensor):
    """Our tensor cut to ``low`` .. ``high``, for readers that cannot tell."""

    low: float = 0.0
    high: float = 0.0

    def hides(self, levels: Array) -> bool:
        """Whether comparing ``x >= level`` after the cut differs from comparing before it."""
        return bool((levels <= self.low).any() or (levels > self.high).any())


@dataclass(frozen=True, eq=False)
class Padded(Tensor):
    """Our tensor, a picture, in a border of zeros for a reader that can make one itself."""

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right


Operand = Constant | Tensor


def apply(function: Callable[[Array], Array], operand: Operand, batch: int) -> Operand:
    """Apply a function that only moves elements, such as a transposition.

    Raises ValueError where the function does, and where a tensor of ``batch`` samples would
    not keep them apart along the first axis.
    """
    if isinstance(operand, Constant):
        values = function(operand.values)
        if operand.step is None or operand.step.ndim == 0:
            return Constant(values, operand.step, operand.bits)
        step = function(np.broadcast_to(operand.step, operand.values.shape))
        return Constant(values, step, operand.bits)
    size = operand.features
    offsets = np.arange(batch).reshape(-1, *[1] * operand.index.ndim) * size
    moved = function(operand.index[None] + offsets)
    if moved.ndim == 0 or len(moved) != batch or math.prod(moved.shape) != batch * size:
        raise ValueError("a result without the batch axis")
    starts = moved - np.arange(batch).reshape(-1, *[1] * (moved.ndim - 1)) * size
    if (starts != starts[0]).any() or starts.min() < 0 or starts.max() >= size:
        raise ValueError("a result that mixes samples")
    return replace(operand, index=starts[0])

"""A trained layer, as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


__all__ = ["EPSILON", "Layer"]

Array = np.ndarray[Any, Any]

EPSILON = 1e-5  # added to variances


@dataclass(frozen=True)
class Layer:
    """A dense layer, and the BatchNorm ahead of its sign; the last layer has neither."""

    weights: Array                 # (outputs, inputs), multiples of scale
    bits: int
    scale: float
    norm: dict[str, Array] | None  # gamma, beta, mean, variance

"""A network of bits alone in PyTorch, such as tinier-nn trains: no BatchNorm, and a tie is -1.

Gradients pass straight through signs as in `compiler.train.network`, here of sums that are divided
by the square root of their number of products, since nothing else normalizes them. The loss is the
squared hinge of all outputs, as M. Courbariaux et al. have it, "Binarized Neural Networks" (2016),
https://arxiv.org/abs/1602.02830.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from compiler.train.layers import Form, weight_shapes
from compiler.train.network import start


__all__ = ["BitNetwork"]

Array = np.ndarray[Any, Any]
Tensor = Any


class BitNetwork:
    """Dense layers of ``forms`` on inputs of ``shape``, -1 and +1, whose outputs vote: all of them
    are to be +1 for class 1, and -1 for class 0."""

    def __init__(self, forms: Sequence[Form], shape: tuple[int, int, int]) -> None:
        self.weights = [start(sizes) for sizes in weight_shapes(tuple(forms), shape)]

    def parameters(self) -> list[Tensor]:
        """What the optimizer changes."""
        return self.weights

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """Return the scaled sums (batch, outputs) whose signs are the answer."""
        x = x.flatten(1)
        for weights in self.weights[:-1]:
            x = _sign(_sums(x, weights))
        return _sums(x, self.weights[-1])

    def loss(self, sums: Tensor, labels: Tensor) -> Tensor:
        """How far `forward` is from what it should be, for classes 0 and 1."""
        wanted = 2 * labels[:, None] - 1
        return (1 - wanted * sums).clamp(min=0).square().mean()

    def clip(self) -> None:
        """Keep the real weights where their gradients pass."""
        with torch.no_grad():
            for weights in self.weights:
                weights.clamp_(-1, 1)

    def layers(self) -> list[Array]:
        """Return the weights (outputs, inputs) of -1 and +1."""
        return [_sign(weights).detach().numpy().astype(np.int64) for weights in self.weights]


def _sums(x: Tensor, weights: Tensor) -> Tensor:
    return x @ _sign(weights).T / math.sqrt(weights.shape[1])


def _sign(x: Tensor) -> Tensor:
    """+1 where ``x`` is more than 0, else -1; its gradient passes between -1 and +1."""
    clipped = x.clamp(-1, 1)
    return torch.where(x > 0, 1.0, -1.0) + (clipped - clipped.detach())

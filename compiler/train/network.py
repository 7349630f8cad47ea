"""A binarized dense network in PyTorch, trained with straight-through gradients.

Signs and rounding have no useful gradient; the backward pass takes it for that of the identity
between -1 and +1, and 0 outside (M. Courbariaux et al., "Binarized Neural Networks", 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from compiler.train.layers import EPSILON, Layer


__all__ = ["Network"]

Tensor = Any

MOMENTUM = 0.1  # of the running mean and variance


class Network:
    """Dense layers of ``widths``; all but the last end in BatchNorm and sign.

    The first and the last have weights of ``weight_bits``, a power of two apart; others 1 bit.
    """

    def __init__(self, widths: Sequence[int], weight_bits: int) -> None:
        self.step = 2.0 ** (1 - weight_bits)
        self.weight_bits = weight_bits
        self.weights = [self._start(inputs, outputs)
                        for inputs, outputs in zip(widths, widths[1:], strict=False)]
        self.norms = [{"gamma": torch.ones(width, requires_grad=True),
                       "beta": torch.zeros(width, requires_grad=True),
                       "mean": torch.zeros(width), "variance": torch.ones(width)}
                      for width in widths[1:-1]]

    @staticmethod
    def _start(inputs: int, outputs: int) -> Tensor:
        bound = math.sqrt(6 / (inputs + outputs))
        return ((torch.rand(outputs, inputs) * 2 - 1) * bound).requires_grad_()

    def parameters(self) -> list[Tensor]:
        """What the optimizer changes."""
        return [*self.weights, *(norm[key] for norm in self.norms for key in ("gamma", "beta"))]

    def bits_of(self, at: int) -> int:
        return self.weight_bits if at in (0, len(self.weights) - 1) else 1

    def quantized(self, at: int) -> Tensor:
        """The weights of a layer as the accelerator has them; gradients pass straight through."""
        weights = self.weights[at]
        if self.bits_of(at) == 1:
            return _sign(weights)
        limit = (1 << self.weight_bits - 1) - 1
        rounded = (weights / self.step).round().clamp(-limit, limit) * self.step
        return rounded.detach() + (weights - weights.detach())

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """Return the logits of ``x`` (batch, inputs)."""
        for at, norm in enumerate(self.norms):
            sums = x @ self.quantized(at).T
            x = _sign(F.batch_norm(sums, norm["mean"], norm["variance"], norm["gamma"],
                                   norm["beta"], training, MOMENTUM, EPSILON))
        return x @ self.quantized(len(self.norms)).T

    def clip(self) -> None:
        """Keep the real weights where their gradients pass."""
        with torch.no_grad():
            for weights in self.weights:
                weights.clamp_(-1, 1)

    def layers(self) -> list[Layer]:
        """Return what was learned, as NumPy arrays."""
        made = []
        for at in range(len(self.weights)):
            bits = self.bits_of(at)
            scale = 1.0 if bits == 1 else self.step
            weights = self.quantized(at).detach().numpy()
            norm = ({key: value.detach().numpy().copy() for key, value in self.norms[at].items()}
                    if at < len(self.norms) else None)
            made.append(Layer(weights.copy(), bits, scale, norm))
        return made


def _sign(x: Tensor) -> Tensor:
    """+1 where ``x`` is 0 or more, else -1; its gradient passes between -1 and +1."""
    clipped = x.clamp(-1, 1)
    return torch.where(x >= 0, 1.0, -1.0) + (clipped - clipped.detach())

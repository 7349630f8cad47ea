"""A binarized network in PyTorch, trained with straight-through gradients.

Signs and rounding have no useful gradient; the backward pass takes it for that of the identity
between -1 and +1, and 0 outside. The weights that learn are real numbers, kept between -1 and +1,
and become binary where they are used. BatchNorm is ahead of each sign. So do M. Courbariaux et
al., "Binarized Neural Networks" (2016), https://arxiv.org/abs/1602.02830. The first weights are as
X. Glorot and Y. Bengio have them, "Understanding the difficulty of training deep feedforward
neural networks" (2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from compiler.train.layers import EPSILON, Form, Layer, weight_shapes


__all__ = ["Network", "start"]

Tensor = Any

MOMENTUM = 0.1  # of the running mean and variance


class Network:
    """Layers of ``forms`` on pictures of ``shape``, (height, width, channels).

    All but the last end in BatchNorm and sign, and perhaps in a max-pool. The first and the last
    have weights of ``weight_bits``, a power of two apart; others 1 bit. Blocks of ``ebnn`` have
    the pool ahead of the BatchNorm, and a BatchNorm behind the last layer.
    """

    def __init__(self, forms: Sequence[Form], shape: tuple[int, int, int],
                 weight_bits: int, *, ebnn: bool = False) -> None:
        self.forms = tuple(forms)
        self.ebnn = ebnn
        self.step = 2.0 ** (1 - weight_bits)
        self.weight_bits = weight_bits
        self.weights = [start(sizes) for sizes in weight_shapes(self.forms, shape)]
        self.norms = [{"gamma": torch.ones(form.outputs, requires_grad=True),
                       "beta": torch.zeros(form.outputs, requires_grad=True),
                       "mean": torch.zeros(form.outputs), "variance": torch.ones(form.outputs)}
                      for form in self.forms[:None if ebnn else -1]]

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
        """Return the logits (batch, classes) of the pictures ``x``, (batch, height, width,
        channels)."""
        if self.forms[0].kernel is not None:
            x = x.permute(0, 3, 1, 2)
        for at, form in enumerate(self.forms[:-1]):
            x = self._sums(x, at)
            if self.ebnn:
                x = _sign(self._normed(_pooled(x, form), at, training))
            else:
                x = _pooled(_sign(self._normed(x, at, training)), form)
        last = len(self.forms) - 1
        x = self._sums(x, last)
        return self._normed(x, last, training) if self.ebnn else x

    def _sums(self, x: Tensor, at: int) -> Tensor:
        if self.forms[at].kernel is not None:
            return F.conv2d(x, self.quantized(at), stride=self.forms[at].stride)
        return x.flatten(1) @ self.quantized(at).T

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How far the logits are from the classes."""
        return F.cross_entropy(logits, labels)

    def _normed(self, x: Tensor, at: int, training: bool) -> Tensor:
        norm = self.norms[at]
        return F.batch_norm(x, norm["mean"], norm["variance"], norm["gamma"], norm["beta"],
                            training, MOMENTUM, EPSILON)

    def clip(self) -> None:
        """Keep the real weights where their gradients pass."""
        with torch.no_grad():
            for weights in self.weights:
                weights.clamp_(-1, 1)

    def layers(self) -> list[Layer]:
        """Return what was learned, as NumPy arrays."""
        made = []
        for at, form in enumerate(self.forms):
            bits = self.bits_of(at)
            scale = 1.0 if bits == 1 else self.step
            weights = self.quantized(at).detach().numpy()
            norm = ({key: value.detach().numpy().copy() for key, value in self.norms[at].items()}
                    if at < len(self.norms) else None)
            made.append(Layer(weights.copy(), bits, scale, norm, form, self.ebnn,
                              sign=at < len(self.forms) - 1))
        return made


def start(sizes: tuple[int, ...]) -> Tensor:
    """Random weights (outputs, inputs, ...), the smaller the more of them meet."""
    window = math.prod(sizes[2:])
    bound = math.sqrt(6 / (window * (sizes[1] + sizes[0])))
    return ((torch.rand(*sizes) * 2 - 1) * bound).requires_grad_()


def _pooled(x: Tensor, form: Form) -> Tensor:
    return F.max_pool2d(x, form.pool, form.hop) if form.pool > 1 else x


def _sign(x: Tensor) -> Tensor:
    """+1 where ``x`` is 0 or more, else -1; its gradient passes between -1 and +1."""
    clipped = x.clamp(-1, 1)
    return torch.where(x >= 0, 1.0, -1.0) + (clipped - clipped.detach())

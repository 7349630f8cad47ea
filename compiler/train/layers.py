"""Layers, as a recipe writes them and as they were trained."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.errors import UserError


__all__ = ["EPSILON", "Form", "Layer", "TrainError", "read_forms", "weight_shapes"]

Array = np.ndarray[Any, Any]

EPSILON = 1e-5  # added to variances

PART = re.compile(r"(?:(?P<outputs>[1-9]\d{0,4})(?:C(?P<kernel>[1-9]\d?))?|P(?P<pool>[2-9]))"
                  r"(?:S(?P<stride>[1-9]))?")


class TrainError(UserError):
    """A recipe that cannot be followed."""


@dataclass(frozen=True)
class Form:
    """A dense layer; or a convolution without a border, and the pool behind it."""

    outputs: int
    kernel: int | None = None  # pixels along each side of its window; None: dense
    stride: int = 1            # pixels from a window to the next
    pool: int = 1              # pixels along each side of the max-pool; 1: none
    hop: int = 1               # pixels from a window of the pool to the next


@dataclass(frozen=True)
class Layer:
    """A trained layer, and the BatchNorm ahead of its sign, if it has these."""

    weights: Array                 # (outputs, inputs) or (outputs, inputs, height, width),
    bits: int                      # multiples of scale
    scale: float
    norm: dict[str, Array] | None  # gamma, beta, mean, variance
    form: Form
    pooled_first: bool             # the pool is ahead of the BatchNorm, not behind the sign
    sign: bool


def read_forms(text: str) -> tuple[Form, ...]:
    """Read layers such as ``32C3-P2-256``: 32 channels by 3 x 3 pixels, a pool of 2 x 2, and a
    dense layer of 256 neurons.

    ``32C3S2`` takes every second place; so does ``P3S2``, whose windows overlap. Without S,
    convolutions take every place, and windows of a pool lie side by side. Raises TrainError for
    what is not of this kind.
    """
    forms: list[Form] = []
    before = "the picture"
    for part in text.split("-"):
        match = PART.fullmatch(part)
        if match is None or match["stride"] and not match["kernel"] and not match["pool"]:
            raise TrainError(f"Layers must be parts such as 32C3, P2 and 256 with - between, "
                             f"not {text!r}")
        last = forms[-1] if forms else None
        if match["pool"]:
            if last is None or last.kernel is None or last.pool > 1:
                raise TrainError(f"Pool {part} must follow a convolution, not {before}")
            size = int(match["pool"])
            forms[-1] = replace(last, pool=size, hop=int(match["stride"] or size))
        else:
            kernel = int(match["kernel"]) if match["kernel"] else None
            if kernel and last and last.kernel is None:
                raise TrainError(f"Convolution {part} must follow the picture, a convolution or "
                                 f"a pool, not {before}")
            forms.append(Form(int(match["outputs"]), kernel, int(match["stride"] or 1)))
        before = part
    return tuple(forms)


def weight_shapes(forms: tuple[Form, ...], shape: tuple[int, int, int]) -> list[tuple[int, ...]]:
    """Return the shape of each layer's weights, where pictures are (height, width, channels).

    Raises TrainError where a window is larger than what it is to see.
    """
    height, width, inputs = shape
    shapes: list[tuple[int, ...]] = []
    for form in forms:
        if form.kernel is None:
            shapes.append((form.outputs, height * width * inputs))
            height, width, inputs = 1, 1, form.outputs
            continue
        shapes.append((form.outputs, inputs, form.kernel, form.kernel))
        if min(height, width) < form.kernel + (form.pool - 1) * form.stride:
            raise TrainError(f"Windows of {form.outputs}C{form.kernel} and of the pool behind it "
                             f"must fit what they see, not {height} x {width} pixels")
        height, width = (((side - form.kernel) // form.stride + 1 - form.pool) // form.hop + 1
                         for side in (height, width))
        inputs = form.outputs
    return shapes

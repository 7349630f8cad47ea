"""The pictures of an epoch, in batches, each picture a little different every time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compiler.train.recipe import Recipe


__all__ = ["batches", "count"]

Array = np.ndarray[Any, Any]


def count(pictures: Array, recipe: Recipe) -> int:
    """Return how many batches an epoch has."""
    return -(-len(pictures) // recipe.batch)


def batches(pictures: Array, labels: Array, recipe: Recipe, chance: np.random.Generator
            ) -> Iterator[tuple[Array, Array]]:
    """Yield pictures (batch, height, width, channels) in float32, and their labels.

    Each picture is moved by up to ``recipe.shift`` pixels along each axis, with 0 around it, and
    mirrored or not, where the recipe says so: what K. He et al., "Deep Residual Learning for Image
    Recognition" (2015), https://arxiv.org/abs/1512.03385, do with CIFAR-10.
    """
    moves = [chance.integers(0, 2 * recipe.shift + 1, (len(pictures), 1)) for _ in range(2)]
    order = chance.permutation(len(pictures))
    turned = chance.random(len(pictures)) < 0.5 if recipe.mirror else None
    for part in np.array_split(order, count(pictures, recipe)):
        x = _moved(pictures[part], recipe.shift, *(move[part] for move in moves))
        if turned is not None:
            x = np.where(turned[part, None, None, None], x[:, :, ::-1], x)
        yield x.astype(np.float32), labels[part]


def _moved(x: Array, shift: int, down: Array, right: Array) -> Array:
    """Cut each picture out of itself with a border of ``shift``, at the given line and column."""
    _, height, width, _ = x.shape
    padded = np.pad(x, [(0, 0), (shift, shift), (shift, shift), (0, 0)])
    rows, columns = np.arange(height) + down, np.arange(width) + right
    return padded[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]

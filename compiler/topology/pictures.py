"""How pictures of octets become the small integers that a first layer reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.ir import Affine, Fixed, Input, Node, Quant
from compiler.topology.rows import Topology


__all__ = ["pictures", "steps"]

Array = np.ndarray[Any, Any]

BITS = 8  # of what the first layer reads


def pictures(net: Topology) -> tuple[list[Node], Array, Array]:
    """Return nodes that end in the input of the first layer, and what they do to octets.

    That is a scale and an offset for each channel: those that give it the mean 0 and the deviation
    1, times the steps of a deviation, which are as many as signed integers hold. Without a mean,
    octets are left as they are.
    """
    pixels = Input(name="pixels", shape=net.input, type=Fixed(BITS, signed=False))
    count = net.input[-1]
    if not net.mean:
        return ([pixels, Affine(name=net.INPUT, inputs=(pixels.name,))], np.ones(count),
                np.zeros(count))
    mean, std = np.array(net.mean), np.array(net.std)
    scale = steps(net) / (255 * std)
    offset = -mean * 255 * scale
    return [pixels,
            Affine(name="normal", inputs=(pixels.name,), scale=scale, offset=offset),
            Quant(name=net.INPUT, inputs=("normal",), bits=BITS, scale=1.0)], scale, offset


def steps(net: Topology) -> float:
    """Return the integers that a deviation of the input takes, so that none is saturated."""
    mean, std = np.array(net.mean), np.array(net.std)
    return ((1 << BITS - 1) - 1) / float((np.maximum(mean, 1 - mean) / std).max())

"""Random weights for a described network, such that its values do not degenerate.

The distribution of each channel is followed through the network as quantiles, taking sums as
normal, and neighbours as independent. A norm takes its mean and variance from there, as it would
have learned them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import (
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Quant,
    Relu,
    Threshold,
)
from compiler.topology.pictures import pictures
from compiler.topology.rows import Row, Topology, window


__all__ = ["with_random_weights"]

Array = np.ndarray[Any, Any]

POINTS = 512         # quantiles of a distribution
MOST_WEIGHTS = 1 << 29
SPREAD = 40.0        # of weights of several bits, which go up to 127
FALLING = 0.1        # share of channels whose norm has a negative slope

PROBABILITIES = (np.arange(POINTS) + 0.5) / POINTS
NORMAL = np.array([NormalDist().inv_cdf(p) for p in PROBABILITIES])


def with_random_weights(topology: Topology) -> Graph:
    """Return the network in real numbers, with weights, scales and norms by its seed.

    Integer weights of several bits are normal, and add up to 0 in each output. A norm ahead of a
    sign has its own slope in each channel. One whose results become small integers has one slope,
    a power of two, so that these are a shift of the sums.
    """
    return _Maker(topology).graph()


class _Maker:
    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.chance = np.random.default_rng(topology.seed)
        self.nodes: list[Node] = []
        self.spread: dict[str, Array] = {}  # (channels, POINTS) of each tensor, rising

    def graph(self) -> Graph:
        count = sum(math.prod(self.topology.weight_shape(row)) for row in self.topology.rows
                    if row.weighted)
        if count > MOST_WEIGHTS:
            raise UserError(f"Network {self.topology.name!r} must have at most {MOST_WEIGHTS} "
                            f"weights, not {count}")
        self._begin()
        for row in self.topology.rows:
            self._add(row)
        return Graph(tuple(self.nodes), name=self.topology.name,
                     meta={"source": f"random weights, seed {self.topology.seed}"})

    def _begin(self) -> None:
        self.nodes, scale, offset = pictures(self.topology)
        self.spread[self.topology.INPUT] = 255 * PROBABILITIES * scale[:, None] + offset[:, None]

    def _add(self, row: Row) -> None:
        spreads = [self.spread[name] for name in row.inputs]
        seen, inputs = spreads[0], row.inputs
        node: Node
        match row.op:
            case "conv" | "dense":
                self._weighted(row, seen)
                return
            case "norm":
                self._norm(row, seen)
                return
            case "relu":
                node = Relu(name=row.name, inputs=inputs)
                seen = np.maximum(seen, 0)
            case "sign":
                node = Threshold(name=row.name, inputs=inputs, levels=np.zeros((1, 1)))
                seen = np.where(seen >= 0, 1.0, -1.0)
            case "quantize":
                node, seen = self._quantize(row, seen)
            case "pool":
                kernel = window(row, self.topology.shape(inputs[0]))
                node = MaxPool(name=row.name, inputs=inputs, kernel=kernel,
                               stride=(row.stride,) * 2, pads=(row.pad,) * 4)
                seen = highest(seen, math.prod(kernel))
            case "mean":
                height, width, _ = self.topology.shape(inputs[0])
                node = AveragePool(name=row.name, inputs=inputs, kernel=(height, width),
                                   stride=(height, width))
                seen = normal(seen.mean(1), seen.var(1) / (height * width))
            case "add":
                node = Add(name=row.name, inputs=inputs)
                seen = normal(sum(each.mean(1) for each in spreads),
                              sum(each.var(1) for each in spreads))
            case "concat":
                node = Concat(name=row.name, inputs=inputs)
                seen = np.concatenate(spreads)
            case _:
                raise UserError(f"Row {row.name!r} must be an operation that runs, not "
                                f"{row.op!r}: `cost` takes it all the same")
        self.nodes.append(node)
        self.spread[row.name] = seen

    def _weighted(self, row: Row, seen: Array) -> None:
        weights = self._weights(row, self.topology.weight_shape(row))
        mean, variance = moments(weights, seen, row.groups)
        scale: Array | float = 1.0
        if row.bits and not self._becomes_integers(row):
            # The sign of a picture that is never negative is always the same, and does not vary.
            spread = math.sqrt(variance.mean()) or 1.0
            scale = self.chance.uniform(0.7, 1.4, row.channels) / spread
        self.spread[row.name] = normal(mean * scale, variance * scale ** 2)
        bias = None
        if row.bias:
            bias = np.sqrt(variance.mean()) * np.mean(scale) * self.chance.normal(
                0, 0.1, row.channels)
            self.spread[row.name] = self.spread[row.name] + bias[:, None]
        given: dict[str, Any] = {"name": row.name, "weights": weights, "bits": row.bits,
                                 "scale": scale, "bias": bias}
        source, = row.inputs
        if row.op == "conv":
            self.nodes.append(Conv(inputs=(source,), stride=(row.stride,) * 2,
                                   pads=(row.pad,) * 4, groups=row.groups, **given))
            return
        if len(self.topology.shape(source)) > 1:
            self.nodes.append(Flatten(name=f"{row.name}.flat", inputs=(source,)))
            source = f"{row.name}.flat"
        self.nodes.append(Dense(inputs=(source,), **given))

    def _weights(self, row: Row, shape: tuple[int, ...]) -> Array:
        if row.bits == 1:
            return self.chance.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1)
        drawn = self.chance.standard_normal(shape, np.float32).reshape(shape[0], -1)
        drawn -= drawn.mean(1, keepdims=True)
        if row.bits is None:
            return (drawn / math.sqrt(drawn.shape[1])).astype(np.float64).reshape(shape)
        high = (1 << row.bits - 1) - 1
        return np.rint(drawn * (SPREAD / 127 * high)).clip(-high, high).astype(np.int8
                                                                            ).reshape(shape)

    def _becomes_integers(self, row: Row) -> bool:
        """Whether what ``row`` makes becomes small integers of several bits next."""
        return any(reader.op == "quantize" or (reader.op in ("norm", "relu", "pool")
                                               and self._becomes_integers(reader))
                   for reader in self.topology.readers[row.name])

    def _norm(self, row: Row, seen: Array) -> None:
        mean, deviation = seen.mean(1), seen.std(1) + 1e-9
        turn = np.where(self.chance.random(len(seen)) < FALLING, -1.0, 1.0)
        shift = self.chance.normal(0, 0.3, len(seen))
        node: Node
        if self._becomes_integers(row):
            slope = 2.0 ** -round(math.log2(float(np.median(deviation))))
            offset = np.rint(shift * deviation - mean)
            scale, offset = turn * slope, turn * slope * offset
            node = Affine(name=row.name, inputs=row.inputs, scale=scale, offset=offset)
        else:
            gamma = turn * self.chance.uniform(0.5, 1.5, len(seen))
            node = BatchNorm(name=row.name, inputs=row.inputs, gamma=gamma, beta=shift, mean=mean,
                             variance=deviation ** 2, epsilon=row.epsilon)
            scale = gamma / deviation
            offset = shift - mean * scale
        self.nodes.append(node)
        self.spread[row.name] = np.sort(seen * scale[:, None] + offset[:, None], 1)

    def _quantize(self, row: Row, seen: Array) -> tuple[Node, Array]:
        assert row.bits is not None
        high = (1 << row.bits) - 1
        step = 2.0 ** math.ceil(math.log2(max(float(seen.max()), 1e-9) / high))
        node = Quant(name=row.name, inputs=row.inputs, bits=row.bits, scale=step, signed=False)
        return node, np.rint(seen / step).clip(0, high) * step


def normal(mean: Any, variance: Any) -> Array:
    """Return the quantiles of normal distributions, a channel a row."""
    return mean[:, None] + np.sqrt(variance)[:, None] * NORMAL


def highest(seen: Array, count: int) -> Array:
    """Return the quantiles of the highest of ``count`` independent values."""
    at = (PROBABILITIES ** (1 / count) * POINTS - 0.5).clip(0, POINTS - 1)
    below = at.astype(np.int64).clip(0, POINTS - 2)
    return seen[:, below] + (at - below) * (seen[:, below + 1] - seen[:, below])


def moments(weights: Array, seen: Array, groups: int) -> tuple[Array, Array]:
    """Return mean and variance of the sums of each output."""
    means, variances = seen.mean(1), seen.var(1)
    taps = weights.reshape(len(weights), -1, weights.shape[-1])
    if weights.ndim == 2:  # places of a flat picture, each of all channels
        taps = weights.reshape(len(weights), -1, len(seen))
    first = taps.sum(1, dtype=np.float64)
    second = np.square(taps, dtype=np.float32).sum(1, dtype=np.float64)
    parts: Sequence[tuple[Array, Array]] = [
        (first[out] @ means[source], second[out] @ variances[source])
        for out, source in zip(np.split(np.arange(len(weights)), groups),
                               np.split(np.arange(len(seen)), groups), strict=True)]
    mean, variance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, variance

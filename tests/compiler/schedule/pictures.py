"""Integer networks over pictures: small, and of every kind that the accelerator can run."""

from dataclasses import dataclass

import numpy as np

from compiler.ir import (
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Requantize,
    Threshold,
    value_range,
)
from tests.compiler.codegen.networks import weights


__all__ = ["random_picture_network"]

CHANNELS = 1, 2, 3, 4, 8, 9, 16, 31, 32, 33, 40, 64, 70
COUNTS = 1, 1, 1, 2, 3, 7, 15, 63


@dataclass
class Builder:
    """A graph that grows at its end. ``style`` leans towards the array, with one bit or with
    several, or towards neither."""

    rng: np.random.Generator
    style: str
    nodes: list

    @property
    def bits(self):
        """Of the next weights."""
        return int(self.rng.choice([1, 1, 2, 8] if self.style == "any" else [1]))

    @property
    def graph(self):
        return Graph(tuple(self.nodes), name="pictures")

    @property
    def last(self):
        return self.nodes[-1].name

    @property
    def shape(self):
        return self.graph.shape(self.last)

    @property
    def kind(self):
        return self.graph.type(self.last)

    def conv(self):
        rng, (height, width, depth) = self.rng, self.shape
        kernel = int(rng.integers(1, min(5, height) + 1)), int(rng.integers(1, min(5, width) + 1))
        channels, groups = int(rng.choice(CHANNELS)), 1
        bits = self.bits
        chance = rng.random() if self.style == "any" else 1
        if chance < 0.15 and depth > 1:
            channels = groups = depth
        elif chance < 0.2 and depth % 2 == 0:
            channels, groups = 2 * int(rng.integers(1, 5)), 2
        pads = tuple(int(rng.integers(0, size)) for size in (*kernel, *kernel))
        self.nodes.append(Conv(
            name=f"sums{len(self.nodes)}", inputs=(self.last,), bits=bits,
            weights=weights(rng, (channels, *kernel, depth // groups), bits,
                            extreme=rng.random() < 0.2),
            bias=rng.integers(-60, 60, channels) if rng.random() < 0.4 else None,
            stride=tuple(map(int, rng.choice([1, 1, 1, 2, 3], 2))), groups=groups,
            pads=pads if rng.random() < 0.6 else (0, 0, 0, 0)))

    def dense(self):
        rng, bits = self.rng, self.bits
        channels = int(rng.choice(CHANNELS))
        if len(self.shape) == 3:
            self.nodes.append(Flatten(name=f"flat{len(self.nodes)}", inputs=(self.last,)))
        self.nodes.append(Dense(
            name=f"sums{len(self.nodes)}", inputs=(self.last,), bits=bits,
            weights=weights(rng, (channels, self.shape[0]), bits, extreme=False)))

    def activation(self):
        rng, name = self.rng, f"made{len(self.nodes)}"
        if self.style == "bits" or rng.random() < 0.75:
            self.nodes.append(self.threshold(name))
            return
        span = self.kind.high - self.kind.low
        shift = min(max(span.bit_length() - int(rng.integers(4, 12)), 0), 30)
        self.nodes.append(Requantize(name=name, inputs=(self.last,), shift=shift,
                                     bits=int(rng.integers(1, 9)),
                                     signed=self.style == "any" and bool(rng.integers(2))))

    def threshold(self, name):
        """Levels that lie where sums are."""
        rng, (low, high) = self.rng, (self.kind.low, self.kind.high)
        channels = 1 if rng.random() < 0.2 else self.shape[-1]
        spread = max(int((high - low) ** 0.5), 2)
        count = int(rng.choice(COUNTS[:1] if self.style == "bits" else COUNTS))
        levels = rng.integers(-spread, spread + 1, (channels, count))
        return Threshold(name=name, inputs=(self.last,),
                         levels=np.sort((low + high) // 2 + levels, axis=1))

    def pool(self):
        size = int(self.rng.integers(2, 4))
        if size > min(self.shape[:2]):
            return
        self.nodes.append(MaxPool(name=f"pool{len(self.nodes)}", inputs=(self.last,),
                                  kernel=(size, size),
                                  stride=tuple(map(int, self.rng.integers(1, 4, 2)))))


def random_picture_network(rng):
    """A graph of 1 to 3 convolutions, pools behind some, and 0 to 2 dense layers."""
    style = str(rng.choice(["bits", "planes", "any"]))
    kind = Binary()
    if rng.random() < (0.3 if style == "bits" else 0.9):
        kind = Fixed(int(rng.integers(1, 9)), style == "any" and bool(rng.random() < 0.3))
    shape = (*map(int, rng.integers(1, 12, 2)), int(rng.choice([1, 3, 3, 4, 16, 33])))
    builder = Builder(rng, style, [Input(name="x", shape=shape, type=kind)])
    convs, flats = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    for at in range(convs):
        builder.conv()
        if at + 1 < convs or flats or rng.random() < 0.6:
            builder.activation()
            if rng.random() < 0.5:
                builder.pool()
    for at in range(flats):
        builder.dense()
        if at + 1 < flats or rng.random() < 0.5:
            builder.activation()
    return builder.graph


def random_pictures(rng, graph, count=1):
    """A batch of ``count`` random frames for ``graph``."""
    low, high = value_range(graph.input.type)
    shape = count, *graph.input.shape
    if isinstance(graph.input.type, Binary):
        return rng.choice([low, high], shape)
    return rng.integers(low, high + 1, shape)


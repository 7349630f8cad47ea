"""Integer networks whose tensors fork and join: residual, fire and dense blocks."""

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Requantize,
    Threshold,
)
from tests.compiler.codegen.networks import weights


__all__ = ["Joins", "random_joined_network"]

CHANNELS = 1, 2, 3, 4, 6, 8, 16, 20, 33, 40
COUNTS = {"bits": (1,), "planes": (3,), "octets": (5, 15)}


class Joins:
    """A graph that grows; methods return names of the tensors that they add.

    All activations are alike: of ``style`` "bits", "planes" (small integers that the array reads)
    or "octets".
    """

    def __init__(self, rng, style, shape):
        self.rng, self.style = rng, style
        self.count = int(rng.choice(COUNTS[style]))
        self.rescales = style == "octets" and bool(rng.integers(2))
        kinds = [Binary(), Fixed(8, signed=False), Fixed(2, signed=False), Fixed(4)]
        self.nodes = [Input(name="x", shape=shape, type=kinds[rng.integers(4)])]

    @property
    def graph(self):
        return Graph(tuple(self.nodes), name="joins")

    def add(self, node, *inputs):
        name = f"{node.name}{len(self.nodes)}"
        self.nodes.append(replace(node, name=name, inputs=inputs))
        return name

    def channels(self, name):
        return self.graph.shape(name)[-1]

    def sums(self, name, outputs=None, kernel=1, stride=1):
        """A convolution whose results, but for the stride, are as large as what it reads."""
        outputs = outputs or int(self.rng.choice(CHANNELS))
        bits = 1 if self.style != "octets" else int(self.rng.choice([1, 2, 8]))
        if len(self.graph.shape(name)) == 1:
            return self.add(Dense(name="dense", bits=bits, weights=weights(
                self.rng, (outputs, self.channels(name)), bits)), name)
        return self.add(Conv(
            name="conv", bits=bits, pads=(kernel // 2,) * 4, stride=(stride, stride),
            weights=weights(self.rng, (outputs, kernel, kernel, self.channels(name)), bits),
            bias=self.rng.integers(-9, 9, outputs) if self.rng.integers(3) == 0 else None), name)

    def made(self, name):
        """An activation of sums."""
        kind = self.graph.type(name)
        if self.rescales:
            span = max(kind.high - kind.low, 1)
            return self.add(Requantize(name="made", bits=4, signed=True,
                                       shift=max(span.bit_length() - 6, 0)), name)
        spread = max(int((kind.high - kind.low) ** 0.5), 2)
        levels = self.rng.integers(-spread, spread + 1, (self.channels(name), self.count))
        return self.add(Threshold(name="made", levels=np.sort(
            (kind.low + kind.high) // 2 + levels, axis=1)), name)

    def layer(self, name, *shape):
        return self.made(self.sums(name, *shape))

    def residual(self, name):
        """A tensor is added to the sums of a layer, as it is or by a layer of its own."""
        flat = len(self.graph.shape(name)) == 1
        kernel = 1 if flat else int(self.rng.choice([1, 3]))
        stride = 1 if flat else int(self.rng.choice([1, 1, 2]))
        plain = stride == 1 and self.rng.integers(2)
        outputs = self.channels(name) if plain else int(self.rng.choice(CHANNELS))
        inner = self.layer(name, None, kernel, stride)
        skip = name if plain else self.sums(name, outputs, 1, stride)
        main = self.sums(inner, outputs, kernel)
        pair = [main, skip][::self.rng.choice([-1, 1])]
        return self.made(self.add(Add(name="add"), *pair))

    def fire(self, name):
        squeezed = self.layer(name)
        parts = [self.layer(squeezed, None, int(kernel))
                 for kernel in self.rng.choice([1, 3], self.rng.integers(2, 4))]
        return self.add(Concat(name="join"), *parts)

    def dense(self, name):
        """What a layer leaves is joined to all that it reads."""
        for _ in range(self.rng.integers(1, 3)):
            name = self.add(Concat(name="join"), name, self.layer(name, None, 3))
        return name

    def pooled(self, name):
        shape = self.graph.shape(name)
        if len(shape) == 1 or min(shape[:2]) < 2 or self.rng.integers(3):
            return name
        return self.add(MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)), name)


def random_joined_network(rng, style=None):
    """A graph of 1 to 3 blocks behind a layer, of any style."""
    style = style or str(rng.choice(list(COUNTS)))
    joins = Joins(rng, style, (*map(int, rng.integers(3, 9, 2)), int(rng.choice(CHANNELS))))
    name = joins.layer("x", None, int(rng.choice([1, 3])))
    for _ in range(rng.integers(1, 4)):
        name = joins.pooled([joins.residual, joins.fire, joins.dense][rng.integers(3)](name))
    if rng.integers(2):
        name = joins.layer(joins.add(Flatten(name="flat"), name))
        name = [joins.residual, joins.fire, joins.dense][rng.integers(3)](name)
    joins.sums(name, 3)
    return joins.graph

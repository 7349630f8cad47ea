"""Random networks of floating point: layers, pools, means, forks and joins.

Constants are float32, as in files.
"""

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Real,
    Relu,
)
from tests.compiler.passes.networks import affine


class Floats:
    """A graph that grows; methods return names of the tensors that they add."""

    def __init__(self, rng):
        self.rng = rng
        kind = [Real(), Fixed(8, signed=False)][rng.integers(2)]
        shape = int(rng.integers(3, 7)), int(rng.integers(3, 7)), int(rng.integers(1, 4))
        self.graph = Graph((Input(name="x", shape=shape, type=kind),))

    def add(self, node, *inputs):
        name = f"{node.name}{len(self.graph.nodes)}"
        self.graph = Graph((*self.graph.nodes, replace(node, name=name, inputs=inputs)))
        return name

    def channels(self, name):
        return self.graph.shape(name)[-1]

    def conv(self, name, outputs=None):
        outputs = outputs or int(self.rng.integers(1, 5))
        kernel = int(self.rng.choice([1, 3]))
        width = self.channels(name)
        groups = width if self.rng.integers(3) == 0 and outputs % width == 0 else 1
        shape = outputs, kernel, kernel, width // groups
        name = self.add(Conv(name="conv", weights=self.rng.normal(size=shape) / 2,
                             bias=self.rng.normal(size=outputs) if self.rng.integers(2) else None,
                             groups=groups, pads=(kernel // 2,) * 4), name)
        if self.rng.integers(3) == 0:
            gamma, variance, beta, mean = self.rng.uniform(0.5, 2, (4, outputs)).astype(
                np.float32).astype(float)
            name = self.add(BatchNorm(name="norm", gamma=gamma, beta=beta, mean=mean,
                                      variance=variance, epsilon=2.0 ** -10), name)
        return name

    def relu(self, name):
        name = self.add(Relu(name="relu"), name)
        match self.rng.integers(4):
            case 0:
                name = self.add(MaxPool(name="pool", kernel=(2, 2), stride=(1, 1),
                                        pads=(0, 1, 1, 0)), name)
            case 1:
                name = self.add(AveragePool(name="mean", kernel=(2, 2), stride=(1, 1),
                                            pads=(0, 0, 1, 1)), name)
        return name

    def residual(self, name):
        made = self.conv(self.relu(self.conv(name)), self.channels(name))
        return self.relu(self.add(Add(name="add"), made, name))

    def fire(self, name):
        squeezed = self.relu(self.conv(name))
        parts = [self.relu(self.conv(squeezed)) for _ in range(2)]
        if self.graph.shape(parts[0])[:2] != self.graph.shape(parts[1])[:2]:
            return parts[0]
        return self.add(Concat(name="join"), *parts)


def random_floats(rng):
    """Return a graph of real numbers, and inputs of it, (24, height, width, channels)."""
    made = Floats(rng)
    name = "x"
    if rng.integers(2):
        name = made.add(affine(1 / 256), name)
    name = made.relu(made.conv(name))
    for _ in range(int(rng.integers(0, 3))):
        name = [made.residual, made.fire][rng.integers(2)](name)
    if rng.integers(2):
        name = made.add(Flatten(name="flat"), name)
        width = made.channels(name)
        name = made.add(Dense(name="dense", weights=rng.normal(size=(4, width)),
                              bias=rng.normal(size=4)), name)
        made.add(affine(0.75, np.arange(4.0)), name)
    else:
        made.conv(name)
    return made.graph, rng.integers(0, 256, (24, *made.graph.input.shape))

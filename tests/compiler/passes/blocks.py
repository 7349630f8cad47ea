"""Random networks of residual and fire blocks, whose tensors fork and join."""

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Add,
    AveragePool,
    BatchNorm,
    Binary,
    Concat,
    Conv,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Quant,
    Relu,
    Threshold,
    value_range,
)
from tests.compiler.passes.networks import affine, dense


class Blocks:
    """A graph that grows; methods return names of the tensors that they add."""

    def __init__(self, rng):
        self.rng = rng
        self.kind = [Binary(), Fixed(3), Fixed(4, signed=False)][rng.integers(3)]
        self.shape = 4, 4, int(rng.integers(1, 4))
        self.graph = Graph((Input(name="x", shape=self.shape, type=self.kind),))

    def add(self, node, *inputs):
        name = f"{node.name}{len(self.graph.nodes)}"
        self.graph = Graph((*self.graph.nodes, replace(node, name=name, inputs=inputs)))
        return name

    def channels(self, name):
        return self.graph.shape(name)[-1]

    def conv(self, name, outputs=None):
        outputs = outputs or int(self.rng.integers(1, 4))
        kernel = int(self.rng.choice([1, 3]))
        shape = outputs, kernel, kernel, self.channels(name)
        bits = int(self.rng.choice([1, 1, 3]))
        weights = self.rng.choice([-1, 1], shape) if bits == 1 else self.rng.integers(-3, 4, shape)
        return self.add(Conv(name="conv", weights=weights, bits=bits, pads=(kernel // 2,) * 4,
                             scale=float(self.rng.choice([0.5, 1.0])),
                             bias=self.rng.integers(-3, 4, outputs) * 0.5
                             if self.rng.integers(2) else None), name)

    def norm(self, name):
        if self.rng.integers(2):
            return name
        channels = self.channels(name)
        gamma = self.rng.choice([-1.0, 0.0, 0.7, 1.3], channels, p=[0.3, 0.1, 0.3, 0.3])
        beta, mean = self.rng.normal(size=(2, channels))
        return self.add(BatchNorm(name="norm", gamma=gamma, beta=beta, mean=mean,
                                  variance=self.rng.random(channels) + 0.1), name)

    def quantized(self, name):
        if self.rng.integers(4) == 0:
            name = self.add(Relu(name="relu"), name)
        match self.rng.integers(4):
            case 0 | 1:
                made = self.add(Threshold(name="sign", levels=np.array([[0.0]])), name)
            case 2:
                made = self.add(Threshold(name="counts", levels=np.array([[-1.0, 0.3, 2.0]])),
                                name)
            case 3:
                made = self.add(Quant(name="quant", bits=int(self.rng.integers(1, 4)),
                                      scale=float(self.rng.choice([0.5, 1.0])),
                                      signed=bool(self.rng.integers(2))), name)
        return self.pooled(made)

    def pooled(self, name):
        if self.rng.integers(4):
            return name
        kind = [MaxPool, MaxPool, AveragePool][self.rng.integers(3)]
        return self.add(kind(name="pool", kernel=(2, 2), stride=(1, 1), pads=(0, 0, 1, 1)), name)

    def scaled(self, name):
        if self.rng.integers(2):
            return name
        return self.add(affine(float(self.rng.choice([-0.5, 1.0, 2.0])),
                               float(self.rng.choice([0.0, 0.0, 1.0]))), name)

    def branch(self, name, channels):
        """Another tensor of ``channels``: sums, or small integers."""
        made = self.conv(name, channels)
        return self.scaled(made if self.rng.integers(2) else self.quantized(self.norm(made)))

    def residual(self, name):
        channels = self.channels(name)
        skip = name if self.rng.integers(2) else self.branch(name, channels)
        both = [self.branch(name, channels), skip]
        made = self.add(Add(name="add"), *both[::self.rng.choice([-1, 1])])
        return self.quantized(self.norm(made))

    def fire(self, name):
        squeezed = self.quantized(self.norm(self.conv(name)))
        parts = [self.conv(squeezed) for _ in range(int(self.rng.integers(2, 4)))]
        early, late = [(True, False), (False, True), (True, True)][self.rng.integers(3)]
        if early:
            parts = [self.quantized(self.norm(part)) for part in parts]
        made = self.add(Concat(name="concat"), *parts)
        return self.quantized(self.norm(made)) if late else made

    def fork(self, name):
        """Two activations of one tensor, joined again."""
        parts = [self.quantized(self.norm(name)) for _ in range(2)]
        return self.add(Concat(name="fork"), *parts)


def random_blocks(rng):
    """A graph whose real numbers are exact between its layers, and inputs of it."""
    blocks = Blocks(rng)
    name = "x"
    for _ in range(int(rng.integers(1, 4))):
        name = [blocks.residual, blocks.fire, blocks.fork][rng.integers(3)](name)
    if rng.integers(2):
        name = blocks.add(Flatten(name="flat"), name)
        width = blocks.channels(name)
        blocks.add(dense(rng.choice([-1, 1], (3, width)), "logits", scale=0.5), name)
    else:
        blocks.conv(name)
    low, high = value_range(blocks.kind)
    x = rng.integers(low, high + 1, (6, *blocks.shape))
    return blocks.graph, np.where(x == 0, 1, x) if blocks.kind == Binary() else x

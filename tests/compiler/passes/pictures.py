"""Random networks of convolutions, pools and quantizers."""

import numpy as np

from compiler.ir import (
    AveragePool,
    Binary,
    Conv,
    Fixed,
    Flatten,
    Input,
    MaxPool,
    Quant,
    Real,
    Relu,
    Threshold,
    value_range,
)
from tests.compiler.passes.networks import affine, chain, dense, norm


class Picture:
    """What the next node of a random network may be, given what it reads."""

    def __init__(self, rng):
        self.rng = rng
        self.side, self.channels = int(rng.integers(4, 10)), int(rng.integers(1, 5))
        self.nodes = []

    def name(self, stem):
        return f"{stem}{len(self.nodes)}"

    def add(self, node):
        self.nodes.append(node)
        if isinstance(node, Conv | MaxPool | AveragePool):
            kernel, stride, pads = node.kernel[0], node.stride[0], node.pads
            self.side = (self.side + pads[0] + pads[2] - kernel) // stride + 1

    def window(self):
        kernel = int(self.rng.integers(1, min(3, self.side) + 1))
        pad = int(self.rng.integers(0, 2)) if kernel > 1 else 0
        stride = int(self.rng.integers(1, 3))
        return kernel, stride, (pad, pad, pad, pad)

    def conv(self):
        kernel, stride, pads = self.window()
        groups = int(self.rng.choice([1, self.channels]))
        outputs = groups * int(self.rng.integers(1, 3)) if groups > 1 else int(
            self.rng.integers(1, 5))
        shape = outputs, kernel, kernel, self.channels // groups
        bits = int(self.rng.choice([1, 1, 2, 4]))
        weights = (self.rng.choice([-1, 1], shape) if bits == 1 else
                   self.rng.integers(1 - (1 << bits - 1), 1 << bits - 1, shape))
        self.channels = outputs
        self.add(Conv(name=self.name("conv"), weights=weights, bits=bits, stride=(stride, stride),
                      pads=pads, groups=groups,
                      scale=self.rng.choice([0.5, 1.0, 2.0], outputs),
                      bias=self.rng.integers(-3, 4, outputs) * 0.5
                      if self.rng.integers(2) else None))

    def maybe_pool(self):
        if self.rng.integers(3) or self.side < 2:
            return
        kernel, stride, pads = self.window()
        self.add(MaxPool(name=self.name("pool"), kernel=(kernel, kernel), stride=(stride, stride),
                         pads=pads))

    def maybe_mean(self):
        if self.rng.integers(4) == 0 and self.side >= 2:
            pads = (int(self.rng.integers(2)),) * 4
            self.add(AveragePool(name=self.name("mean"), kernel=(2, 2), stride=(2, 2), pads=pads))
            if self.rng.integers(2):
                self.quantizer()

    def maybe_norm(self):
        if self.rng.integers(2):
            gamma = self.rng.choice([-1.0, 0.0, 0.7, 1.3], self.channels, p=[0.3, 0.1, 0.3, 0.3])
            self.add(norm(gamma, *self.rng.normal(size=(2, self.channels)),
                          self.rng.random(self.channels) + 0.1, self.name("norm")))

    def quantizer(self):
        match self.rng.integers(4):
            case 0 | 1:
                self.add(Threshold(name=self.name("sign"), levels=np.array([[0.0]])))
            case 2:
                self.add(Threshold(name=self.name("counts"), levels=np.array([[-1.0, 0.3, 2.0]])))
            case 3:
                self.add(Quant(name=self.name("quant"), bits=int(self.rng.integers(1, 5)),
                               scale=float(self.rng.choice([0.5, 1.0, 2.0])),
                               signed=bool(self.rng.integers(2))))

    def layer(self):
        self.conv()
        self.maybe_pool()
        self.maybe_norm()
        self.maybe_pool()
        if self.rng.integers(3) == 0:
            self.add(Relu(name=self.name("relu")))
            self.maybe_pool()
        self.quantizer()
        self.maybe_pool()
        if self.rng.integers(3) == 0:
            self.add(affine(float(self.rng.choice([-0.5, 2.0])), 0.0, self.name("scaled")))
        self.maybe_mean()


def random_network(rng):
    """A chain whose real numbers are exact between its layers, and inputs of it."""
    picture = Picture(rng)
    kind = [Binary(), Fixed(3), Fixed(8, signed=False), Real()][rng.integers(4)]
    shape = picture.side, picture.side, picture.channels
    picture.add(Input(name="x", shape=shape, type=kind))
    picture.maybe_pool()
    picture.maybe_norm()
    if kind == Real() or len(picture.nodes) > 1:
        picture.quantizer()
    for _ in range(int(rng.integers(1, 4))):
        picture.layer()
    if rng.integers(2):
        picture.add(Flatten(name="flat"))
        width = picture.side ** 2 * picture.channels
        picture.add(dense(rng.choice([-1, 1], (3, width)), "logits", scale=0.5))
    if kind == Real():
        return chain(*picture.nodes), rng.normal(size=(9, *shape)) * 2
    low, high = value_range(kind)
    x = rng.integers(low, high + 1, (9, *shape))
    return chain(*picture.nodes), np.where(x == 0, 1, x) if kind == Binary() else x

"""A network that grows node by node, with data that flow through it."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Affine,
    AveragePool,
    BatchNorm,
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Quant,
    Real,
    Relu,
    Requantize,
    Sum,
    Threshold,
    value_range,
)


__all__ = ["CHANNELS", "STYLES", "Builder", "Network"]

CHANNELS = 1, 2, 3, 4, 8, 9, 16, 17, 24, 31, 32, 33, 40, 48, 64, 65, 70, 130  # around words
COUNTS = 1, 1, 1, 2, 3, 3, 7, 15, 31, 63, 255
STYLES = "bits", "planes", "any"  # bits alone; W1A1 to W1A8; weights of several bits, too
MOST_WEIGHTS = 1 << 14


@dataclass(frozen=True)
class Network:
    """A network as a front end would import it, and a batch of inputs (frames, ...)."""

    graph: Graph
    frames: np.ndarray


class Builder:
    """Nodes are added behind ``last``. Levels lie where the values of the data are.

    Numbers between the layers are exact in floating point, so that nothing may change in them.
    """

    def __init__(self, draw, style: str):
        self.draw, self.style = draw, style
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.values: dict[str, np.ndarray] = {}

    # Choices; the first is what a failure is reduced to

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    # What there is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.graph.shape(self.last)

    @property
    def kind(self):
        return self.graph.type(self.last)

    @property
    def channels(self) -> int:
        return self.shape[-1]

    def begin(self, shape: tuple[int, ...], kind, count: int = 6) -> None:
        """Add the Input, and frames for it: its lowest, its highest, and random values."""
        if isinstance(kind, Real):
            frames = self.rng.normal(size=(count, *shape)) * 2
        else:
            low, high = value_range(kind)
            frames = self.rng.integers(low, high + 1, (count, *shape))
            if isinstance(kind, Binary):
                frames = 2 * (frames > 0) - 1
            frames[0], frames[1] = low, high
        self.frames, self.last = frames, "x"
        self.graph = Graph((Input(name="x", shape=shape, type=kind),), name="random")
        self.values["x"] = golden.evaluate(self.graph.input, frames)

    def add(self, node, *inputs: str) -> str:
        """Add a node that reads ``inputs``, or else the last; its name gets a number."""
        inputs = inputs or (self.last,)
        node = replace(node, name=f"{node.name}{len(self.graph.nodes)}", inputs=inputs)
        self.graph = Graph((*self.graph.nodes, node), name="random")
        self.values[node.name] = golden.evaluate(node, *(self.values[name] for name in inputs))
        self.last = node.name
        return node.name

    @property
    def network(self) -> Network:
        return Network(self.graph, self.frames)

    # Layers

    def weights(self, shape: tuple[int, ...], *, plain: bool | None = None) -> dict:
        """Fields of a Weighted: integers with a bias, or with a scale, or signs of one size.

        ``plain`` weights have a scale that all channels share.
        """
        rng = self.rng
        bits = self.pick(1, 1, 1, 2, 4, 8) if self.style == "any" else 1
        low, high = (-1, 1) if bits == 1 else value_range(Fixed(bits))
        form = self.pick("integer", "integer", "scaled", "real" if bits == 1 else "scaled")
        if form != "integer":
            low = -high  # a falling staircase negates them
        if bits == 1 or self.chance(10):
            values = rng.choice([low, high], shape)
        else:
            values = rng.integers(low, high + 1, shape)
            values[..., 0] = high  # a channel of zeros has no width
        bias = rng.integers(-60, 61, shape[0]) if self.chance(30) else None
        if form == "integer":
            return {"weights": values, "bits": bits, "bias": bias}
        scale = float(rng.choice([0.5, 1.0, 2.0]))
        if not plain and self.chance(30):
            scale = rng.choice([0.5, 1.0, 2.0], shape[0])
        bias = None if bias is None else bias * 0.5
        if form == "real":
            sizes = np.broadcast_to(scale, shape[:1]).reshape(-1, *[1] * (len(shape) - 1))
            return {"weights": values * sizes, "bias": bias}
        return {"weights": values, "bits": bits, "scale": scale, "bias": bias}

    def conv(self) -> None:
        """A convolution of any kernel, stride, border and groups."""
        height, width, depth = self.shape
        pads = self.pick((0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0), (2, 0, 0, 3))
        kernel = (min(self.number(1, 5), height + pads[0] + pads[2]),
                  min(self.number(1, 5), width + pads[1] + pads[3]))
        groups, outputs = self.groups(depth, kernel[0] * kernel[1])
        stride = self.pick((1, 1), (1, 1), (2, 2), (1, 3), (2, 1))
        self.add(Conv(name="conv", stride=stride, pads=pads, groups=groups,
                      **self.weights((outputs, *kernel, depth // groups))))

    def groups(self, depth: int, taps: int) -> tuple[int, int]:
        """How many groups, and outputs."""
        ways = [1] * 8 + [depth] * 2 + [n for n in (2, 3) if depth % n == 0]
        groups = self.pick(*ways)
        fits = [n for n in CHANNELS if n * groups <= CHANNELS[-1]
                and n * groups * taps * (depth // groups) <= MOST_WEIGHTS]
        return groups, groups * self.pick(*fits or [1])

    def same(self, name: str, outputs: int) -> str:
        """A convolution of the tensor ``name`` that keeps its size."""
        kernel = self.pick(1, 3)
        shape = outputs, kernel, kernel, self.graph.shape(name)[-1]
        return self.add(Conv(name="conv", pads=(kernel // 2,) * 4,
                             **self.weights(shape, plain=True)), name)

    def dense(self) -> None:
        if len(self.shape) == 3:
            self.add(Flatten(name="flat"))
        fits = [n for n in CHANNELS if n * self.channels <= 4 * MOST_WEIGHTS] or [1]
        self.add(Dense(name="dense", **self.weights((self.pick(*fits), self.channels))))

    def pool(self, kind=MaxPool) -> None:
        """Windows with and without overlap, which need not cover the picture."""
        height, width, _ = self.shape
        kernel = self.pick((2, 2), (3, 3), (2, 1), (1, 3))
        stride = self.pick(kernel, (2, 2), (1, 1), (2, 1))
        pads = self.pick(*[(0, 0, 0, 0)] * 5, (0, 0, 1, 1), (1, 1, 1, 1))
        if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
            pads = 0, 0, 0, 0
        if kernel[0] <= height + pads[0] + pads[2] and kernel[1] <= width + pads[1] + pads[3]:
            self.add(kind(name="pool", kernel=kernel, stride=stride, pads=pads))

    def mean(self) -> None:
        """An average of windows, or of the whole picture, right behind a quantizer: a division by
        9 is exact to the last bit of a real number only where no offset is added to it."""
        made = self.graph[self.last]
        while isinstance(made, MaxPool):
            made = self.graph[made.inputs[0]]
        if not isinstance(made, Threshold | Quant | Requantize):
            return
        if self.chance(40):
            self.add(AveragePool(name="mean", kernel=self.shape[:2], stride=self.shape[:2]))
        else:
            self.pool(AveragePool)

    # What lies between sums and the next layer

    def norm(self) -> None:
        x = self.values[self.last].reshape(-1, self.channels)
        gamma = self.rng.choice([-1.0, 0.0, 0.7, 1.3], self.channels, p=[0.3, 0.1, 0.3, 0.3])
        beta = self.rng.normal(size=self.channels) * 0.5
        self.add(BatchNorm(name="norm", gamma=gamma, beta=beta, mean=x.mean(0) + 0.1,
                           variance=x.var(0) + 0.1))

    def scaled(self) -> None:
        self.add(Affine(name="scaled", scale=float(self.pick(2.0, -0.5)),
                        offset=float(self.pick(0.0, 1.0))))

    def activation(self) -> None:
        """What may come ahead of a quantizer, and the quantizer."""
        if self.chance(30):
            self.norm()
        if self.style != "bits" and self.chance(20):
            self.add(Relu(name="relu"))
        self.quantizer()

    def quantizer(self) -> None:
        """Bits, or small integers, of the last tensor."""
        ways = ["levels"] * 4
        if self.style != "bits":
            ways += ["quant"] * 2 + ["shift"] * 2 * isinstance(self.kind, Sum)
        signed = self.style == "any" and self.chance(40)
        match self.pick(*ways):
            case "levels":
                self.add(self.levels(1 if self.style == "bits" else self.pick(*COUNTS)))
            case "quant":
                bits = self.number(1, 8)
                self.add(Quant(name="quant", bits=bits, signed=signed, scale=2.0 ** (
                    self.spread() - bits + self.number(0, 2))))
            case "shift":
                bits = self.number(1, 8)
                shift = max(self.spread() - bits + self.number(0, 2), 0)
                self.add(Requantize(name="shift", shift=shift, bits=bits, signed=signed))

    def spread(self) -> int:
        """The power of two that is about the largest value."""
        largest = float(np.abs(self.values[self.last]).max())
        return int(np.ceil(np.log2(largest))) if largest else 0

    def levels(self, count: int) -> Threshold:
        """Levels among the values, or beside them."""
        x = self.values[self.last].reshape(-1, self.channels)
        if self.chance(20):
            x = x.reshape(-1, 1)
        drawn = self.rng.integers(len(x), size=(count, x.shape[1]))
        levels = np.take_along_axis(x, drawn, 0) + self.rng.integers(-1, 2, drawn.shape)
        return Threshold(name="levels", levels=np.sort(levels.T, axis=1))

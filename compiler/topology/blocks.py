"""Makes rows, and the blocks of several that mobile networks repeat."""

from __future__ import annotations

from collections import Counter
from typing import Any

from compiler.topology.rows import Row, Topology


__all__ = ["Builder"]

EPSILON = 1e-5  # of the norms in blocks
VALUES = {"conv": "channels", "dense": "channels", "norm": "epsilon", "pool": "kernel",
          "quantize": "bits"}


class Builder:
    """Puts rows one behind the other. ``channels`` are those of the input."""

    def __init__(self, channels: int) -> None:
        self.rows: list[Row] = []
        self.channels = channels
        self._last = Topology.INPUT
        self._names: Counter[str] = Counter()

    def add(self, op: str, value: Any, keys: dict[str, Any]) -> None:
        """Add a row or a block of a description."""
        match op:
            case "depthwise":
                self.row("conv", channels=self.channels, groups=self.channels,
                         kernel=None if value == "all" else value, **keys)
            case "separable":
                self.separable(value, **keys)
            case "bottleneck":
                self.bottleneck(value, **keys)
            case "fire":
                self.fire(value, **keys)
            case _:
                self.row(op, **({VALUES[op]: value} if op in VALUES else {}), **keys)

    def row(self, op: str, *inputs: str, **fields: Any) -> str:
        """Add a row that reads the last one, or ``inputs``; return its name."""
        self._names[op] += 1
        row = Row(op=op, name=f"{op}{self._names[op]}", inputs=inputs or (self._last,), **fields)
        self.rows.append(row)
        self.channels = row.channels or self.channels
        self._last = row.name
        return row.name

    def block(self, channels: int, activation: str | None = "relu", **fields: Any) -> str:
        """A convolution, a norm, and what follows it."""
        self.row("conv", channels=channels, **fields)
        name = self.row("norm", epsilon=EPSILON)
        return self.row(activation) if activation else name

    def depthwise(self, stride: int, activation: str) -> None:
        self.block(self.channels, activation, kernel=3, stride=stride, pad=1,
                   groups=self.channels)

    def separable(self, channels: int, stride: int = 1) -> None:
        """Howard et al., "MobileNets", 2017, figure 3: depthwise 3 x 3, then 1 x 1."""
        self.depthwise(stride, "relu")
        self.block(channels)

    def bottleneck(self, channels: int, expand: int = 1, stride: int = 1, repeat: int = 1,
                   activation: str = "relu") -> None:
        """Sandler et al., "MobileNetV2", CVPR 2018, tables 1 and 2: ``repeat`` inverted residuals,
        the first with ``stride``."""
        for turn in range(repeat):
            source, width, step = self._last, self.channels, stride if turn == 0 else 1
            if expand > 1:
                self.block(self.channels * expand, activation)
            self.depthwise(step, activation)
            last = self.block(channels, None)
            if step == 1 and width == channels:
                self.row("add", last, source)

    def fire(self, channels: int, expand: int = 1) -> None:
        """Iandola et al., "SqueezeNet", 2016, section 3.2: ``channels`` squeezed by 1 x 1, then
        ``expand`` times as many each of 1 x 1 and of 3 x 3."""
        self.row("conv", channels=channels, bias=True)
        squeezed = self.row("relu")
        parts = []
        for kernel in (1, 3):
            self.row("conv", squeezed, channels=channels * expand, kernel=kernel,
                     pad=kernel // 2, bias=True)
            parts.append(self.row("relu"))
        self.row("concat", *parts)
        self.channels = 2 * channels * expand

"""Writes a trained network as QONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.qonnx.nodes import DOMAIN, Nodes
from compiler.train.layers import EPSILON, Layer


__all__ = ["write"]

Array = np.ndarray[Any, Any]


def write(path: Path, layers: Sequence[Layer], shape: tuple[int, int, int], input_bits: int,
          facts: Mapping[str, Any]) -> None:
    """Write ``layers`` to ``path``: integers of ``input_bits`` in, the most likely class out.

    Pictures of ``shape`` (height, width, channels) come with their channels first, as ONNX has
    them, or flat where the first layer is dense. ``facts`` become the model's properties, as text,
    or as JSON where they are not.
    """
    graph = _Graph()
    x = graph.quant("x", "pixels", input_bits, 1.0, signed=False)
    for at, layer in enumerate(layers):
        if at and layer.weights.ndim < layers[at - 1].weights.ndim:
            x = graph.add("Flatten", [x], "flat", axis=1)
        x = graph.layer(x, at, layer)
    graph.add("ArgMax", [x], "class", axis=1, keepdims=0)
    height, width, channels = shape
    sizes = [channels, height, width] if layers[0].weights.ndim == 4 else [math.prod(shape)]
    graph.save(path, given=("x", [1, *sizes], f"UINT{input_bits}"),
               made=("class", [1], TensorProto.INT64), facts=facts)


class _Graph(Nodes):
    """Layers as they come."""

    def layer(self, x: str, at: int, layer: Layer) -> str:
        x = self.sums(x, at, layer)
        if layer.pooled_first:
            x = self.pool(x, at, layer)
        if layer.norm is not None:
            x = self.norm(x, f"norm{at}", layer.norm)
        if layer.sign:
            x = self.add("BipolarQuant", [x, self.number(1.0)], f"sign{at}", domain=DOMAIN)
        return x if layer.pooled_first else self.pool(x, at, layer)

    def pool(self, x: str, at: int, layer: Layer) -> str:
        form = layer.form
        if form.pool == 1:
            return x
        return self.add("MaxPool", [x], f"pool{at}", kernel_shape=[form.pool] * 2,
                        strides=[form.hop] * 2)

    def sums(self, x: str, at: int, layer: Layer) -> str:
        if layer.weights.ndim == 4:
            weights = self.weights(f"conv{at}", layer, layer.weights)
            return self.add("Conv", [x, weights], f"conv{at}", strides=[layer.form.stride] * 2)
        weights = self.weights(f"fc{at}", layer, layer.weights.T)
        return self.add("MatMul", [x, weights], f"fc{at}")

    def weights(self, name: str, layer: Layer, values: Array) -> str:
        made = self.constant(f"{name}_weights", values)
        if layer.bits == 1:
            return self.add("BipolarQuant", [made, self.number(1.0)], f"{name}_signs",
                            domain=DOMAIN)
        return self.quant(made, f"{name}_integers", layer.bits, layer.scale, signed=True,
                          narrow=True)

    def norm(self, x: str, name: str, values: Mapping[str, Array]) -> str:
        arrays = [self.constant(f"{name}_{key}", values[key])
                  for key in ("gamma", "beta", "mean", "variance")]
        return self.add("BatchNormalization", [x, *arrays], name, epsilon=EPSILON)

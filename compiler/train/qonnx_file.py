"""Writes a trained network as QONNX."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorAnnotation, TensorProto, checker, helper, numpy_helper, save

from compiler.train.layers import EPSILON, Layer


__all__ = ["write"]

Array = np.ndarray[Any, Any]

DOMAIN = "qonnx.custom_op.general"
OPSET, QONNX_OPSET, IR_VERSION = 17, 1, 8  # what qonnx and old runtimes read


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
    made = helper.make_graph(
        graph.nodes, path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *sizes])],
        [helper.make_tensor_value_info("class", TensorProto.INT64, [1])],
        [numpy_helper.from_array(array, name) for name, array in graph.arrays.items()])
    note = TensorAnnotation(tensor_name="x")
    note.quant_parameter_tensor_names.add(key="finn_datatype", value=f"UINT{input_bits}")
    made.quantization_annotation.append(note)
    model = helper.make_model(made, producer_name="xnorloom", ir_version=IR_VERSION, opset_imports=[
        helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, QONNX_OPSET)])
    helper.set_model_props(model, {key: value if isinstance(value, str) else json.dumps(value)
                                   for key, value in facts.items()})
    checker.check_model(model)
    save(model, path)


class _Graph:
    """Nodes and constants as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, Array] = {}

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Array) -> str:
        self.arrays[name] = values.astype(np.float32)
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number_{value:g}", np.array(value))

    def quant(self, x: str, name: str, bits: int, scale: float, *, signed: bool) -> str:
        return self.add("Quant", [x, self.number(scale), self.number(0.0), self.number(bits)],
                        name, domain=DOMAIN, signed=int(signed), narrow=int(signed),
                        rounding_mode="ROUND")

    def layer(self, x: str, at: int, layer: Layer) -> str:
        x = self.sums(x, at, layer)
        if layer.norm is not None:
            x = self.norm(x, f"norm{at}", layer.norm)
            x = self.add("BipolarQuant", [x, self.number(1.0)], f"sign{at}", domain=DOMAIN)
        if layer.pool > 1:
            window = [layer.pool] * 2
            x = self.add("MaxPool", [x], f"pool{at}", kernel_shape=window, strides=window)
        return x

    def sums(self, x: str, at: int, layer: Layer) -> str:
        if layer.weights.ndim == 4:
            weights = self.weights(f"conv{at}", layer, layer.weights)
            return self.add("Conv", [x, weights], f"conv{at}")
        weights = self.weights(f"fc{at}", layer, layer.weights.T)
        return self.add("MatMul", [x, weights], f"fc{at}")

    def weights(self, name: str, layer: Layer, values: Array) -> str:
        made = self.constant(f"{name}_weights", values)
        if layer.bits == 1:
            return self.add("BipolarQuant", [made, self.number(1.0)], f"{name}_signs",
                            domain=DOMAIN)
        return self.quant(made, f"{name}_integers", layer.bits, layer.scale, signed=True)

    def norm(self, x: str, name: str, values: Mapping[str, Array]) -> str:
        arrays = [self.constant(f"{name}_{key}", values[key])
                  for key in ("gamma", "beta", "mean", "variance")]
        return self.add("BatchNormalization", [x, *arrays], name, epsilon=EPSILON)

"""Nodes and constants of an ONNX graph as they come, and the file that is made of them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorAnnotation, TensorProto, checker, helper, numpy_helper, save

from compiler.errors import UserError


__all__ = ["DOMAIN", "Nodes"]

Array = np.ndarray[Any, Any]

DOMAIN = "qonnx.custom_op.general"
OPSET, QONNX_OPSET, IR_VERSION = 17, 1, 8  # what qonnx and old runtimes read


class Nodes:
    """Nodes and constants as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, Array] = {}

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Array) -> str:
        self.arrays[name] = values.astype(np.float32)
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number_{value!r}", np.array(value))

    def quant(self, x: str, name: str, bits: int, scale: float, *, signed: bool,
              narrow: bool = False) -> str:
        return self.add("Quant", [x, self.number(scale), self.number(0.0), self.number(bits)],
                        name, domain=DOMAIN, signed=int(signed), narrow=int(narrow),
                        rounding_mode="ROUND")

    def float_quant(self, x: str, name: str, exponent: int, mantissa: int, most: float) -> str:
        numbers = 1.0, exponent, mantissa, (1 << exponent - 1) - 1, most
        return self.add("FloatQuant", [x, *map(self.number, numbers)], name, domain=DOMAIN,
                        has_inf=0, has_nan=0, has_subnormal=0, saturation=1, rounding_mode="ROUND")

    def save(self, path: Path, *, given: tuple[str, Sequence[int], str | None],
             made: tuple[str, Sequence[int], int], facts: Mapping[str, Any]) -> None:
        """Write all of it to ``path``, whole or not at all.

        Parameters
        ----------
        given
            Name and shape of the input, of float32, and the type that FINN notes for it, if any.
        made
            Name, shape and element type (of `onnx.TensorProto`) of the output.
        facts
            The model's properties: text, or what becomes JSON.

        Raises UserError where the file cannot be written.
        """
        (x, shape, note), (y, result, kind) = given, made
        graph = helper.make_graph(
            self.nodes, path.stem,
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(y, kind, result)],
            [numpy_helper.from_array(array, name) for name, array in self.arrays.items()])
        if note:
            annotation = TensorAnnotation(tensor_name=x)
            annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=note)
            graph.quantization_annotation.append(annotation)
        model = helper.make_model(
            graph, producer_name="xnorloom", ir_version=IR_VERSION, opset_imports=[
                helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, QONNX_OPSET)])
        helper.set_model_props(model, {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in facts.items()})
        checker.check_model(model)
        try:
            with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
                beside = Path(folder) / path.name
                save(model, beside)
                os.replace(beside, path)
        except OSError as error:
            raise UserError(f"'{path}' must be a file that can be written, but: "
                            f"{error.strerror}") from error

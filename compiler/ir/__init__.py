"""The graph that every front end makes, and every pass takes and returns.

A node is one operation, and bears the name of the tensor that it makes. The same operations serve
before and after the passes; `compiler.stages` tells which forms of them are legal where. Channels
are the last axis of every tensor.
"""

from compiler.ir.graph import Graph
from compiler.ir.layers import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    MaxPool,
    Pool,
    Weighted,
)
from compiler.ir.operations import (
    Affine,
    ArgMax,
    BatchNorm,
    Flatten,
    HighestBit,
    Input,
    Minifloat,
    Node,
    Quant,
    Relu,
    Requantize,
    Threshold,
)
from compiler.ir.types import (
    Binary,
    Fixed,
    GraphError,
    Real,
    Result,
    Sum,
    TensorType,
    value_range,
)


__all__ = ["Add", "Affine", "ArgMax", "AveragePool", "BatchNorm", "Binary", "Concat", "Conv",
           "Dense", "Fixed", "Flatten", "Graph", "GraphError", "HighestBit", "Input", "MaxPool",
           "Minifloat", "Node", "Pool", "Quant", "Real", "Relu", "Requantize", "Result", "Sum",
           "TensorType", "Threshold", "Weighted", "value_range"]

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Dense
from tests.compiler.frontends.models import Net


@pytest.mark.parametrize("attributes", [
    {"value_floats": [1.0, 2.0]}, {"value_ints": [1, 2]},
    {"value": numpy_helper.from_array(np.array([1.0, 2.0]))},
    {"value_ints": numpy_helper.from_array(np.array([1, 2]))},  # of the wrong name
])
def test_constant(tmp_path, attributes):
    net = Net([1, 2])
    made = net.node("Mul", "x", net.node("Constant", **attributes))
    graph = net.load(tmp_path, net.end(made, 2))
    np.testing.assert_array_equal(golden.run(graph, np.ones((1, 2))), [[1, 2]])


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_mean_of_magnitudes_as_scale(tmp_path, opset, keepdims):
    """Weights as XNOR-Net has them, sign times mean magnitude of each output."""
    weights = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    net = Net([1, 8], opset=opset)
    axes = {"axes": [1]} if opset < 18 else {}
    inputs = () if opset < 18 else (np.array([1]),)
    scale = net.node("ReduceMean", net.node("Abs", weights), *inputs, keepdims=keepdims, **axes)
    if not keepdims:
        scale = net.node("Unsqueeze", scale, np.array([1]))
    made = net.node("Gemm", "x", net.node("Mul", net.node("Sign", weights), scale), transB=1)
    graph = net.load(tmp_path, made)
    assert isinstance(graph.output, Dense)
    assert graph.output.bits == 1
    np.testing.assert_array_equal(graph.output.weights, np.where(weights >= 0, 1, -1))
    np.testing.assert_allclose(graph.output.scale, np.abs(weights).mean(1), rtol=1e-6)


def test_mean_of_everything_or_nothing(tmp_path):
    net = Net([1, 2])
    values = np.array([[1.0, 2.0], [3.0, 6.0]])
    name = net.node("Mul", "x", net.node("ReduceMean", values, keepdims=0))
    rows = net.node("ReduceMean", values, noop_with_empty_axes=1)
    graph = net.load(tmp_path, net.node("MatMul", name, rows))
    np.testing.assert_array_equal(golden.run(graph, np.ones((1, 2))), [[12, 24]])


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("Gather", (np.arange(4), np.array(7)), {}, "must take what is there, not index 7"),
    ("Gather", (np.arange(4), np.array(0)), {"axis": 3}, "must take what is there"),
    ("Concat", (np.ones((2, 2)), np.ones((3, 3))), {"axis": 0}, "must join constants that fit"),
    ("Constant", (), {}, "must have its value as a tensor or as numbers$"),
    ("Constant", (), {"value_string": "a"}, "must have its value as a tensor or as numbers$"),
    ("Constant", (), {"value_float": float("inf")}, "must be finite$"),
    ("ReduceMean", (np.ones((2, 2)), np.array([3])), {}, r"must have axes that fit \(2, 2\): axis"),
    ("ReduceMean", (np.ones((0, 2)),), {}, "must have numbers to take the mean of$"),
    ("Abs", ("x",), {}, "must have a constant as input 0, not 'x'"),
    ("Shape", (np.ones(3),), {"start": 1}, "must give the whole shape$"),
])
def test_refusals_of_constants(tmp_path, kind, inputs, attributes, match):
    net = Net([1, 4])
    made = net.node("Cast", net.node(kind, *inputs, **attributes), to=TensorProto.FLOAT)
    with pytest.raises(ModelError, match=match):
        net.load(tmp_path, net.end(net.node("Mul", "x", made), 4))

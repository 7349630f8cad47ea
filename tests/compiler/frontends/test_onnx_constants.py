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


@pytest.mark.parametrize(("inputs", "attributes", "opset", "where"), [
    ((np.array([1]), np.array([3])), {}, 20, np.s_[1:3]),
    ((np.array([-1]), np.array([-(1 << 63) + 1]), np.array([0]), np.array([-1])), {}, 20,
     np.s_[::-1]),
    ((np.array([0, 1]), np.array([1 << 62, 2]), np.array([0, -1]), np.array([2, 1])), {}, 20,
     np.s_[::2, 1:2]),
    ((), {"starts": [1], "ends": [4], "axes": [1]}, 9, np.s_[:, 1:4]),
])
def test_slice(tmp_path, inputs, attributes, opset, where):
    values = np.random.default_rng(0).normal(size=(4, 5))
    expected = values[where]
    net = Net([1, len(expected)], opset=opset, dtype=np.float64)
    part = net.node("Slice", values, *inputs, **attributes)
    graph = net.load(tmp_path, net.node("MatMul", "x", part))
    np.testing.assert_allclose(golden.run(graph, np.eye(len(expected))), expected)


@pytest.mark.parametrize(("value", "expected"), [({}, 0.0), ({"value": np.array([2.5])}, 2.5)])
def test_constant_of_shape(tmp_path, value, expected):
    value = {name: numpy_helper.from_array(array) for name, array in value.items()}
    net = Net([1, 4])
    made = net.node("ConstantOfShape", np.array([4, 3]), **value)
    graph = net.load(tmp_path, net.node("MatMul", "x", made))
    np.testing.assert_array_equal(golden.run(graph, np.eye(4)), np.full((4, 3), expected))


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("Slice", (np.ones(4), np.array([0]), np.array([1, 2])), {}, "must have a start, an end, an"),
    ("Slice", (np.ones(4), np.array([0]), np.array([2]), np.array([0]), np.array([0])), {},
     "a step other than 0"),
    ("Slice", (np.ones(4), np.array([0]), np.array([2]), np.array([1])), {},
     "must have axes of 1, not 1$"),
    ("ConstantOfShape", (np.array([1 << 30]),), {}, "must make a tensor of at most 268435456"),
    ("ConstantOfShape", (np.array([-1]),), {}, r"elements, not \[-1\]$"),
    ("ConstantOfShape", (np.array([4]),), {"value": numpy_helper.from_array(np.ones(2))},
     "must have one value, not 2$"),
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

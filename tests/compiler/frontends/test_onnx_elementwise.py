import numpy as np
import pytest
from onnx import TensorProto

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Affine, ArgMax, Relu
from tests.compiler.frontends.models import Net, run_op


RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5))
PICTURE = RNG.normal(size=(6, 2, 3, 4))
OPERATORS = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def constants(shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 5), (1, 1)])
def test_arithmetic(tmp_path, kind, shape):
    c = constants(shape)
    np.testing.assert_allclose(run_op(tmp_path, X, kind, c), OPERATORS[kind](X, c), rtol=1e-12)


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 2, 1, 1), (4,), (3, 1), (2, 3, 4)])
def test_arithmetic_on_pictures(tmp_path, kind, shape):
    c = constants(shape)
    np.testing.assert_allclose(run_op(tmp_path, PICTURE, kind, c),
                               OPERATORS[kind](PICTURE, c).reshape(6, -1), rtol=1e-12)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_constant_first(tmp_path, kind):
    net = Net([1, 5])
    c = constants(5)
    graph = net.load(tmp_path, net.end(net.node(kind, c, "x"), 5))
    np.testing.assert_allclose(golden.run(graph, X), OPERATORS[kind](c, X), rtol=1e-12)


@pytest.mark.parametrize(("kind", "c"), [("Mul", 1.0), ("Div", 1.0), ("Add", 0.0), ("Sub", 0.0)])
def test_nothing_is_added_for_what_changes_nothing(tmp_path, kind, c):
    net = Net([1, 5])
    graph = net.load(tmp_path, net.end(net.node(kind, "x", np.array(c)), 5))
    assert not any(isinstance(node, Affine) for node in graph.nodes)


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("integer", [True, False])
def test_constants_are_folded(tmp_path, kind, integer):
    a, b = (RNG.integers(-9, 9, (5, 5)), RNG.integers(1, 9, 5))
    if not integer:
        a, b = a / 7, b / 7
    expected = OPERATORS[kind](a, b)
    if integer:
        expected = np.trunc(expected)
    net = Net([1, 5], dtype=np.float64)
    graph = net.load(tmp_path, net.node("MatMul", "x", net.node(kind, a, b)))
    np.testing.assert_allclose(golden.run(graph, X), X @ expected, rtol=1e-12)


def test_neg(tmp_path):
    np.testing.assert_array_equal(run_op(tmp_path, X, "Neg"), -X)
    net = Net([1, 5])
    weights = net.node("Neg", net.node("BipolarQuant", X[:5], np.ones(1)))
    graph = net.load(tmp_path, net.node("MatMul", "x", weights))
    assert graph.output.bits == 1
    np.testing.assert_array_equal(graph.output.weights, np.where(X[:5].T >= 0, -1, 1))


@pytest.mark.parametrize("x", [X, PICTURE])
def test_batch_normalization(tmp_path, x):
    channels = x.shape[1]
    gamma, beta, mean = RNG.normal(size=(3, channels)).astype(np.float32)
    variance = constants(channels)
    made = run_op(tmp_path, x, "BatchNormalization", gamma, beta, mean, variance, epsilon=1e-3)
    rows = [row.reshape(-1, *[1] * (x.ndim - 2)) for row in (gamma, beta, mean, variance)]
    expected = (x - rows[2]) / np.sqrt(rows[3] + np.float32(1e-3)) * rows[0] + rows[1]
    np.testing.assert_allclose(made, expected.reshape(6, -1), atol=1e-6)


@pytest.mark.parametrize("opset", [9, 20])
def test_relu(tmp_path, opset):
    np.testing.assert_array_equal(run_op(tmp_path, X, "Relu", opset=opset), np.maximum(X, 0))
    net = Net([1, 5], opset=opset)
    made = (net.node("Clip", "x", min=0.0) if opset < 11 else net.node("Clip", "x", np.array(0.0)))
    graph = net.load(tmp_path, net.end(made, 5))
    assert isinstance(graph.nodes[1], Relu)


@pytest.mark.parametrize("kind", ["Sign", "BipolarQuant"])
def test_clip_ahead_of_a_sign(tmp_path, kind):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(-1.0), np.array(1.0))
    made = net.node(kind, clipped, *([np.ones(1)] if kind != "Sign" else []))
    graph = net.load(tmp_path, net.end(made, 5))
    np.testing.assert_array_equal(golden.run(graph, X), np.where(np.clip(X, -1, 1) >= 0, 1, -1))


@pytest.mark.parametrize("unused", ["Dropout", "Identity"])
def test_clip_ahead_of_levels(tmp_path, unused):
    net = Net([1, 5])
    levels = np.array([[-0.5, 0.0, 1.0]])
    clipped = net.node(unused, net.node("Clip", "x", np.array(-1.0), np.array(1.0)))
    made = net.node("MultiThreshold", clipped, levels, out_dtype="UINT2")
    graph = net.load(tmp_path, net.end(made, 5))
    np.testing.assert_array_equal(golden.run(graph, X),
                                  (np.clip(X, -1, 1)[..., None] >= levels).sum(-1))


@pytest.mark.parametrize("level", [-1.0, 1.5])
def test_clip_that_hides_a_level(tmp_path, level):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(-1.0), np.array(1.0))
    made = net.node("MultiThreshold", clipped, np.array([[level]]), out_dtype="BIPOLAR")
    with pytest.raises(ModelError, match=r"must have levels above -1\.0 and up to 1\.0, to which "
                                         f"what it reads is cut, not {level} to {level}$"):
        net.load(tmp_path, net.end(made, 5))


@pytest.mark.parametrize(("low", "high", "signed"), [(-1.0, 0.875, 1), (-5.0, 5.0, 1),
                                                     (0.0, 6.0, 0)])
def test_clip_ahead_of_quant(tmp_path, low, high, signed):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(low), np.array(high))
    made = net.node("Quant", clipped, np.array(0.125), np.array(0.0), np.array(4.0),
                    signed=signed)
    x = 5 * X
    limits = (-8, 7) if signed else (0, 15)
    expected = np.clip(np.rint(np.clip(x, low, high) / 0.125), *limits) * 0.125
    graph = net.load(tmp_path, net.end(made, 5))
    np.testing.assert_array_equal(golden.run(graph, x), expected)


def test_clip_that_hides_integers(tmp_path):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(-1.0), np.array(0.5))
    made = net.node("Quant", clipped, np.array(0.125), np.array(0.0), np.array(4.0))
    with pytest.raises(ModelError, match="must round to integers within -8 to 4, to which what "
                                         "it reads is cut, not -8 to 7$"):
        net.load(tmp_path, net.end(made, 5))


def test_clip_elsewhere(tmp_path):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(-1.0), np.array(1.0))
    with pytest.raises(ModelError, match=r"^Node 'n1' \(MatMul\) must be a sign or Quant, as it "
                                         r"follows a Clip that is not ReLU$"):
        net.load(tmp_path, net.end(clipped, 5))


def test_clip_at_the_end(tmp_path):
    net = Net([1, 5])
    clipped = net.node("Clip", net.end("x", 5), np.array(-1.0), np.array(1.0))
    with pytest.raises(ModelError, match="must hold what a layer made, not a comparison or what a "
                                         "Clip or Pad made of it$"):
        net.load(tmp_path, clipped)


def test_clip_to_nothing(tmp_path):
    with pytest.raises(ModelError, match="must have a minimum below its maximum, not "):
        run_op(tmp_path, X, "Clip", np.array(1.0), np.array(1.0))


@pytest.mark.parametrize("kind", ["Identity", "Dropout"])
def test_nothing(tmp_path, kind):
    np.testing.assert_array_equal(run_op(tmp_path, X, kind), X)


def test_cast(tmp_path):
    np.testing.assert_array_equal(run_op(tmp_path, X, "Cast", to=TensorProto.FLOAT), X)
    with pytest.raises(ModelError, match="must make floating point"):
        run_op(tmp_path, X, "Cast", to=TensorProto.INT32)
    with pytest.raises(ModelError, match="must make numbers, not element type 8$"):
        run_op(tmp_path, X, "Cast", to=TensorProto.STRING)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("after", [None, "ArgMax"])
def test_softmax_at_the_end_is_left_out(tmp_path, kind, after):
    net = Net([1, 5])
    made = net.node(kind, net.node("MatMul", "x", np.eye(5)))
    if after:
        made = net.node(after, made, axis=1)
    expected = X.argmax(1) if after else X
    np.testing.assert_array_equal(golden.run(net.load(tmp_path, made), X), expected)


def test_softmax_elsewhere(tmp_path):
    with pytest.raises(ModelError, match=r"\(Softmax\) must be at the end of the model, over"):
        run_op(tmp_path, X, "Softmax")


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("cast", [False, True])
def test_argmax(tmp_path, keepdims, axis, cast):
    net = Net([1, 5])
    made = net.node("ArgMax", net.node("MatMul", "x", np.eye(5)), axis=axis, keepdims=keepdims)
    if cast:
        made = net.node("Cast", made, to=TensorProto.INT32)
    graph = net.load(tmp_path, made)
    assert isinstance(graph.output, ArgMax)
    x = np.concatenate([X, np.zeros((1, 5))])
    np.testing.assert_array_equal(golden.run(graph, x), x.argmax(1))


@pytest.mark.parametrize("opset", [9, 20])
def test_top_1(tmp_path, opset):
    net = Net([1, 5], opset=opset)
    scores = net.node("MatMul", "x", np.eye(5))
    made = (net.node("TopK", scores, outputs=("largest", ""), k=1) if opset < 10 else
            net.node("TopK", scores, np.array([1]), outputs=("largest", ""), axis=-1))
    np.testing.assert_array_equal(golden.run(net.load(tmp_path, made), X), X.argmax(1))


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("ArgMax", (), {"axis": 0}, "must take the largest of the channels of a dense layer$"),
    ("ArgMax", (), {"axis": 1, "select_last_index": 1}, "must take the first of equals$"),
    ("TopK", (np.array([2]),), {}, r"must take the 1 largest, not k = \[2\]$"),
    ("TopK", (np.array([1]),), {"largest": 0}, "must take the 1 largest"),
    ("TopK", (np.array([1]),), {}, "for the index of the largest, not for its value$"),
    ("Div", (np.zeros(5),), {}, "must divide by numbers other than 0$"),
    ("Add", (np.ones(4),), {}, r"must have a summand for each channel of \(5,\), not shape \(4,"),
    ("Add", (np.ones((2, 5)),), {}, "must have a summand for each channel"),
    ("Mul", ("x",), {}, ("must have one constant among its inputs, not the two tensors 'x' and "
                        "'x': only Add and Concat join tensors$")),
    ("Mul", (), {}, "must have at least 2 inputs, not 1$"),
    ("BatchNormalization", (*[np.ones(5)] * 3, -np.ones(5)), {},
     r"must have variances that are not negative, not -1\.0$"),
    ("BatchNormalization", [np.ones(5)] * 4, {"training_mode": 1},
     "must be exported for inference"),
    ("BatchNormalization", [np.ones(4)] * 4, {},
     r"must have a gamma for each of its 5 channels, not shape \(4,\)$"),
    ("BatchNormalization", [np.ones(5)] * 4, {"epsilon": float("nan")},
     "must have a finite 'epsilon', not nan$"),
    ("BatchNormalization", [np.ones(5)] * 4, {"epsilon": "a"},
     "must have another type of attribute 'epsilon', as ONNX defines it$"),
    ("Dropout", (np.array(0.5), np.array(True)), {}, "for inference, not for training$"),
])
def test_refusals(tmp_path, kind, inputs, attributes, match):
    with pytest.raises(ModelError, match=match):
        run_op(tmp_path, X, kind, *inputs, **attributes)


def test_division_by_a_tensor(tmp_path):
    net = Net([1, 5])
    with pytest.raises(ModelError, match="must divide by a constant, not by a tensor$"):
        net.load(tmp_path, net.end(net.node("Div", np.ones(5), "x"), 5))


def test_constants_that_overflow(tmp_path):
    net = Net([1, 5], dtype=np.float64)
    with pytest.raises(ModelError, match="must make finite numbers$"):
        net.load(tmp_path, net.node("MatMul", "x", net.node("Mul", np.full((5, 5), 1e300),
                                                            np.array(1e300))))


def test_constants_too_large(tmp_path):
    net = Net([1, 5])
    rows, columns = np.zeros((1 << 15, 1)), np.zeros((1, 1 << 15))
    with pytest.raises(ModelError, match="must have constants that fit"):
        net.load(tmp_path, net.node("MatMul", "x", net.node("Add", rows, columns)))


@pytest.mark.parametrize(("kind", "inputs"), [("ArgMax", ()), ("Relu", ()), ("Sign", ()),
                                              ("Mul", (np.array(2.0),)), ("Softmax", ())])
def test_nothing_follows_the_class(tmp_path, kind, inputs):
    net = Net([1, 5])
    name = net.node("ArgMax", net.node("MatMul", "x", np.eye(5)), axis=1)
    with pytest.raises(ModelError, match="must not follow the ArgMax or TopK that ends the mod"):
        net.load(tmp_path, net.node(kind, name, *inputs))


def test_a_class_may_be_reshaped(tmp_path):
    net = Net([1, 5])
    name = net.node("ArgMax", net.node("MatMul", "x", np.eye(5)), axis=1)
    name = net.node("Identity", net.node("Squeeze", name, np.array([1])))
    np.testing.assert_array_equal(golden.run(net.load(tmp_path, name), X), X.argmax(1))

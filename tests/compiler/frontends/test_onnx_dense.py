import numpy as np
import pytest
from onnx import TensorProto

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Dense, Sum
from tests.compiler.frontends.models import Net, channels_last


RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 6))
REAL = RNG.normal(size=(3, 6))
SIGNS = np.where(REAL >= 0, 1.0, -1.0)


def only_dense(graph):
    dense, = (node for node in graph.nodes if isinstance(node, Dense))
    return dense


def load_dense(folder, weights, *, kind="Gemm", **options):
    net = Net([1, 6], dtype=np.float64)
    if kind == "Gemm":
        made = net.node("Gemm", "x", weights, transB=1)
    else:
        made = net.node("MatMul", "x", weights.T)
    return net.load(folder, made, **options)


@pytest.mark.parametrize("kind", ["Gemm", "MatMul"])
@pytest.mark.parametrize(("weights", "integers", "scale", "bits"), [
    (SIGNS, SIGNS, 1.0, 1),
    (SIGNS * 0.3, SIGNS, 0.3, 1),
    (SIGNS * [[0.5], [2.0], [0.25]], SIGNS, [0.5, 2.0, 0.25], 1),
    (np.where(abs(REAL) > 0.5, SIGNS, 0) * 0.5, np.where(abs(REAL) > 0.5, SIGNS, 0), 0.5, 2),
    (np.rint(REAL * 40), np.rint(REAL * 40), 1.0, None),
    (REAL, REAL, 1.0, None),
])
def test_weights(tmp_path, kind, weights, integers, scale, bits):
    graph = load_dense(tmp_path, weights, kind=kind)
    dense = only_dense(graph)
    np.testing.assert_array_equal(dense.weights, integers)
    np.testing.assert_array_equal(dense.scale, scale)
    if (weights == np.rint(weights)).all() and bits is None:
        bits = int(abs(weights).max()).bit_length() + 1
    assert dense.bits == bits
    assert (dense.weights.dtype.kind == "i") == (bits is not None)
    np.testing.assert_allclose(golden.run(graph, X), X @ weights.T, atol=1e-12)


def test_a_row_of_zeros_is_ternary(tmp_path):
    weights = np.array([[0] * 6, [0.5] * 6])
    dense = only_dense(load_dense(tmp_path, weights))
    assert dense.bits == 2
    np.testing.assert_array_equal(dense.scale, [1.0, 0.5])


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (1,), (), None])
@pytest.mark.parametrize("turned", [0, 1])
def test_gemm(tmp_path, alpha, beta, shape, turned):
    net = Net([1, 6], dtype=np.float64)
    weights = REAL if turned else REAL.T
    bias = None if shape is None else RNG.normal(size=shape)
    inputs = ["x", weights] + ([bias] if bias is not None else [])
    graph = net.load(tmp_path, net.node("Gemm", *inputs, alpha=alpha, beta=beta, transB=turned))
    expected = alpha * X @ REAL.T + (0 if bias is None else beta * bias)
    np.testing.assert_allclose(golden.run(graph, X), expected, atol=1e-12)


@pytest.mark.parametrize(("bias", "kind"), [(np.array([1.0, -2, 3]), "i"),
                                            (np.array([1.0, -2, 0.5]), "f")])
def test_sums_stay_integer_with_an_integer_bias(tmp_path, bias, kind):
    net = Net([1, 6])
    graph = net.load(tmp_path, net.node("Gemm", "x", SIGNS, bias, transB=1), input_type="binary")
    assert only_dense(graph).bias.dtype.kind == kind
    assert isinstance(graph.type(graph.output.name), Sum) == (kind == "i")


def test_no_bias_of_zeros(tmp_path):
    net = Net([1, 6])
    assert only_dense(net.load(tmp_path, net.node("Gemm", "x", SIGNS, np.zeros(3),
                                                  transB=1))).bias is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_types_of_weights(tmp_path, dtype):
    net = Net([1, 6])
    made = net.node("MatMul", "x", net.node("Cast", np.array(SIGNS.T, dtype),
                                            to=TensorProto.FLOAT))
    dense = only_dense(net.load(tmp_path, made))
    assert dense.bits == 1
    np.testing.assert_array_equal(dense.weights, SIGNS)


@pytest.mark.parametrize("scale", [np.ones(1), np.array(0.5), np.array([[0.5], [1.0], [4.0]])])
@pytest.mark.parametrize("turned", [False, True])
def test_binarized_weights(tmp_path, scale, turned):
    net = Net([1, 6])
    quantized = net.node("BipolarQuant", REAL, scale)
    made = (net.node("MatMul", "x", net.node("Transpose", quantized)) if turned
            else net.node("Gemm", "x", quantized, transB=1))
    graph = net.load(tmp_path, made)
    dense = only_dense(graph)
    assert dense.bits == 1
    np.testing.assert_array_equal(dense.weights, SIGNS)
    np.testing.assert_array_equal(dense.scale, scale.reshape(-1) if scale.size > 1
                                  else float(scale.reshape(-1)[0]))
    np.testing.assert_allclose(golden.run(graph, X), X @ (SIGNS * scale).T, atol=1e-12)


def test_sign_of_weights_is_their_binarization(tmp_path):
    weights = REAL.copy()
    weights[0, 0] = 0
    expected = np.where(weights >= 0, 1, -1)
    net = Net([1, 6])
    dense = only_dense(net.load(tmp_path, net.node("Gemm", "x", net.node("Sign", weights),
                                                   transB=1)))
    assert dense.bits == 1
    np.testing.assert_array_equal(dense.weights, expected)


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("scale", [np.array(0.25), np.array([[0.25], [0.5], [0.125]])])
def test_quantized_weights(tmp_path, bits, signed, narrow, scale):
    net = Net([1, 6])
    quantized = net.node("Quant", REAL.astype(np.float32), scale, np.zeros(1), np.array(bits),
                         signed=signed, narrow=narrow)
    graph = net.load(tmp_path, net.node("Gemm", "x", quantized, transB=1))
    low = -2 ** (bits - 1) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2 ** bits - 1 - narrow
    integers = np.clip(np.rint(REAL.astype(np.float32) / scale), low, high)
    dense = only_dense(graph)
    np.testing.assert_array_equal(dense.weights, integers)
    np.testing.assert_array_equal(dense.scale, scale.reshape(-1) if scale.size > 1 else scale)
    assert dense.bits == (1 if (abs(integers) == 1).all() else bits + (not signed))
    np.testing.assert_allclose(golden.run(graph, X), X @ (integers * scale).T, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 2, 2), (1, 4, 4)])
@pytest.mark.parametrize("flatten", [True, False])
def test_columns_follow_channels_last_pictures(tmp_path, shape, flatten):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, *shape))
    weights = rng.normal(size=(5, x[0].size))
    net = Net([1, *shape], dtype=np.float64)
    flat = (net.node("Flatten", "x") if flatten
            else net.node("Reshape", "x", np.array([1, -1])))
    graph = net.load(tmp_path, net.node("MatMul", flat, weights.T))
    assert graph.input.shape == (shape[1], shape[2], shape[0])
    np.testing.assert_allclose(golden.run(graph, channels_last(x)),
                               x.reshape(4, -1) @ weights.T, atol=1e-12)
    if shape[0] == 1:
        np.testing.assert_array_equal(only_dense(graph).weights, weights)


def refused(net, made, folder, match):
    with pytest.raises(ModelError, match=match):
        net.load(folder, made)


@pytest.mark.parametrize("weights", [np.ones((5, 3)), np.ones(6), np.ones((6, 3, 1)),
                                     np.ones((6, 0))])
def test_weights_that_do_not_fit(tmp_path, weights):
    net = Net([1, 6])
    refused(net, net.node("MatMul", "x", weights), tmp_path,
            r"^Node 'n0' \(MatMul\) must have weights of \(inputs, outputs\) = \(6, ...\)")


@pytest.mark.parametrize("bias", [np.ones(4), np.ones((2, 3)), np.ones((3, 1))])
def test_bias_that_does_not_fit(tmp_path, bias):
    net = Net([1, 6])
    refused(net, net.node("Gemm", "x", REAL.T, bias), tmp_path,
            r"\(Gemm\) must have a bias for each of its 3 outputs, not shape")


def test_turned_input(tmp_path):
    net = Net([1, 6])
    refused(net, net.node("Gemm", "x", REAL.T, transA=1), tmp_path,
            r"\(Gemm\) must have transA = 0, not 1$")


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_alpha(tmp_path, alpha):
    net = Net([1, 6])
    refused(net, net.node("Gemm", "x", REAL.T, alpha=alpha), tmp_path,
            r"\(Gemm\) must have a positive alpha, not -?[01]\.0$")


def test_weights_first(tmp_path):
    net = Net([1, 6])
    refused(net, net.node("MatMul", REAL, "x"), tmp_path,
            r"\(MatMul\) must have a tensor as its first input and constant weights as its second")


def test_scale_for_each_input(tmp_path):
    net = Net([1, 6])
    quantized = net.node("BipolarQuant", REAL, np.arange(1.0, 7)[None])
    refused(net, net.node("Gemm", "x", quantized, transB=1), tmp_path,
            "one scale, or one for each output, not for each input$")

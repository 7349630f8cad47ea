import numpy as np
import pytest

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Affine, Minifloat, Quant, Threshold
from tests.compiler.frontends.models import Net, run_op


RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(6, 5)), np.zeros((1, 5)), np.full((1, 5), -1e-30)])


def kinds(graph):
    return [type(node) for node in graph.nodes[1:-1]]


@pytest.mark.parametrize(("kind", "inputs"), [
    ("Sign", ()), ("BipolarQuant", (np.ones(1),)), ("BipolarQuant", (np.array(1.0),)),
])
def test_sign_of_zero_is_positive(tmp_path, kind, inputs):
    net = Net([1, 5])
    graph = net.load(tmp_path, net.end(net.node(kind, "x", *inputs), 5))
    assert kinds(graph) == [Threshold]
    np.testing.assert_array_equal(golden.run(graph, X), np.where(X >= 0, 1, -1))


@pytest.mark.parametrize("scale", [np.array([0.5]), np.array([[1, 2, 3, 4, 5.0]])])
def test_scaled_sign(tmp_path, scale):
    net = Net([1, 5])
    graph = net.load(tmp_path, net.end(net.node("BipolarQuant", "x", scale), 5))
    assert kinds(graph) == [Threshold, Affine]
    np.testing.assert_array_equal(golden.run(graph, X), np.where(X >= 0, scale, -scale))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("zero_point", [0.0, 1.0])
def test_quant(tmp_path, bits, signed, narrow, zero_point):
    net = Net([1, 5])
    made = net.node("Quant", "x", np.array(0.25), np.array(zero_point), np.array(float(bits)),
                    signed=signed, narrow=narrow, rounding_mode="ROUND")
    graph = net.load(tmp_path, net.end(made, 5))
    assert kinds(graph) == [Quant]
    low = -2 ** (bits - 1) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2 ** bits - 1 - narrow
    x = np.concatenate([X, np.full((1, 5), 1000.0), np.full((1, 5), -1000.0)])
    expected = (np.clip(np.rint(x / 0.25 + zero_point), low, high) - zero_point) * 0.25
    np.testing.assert_array_equal(golden.run(graph, x), expected)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 255])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (2.0, -1.0), (0.5, 3.0), (-1.0, 1.0)])
def test_multi_threshold(tmp_path, count, channels, scale, bias):
    levels = np.sort(RNG.normal(size=(channels, count)).astype(np.float32), 1)
    levels[0, 0] = X[0, 0]
    levels = np.sort(levels, 1)
    made = run_op(tmp_path, X, "MultiThreshold", levels, out_scale=scale, out_bias=bias,
                  out_dtype="INT8")
    np.testing.assert_array_equal(made, (X[..., None] >= levels).sum(-1) * scale + bias)


@pytest.mark.parametrize(("count", "scale", "bias", "expected"), [
    (1, 2.0, -1.0, [Threshold]), (1, 1.0, 0.0, [Threshold, Affine]),
    (3, 1.0, 0.0, [Threshold]), (3, 1.0, -1.0, [Threshold, Affine]),
])
def test_no_affine_that_changes_nothing(tmp_path, count, scale, bias, expected):
    net = Net([1, 5])
    made = net.node("MultiThreshold", "x", np.arange(count)[None] * 1.0, out_scale=scale,
                    out_bias=bias, out_dtype="INT2")
    assert kinds(net.load(tmp_path, net.end(made, 5))) == expected


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_levels_of_a_picture(tmp_path, layout):
    x = RNG.normal(size=(4, 2, 3, 5)).astype(np.float32)
    channels = 2 if layout == "NCHW" else 5
    levels = np.sort(RNG.normal(size=(channels, 3)).astype(np.float32), 1)
    made = run_op(tmp_path, x, "MultiThreshold", levels, data_layout=layout, out_dtype="UINT2")
    rows = levels.reshape((2, 1, 1, 3) if layout == "NCHW" else (5, 3))
    np.testing.assert_array_equal(made, (x[..., None] >= rows).sum(-1).reshape(4, -1))


def test_levels_in_any_order(tmp_path):
    made = run_op(tmp_path, X, "MultiThreshold", np.array([[0.5, -0.5, 0.0]]), out_dtype="INT2")
    np.testing.assert_array_equal(made, (X[..., None] >= [0.5, -0.5, 0.0]).sum(-1))


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("BipolarQuant", (np.zeros(1),), {}, r"must have positive scales, not 0\.0$"),
    ("BipolarQuant", (np.ones((1, 4)),), {}, "must have a scale for each channel|positive"),
    ("BipolarQuant", (), {}, "must have at least 2 inputs, not 1$"),
    ("Quant", (np.ones((1, 5)) * [1, 1, 1, 1, 2], np.zeros(1), np.array(4.0)), {},
     r"must have one scale for the whole tensor, not shape \(1, 5\)$"),
    ("Quant", (np.array(-1.0), np.zeros(1), np.array(4.0)), {}, "must have positive scales"),
    ("Quant", (np.array(1.0), np.zeros(1), np.array(2.5)), {},
     r"must have a width of 1 to 32 bits, not 2\.5$"),
    ("Quant", (np.array(1.0), np.zeros(1), np.array(64.0)), {}, "must have a width"),
    ("Quant", (np.array(1.0), np.zeros(1), np.array(4.0)), {"rounding_mode": "FLOOR"},
     r"must round half to even \(rounding_mode ROUND\), not 'FLOOR'$"),
    ("MultiThreshold", (np.zeros((3, 1)),), {"out_dtype": "BIPOLAR"},
     r"must have a row of levels for each of its 5 channels, not shape \(3, 1\)$"),
    ("MultiThreshold", (np.zeros((1, 256)),), {"out_dtype": "UINT8"},
     r"must have 1 to 255 levels a channel, not shape \(1, 256\)$"),
])
def test_refusals(tmp_path, kind, inputs, attributes, match):
    with pytest.raises(ModelError, match=match):
        run_op(tmp_path, X, kind, *inputs, **attributes)


@pytest.mark.parametrize(("zero_point", "scale", "match"), [
    (1.0, 1.0, "must have 0 as the zero point of weights$"),
    (0.0, 0.0, "must have positive scales"),
    (0.0, np.ones((2, 2, 2)), r"must have a scale that fits its weights of \(5, 5\)"),
])
def test_refusals_of_weights(tmp_path, zero_point, scale, match):
    net = Net([1, 5])
    quantized = net.node("Quant", np.eye(5), np.array(scale), np.array(zero_point),
                         np.array(4.0))
    with pytest.raises(ModelError, match=match):
        net.load(tmp_path, net.node("MatMul", "x", quantized))


MINIFLOAT = {"scale": 1.0, "exponent": 4.0, "mantissa": 3.0, "bias": 7.0, "most": 480.0}
FLAGS = {"has_inf": 0, "has_nan": 0, "has_subnormal": 0, "saturation": 1,
         "rounding_mode": "ROUND"}


def float_quant(net, of, **changes):
    numbers = [np.array(value) for value in (MINIFLOAT | {
        key: value for key, value in changes.items() if key in MINIFLOAT}).values()]
    flags = FLAGS | {key: value for key, value in changes.items() if key in FLAGS}
    return net.node("FloatQuant", of, *numbers, **flags)


def test_float_quant(tmp_path):
    """Known answers of 4 bits of exponent and 3 of mantissa."""
    net = Net([1, 6])
    graph = net.load(tmp_path, net.end(float_quant(net, "x"), 6))
    assert kinds(graph) == [Minifloat]
    x = np.array([[1.0625, 1.1875, -500.0, 0.005, 0.0151, 7.3]])
    assert golden.run(graph, x).tolist() == [[1.0, 1.25, -480.0, 0, 2.0 ** -6, 7.5]]


def test_float_quant_of_weights(tmp_path):
    net = Net([1, 5])
    weights = float_quant(net, net.constant(np.full((5, 5), 1.1)))
    graph = net.load(tmp_path, net.node("MatMul", "x", weights))
    assert (graph.nodes[1].weights * graph.nodes[1].scale == 1.125).all()


@pytest.mark.parametrize(("change", "sentence"), [
    ({"scale": 2.0}, "must have 1 as its scale, not 2"),
    ({"bias": 8.0}, "must have 7 as its exponent bias, not 8"),
    ({"most": 240.0}, "must have a maximum of 480, the greatest number of its bits, not 240"),
    ({"exponent": 4.5}, "must have whole bits of exponent and mantissa, not 4.5 and 3.0"),
    ({"has_inf": 1}, "must have has_inf = 0, not 1"),
    ({"has_subnormal": 1}, "must have has_subnormal = 0, not 1"),
    ({"saturation": 0}, "must have saturation = 1, not 0"),
    ({"rounding_mode": "FLOOR"},
     "must round half to even (rounding_mode ROUND), not 'FLOOR'"),
])
def test_float_quant_refusals(tmp_path, change, sentence):
    net = Net([1, 5])
    with pytest.raises(ModelError) as refusal:
        net.load(tmp_path, net.end(float_quant(net, "x", **change), 5))
    assert sentence in str(refusal.value)


def test_float_quant_of_too_many_bits(tmp_path):
    net = Net([1, 5])
    with pytest.raises(ModelError, match="a minifloat must have 2 to 6 bits of exponent"):
        net.load(tmp_path, net.end(float_quant(net, "x", exponent=8.0), 5))

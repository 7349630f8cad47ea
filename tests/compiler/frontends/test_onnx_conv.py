import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Conv, Sum
from tests.compiler.frontends.models import Net, agrees, channels_last


RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 2, 6, 7))
REAL = RNG.normal(size=(4, 2, 3, 2))
SIGNS = np.where(REAL >= 0, 1.0, -1.0)


def only_conv(graph):
    conv, = (node for node in graph.nodes if isinstance(node, Conv))
    return conv


def load_conv(folder, weights, *inputs, shape=(1, 2, 6, 7), **attributes):
    net = Net(shape, dtype=np.float64)
    return net.load(folder, net.node("Conv", "x", weights, *inputs, **attributes))


def ours(weights):
    return weights.transpose(0, 2, 3, 1)


borders = st.one_of(
    st.lists(st.integers(0, 3), min_size=4, max_size=4).map(lambda pads: {"pads": pads}),
    st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]).map(
        lambda mode: {"auto_pad": mode}))
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


def fits(size, kernel, stride, border):
    """Whether there is room for a window; ONNX leaves open what else should come of it."""
    if border.get("auto_pad", "").startswith("SAME"):
        return all(k > s - 2 for k, s in zip(kernel, stride, strict=True))
    pads = border.get("pads", [0] * 4)
    return all(n + a + b >= k for n, k, a, b in zip(size, kernel, pads[:2], pads[2:], strict=True))


@settings(max_examples=150)
@given(size=st.tuples(st.integers(1, 8), st.integers(1, 8)), kernel=pairs, stride=pairs,
       border=borders, groups=st.sampled_from([1, 2, 4]), wide=st.integers(1, 2),
       bias=st.booleans(), seed=st.integers(0, 99))
def test_same_as_onnx_runtime(tmp_path_factory, size, kernel, stride, border, groups, wide, bias,
                              seed):
    assume(fits(size, kernel, stride, border))
    rng = np.random.default_rng(seed)
    net = Net([1, 4, *size])
    inputs = [rng.normal(size=(4 * wide, 4 // groups, *kernel))]
    if bias:
        inputs.append(rng.normal(size=4 * wide))
    made = net.node("Conv", "x", *inputs, strides=stride, group=groups, **border)
    agrees(tmp_path_factory.mktemp("net"), net, made, rng.normal(size=(1, 4, *size)))


@pytest.mark.parametrize(("weights", "integers", "scale", "bits"), [
    (SIGNS, SIGNS, 1.0, 1),
    (SIGNS * 0.3, SIGNS, 0.3, 1),
    (SIGNS * np.array([0.5, 2, 0.25, 1])[:, None, None, None], SIGNS, [0.5, 2, 0.25, 1], 1),
    (np.where(abs(REAL) > 0.5, SIGNS, 0) * 0.5, np.where(abs(REAL) > 0.5, SIGNS, 0), 0.5, 2),
    (np.rint(REAL * 30), np.rint(REAL * 30), 1.0, 8),
    (REAL, REAL, 1.0, None),
])
def test_weights(tmp_path, weights, integers, scale, bits):
    conv = only_conv(load_conv(tmp_path, weights))
    np.testing.assert_array_equal(conv.weights, ours(integers))
    np.testing.assert_array_equal(conv.scale, scale)
    assert conv.bits == bits
    assert (conv.weights.dtype.kind == "i") == (bits is not None)


@pytest.mark.parametrize("scale", [np.ones(1), np.array(0.5),
                                   np.array([0.5, 1, 4, 2]).reshape(4, 1, 1, 1)])
def test_binarized_weights(tmp_path, scale):
    net = Net([1, 2, 6, 7])
    graph = net.load(tmp_path, net.node("Conv", "x", net.node("BipolarQuant", REAL, scale)))
    conv = only_conv(graph)
    assert conv.bits == 1
    np.testing.assert_array_equal(conv.weights, ours(SIGNS))
    np.testing.assert_array_equal(conv.scale, scale.reshape(-1) if scale.size > 1
                                  else float(scale.reshape(-1)[0]))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [np.array(0.25), np.array([1, 2, 3, 4]).reshape(4, 1, 1, 1) / 8])
def test_quantized_weights(tmp_path, bits, scale):
    net = Net([1, 2, 6, 7])
    quantized = net.node("Quant", REAL.astype(np.float32), scale, np.zeros(1), np.array(bits),
                         signed=1, narrow=1)
    conv = only_conv(net.load(tmp_path, net.node("Conv", "x", quantized)))
    limit = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(
        conv.weights, ours(np.clip(np.rint(REAL.astype(np.float32) / scale), -limit, limit)))
    np.testing.assert_array_equal(conv.scale, scale.reshape(-1) if scale.size > 1 else 0.25)
    assert conv.bits == bits


@pytest.mark.parametrize(("bias", "kind"), [([1.0, -2, 3, 0], "i"), ([1.0, -2, 3, 0.5], "f")])
def test_sums_stay_integer_with_an_integer_bias(tmp_path, bias, kind):
    net = Net([1, 2, 6, 7])
    made = net.node("Conv", "x", SIGNS, np.array(bias), pads=[1, 1, 1, 1])
    graph = net.load(tmp_path, made, input_type="binary")
    assert only_conv(graph).bias.dtype.kind == kind
    assert graph.type(graph.output.name) == Sum(-12 - 2, 12 + 3) or kind == "f"


def test_what_the_graph_has(tmp_path):
    conv = only_conv(load_conv(tmp_path, REAL[:, :1], strides=[2, 1], pads=[0, 1, 2, 0], group=2))
    assert (conv.stride, conv.pads, conv.groups) == ((2, 1), (0, 1, 2, 0), 2)
    assert conv.weights.shape == (4, 3, 2, 1)


def test_channels_last_model(tmp_path):
    """A model that turns its pictures, as exporters of Keras write it."""
    net = Net([1, 6, 7, 2], dtype=np.float64)
    made = net.node("Conv", net.node("Transpose", "x", perm=[0, 3, 1, 2]), REAL)
    made = net.node("Flatten", net.node("Transpose", made, perm=[0, 2, 3, 1]))
    dense = RNG.normal(size=(96, 3))
    graph = net.load(tmp_path, net.node("MatMul", made, dense))
    assert graph.input.shape == (6, 7, 2)
    pictures = golden.run(load_conv(tmp_path, REAL), channels_last(X))
    np.testing.assert_allclose(golden.run(graph, channels_last(X)),
                               pictures.reshape(3, -1) @ dense)


def test_features_behind_a_picture_keep_what_is_given_to_each(tmp_path):
    net = Net([1, 2, 6, 7])
    made = net.node("Flatten", net.node("Conv", "x", REAL))
    made = net.node("BatchNormalization", made, *RNG.uniform(0.5, 2, (4, 96)))
    made = net.node("Sub", net.node("Mul", made, RNG.normal(size=96)), RNG.normal(size=(1, 96)))
    made = net.node("Gemm", made, RNG.normal(size=(5, 96)), RNG.normal(size=5), transB=1)
    agrees(tmp_path, net, made, X[:1])


def test_channels_of_a_picture(tmp_path):
    net = Net([1, 2, 6, 7])
    made = net.node("Mul", net.node("Sub", "x", RNG.normal(size=(1, 2, 1, 1))), np.array(0.25))
    made = net.node("Conv", made, REAL, pads=[1, 1, 1, 1])
    made = net.node("BatchNormalization", made, *RNG.uniform(0.5, 2, (4, 4)))
    made = net.node("Relu", net.node("Add", made, RNG.normal(size=(4, 1, 1))))
    made = net.node("Conv", made, RNG.normal(size=(1, 4, 1, 1)))
    agrees(tmp_path, net, made, X[:1])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_levels_of_channels(tmp_path, layout):
    levels = np.sort(RNG.normal(size=(4, 3)), 1)
    net = Net([1, 2, 6, 7], dtype=np.float64)
    made = net.node("Conv", "x", REAL)
    if layout == "NHWC":
        made = net.node("Transpose", made, perm=[0, 2, 3, 1])
    made = net.node("MultiThreshold", made, levels, out_dtype="UINT2", data_layout=layout)
    if layout == "NHWC":
        made = net.node("Transpose", made, perm=[0, 3, 1, 2])
    graph = net.load(tmp_path, net.node("Conv", made, np.ones((1, 4, 1, 1))))
    sums = golden.run(load_conv(tmp_path, REAL), channels_last(X))
    np.testing.assert_array_equal(golden.run(graph, channels_last(X)),
                                  (sums[..., None] >= levels).sum((-1, -2))[..., None])


@pytest.mark.parametrize(("weights", "attributes", "match"), [
    (np.ones((4, 3, 3, 3)), {}, r"its 1 groups .* have the 2 channels that it reads, not \(4, 3,"),
    (np.ones((4, 2, 3)), {}, "must have weights of"),
    (np.ones((4, 2, 3, 3, 3)), {}, "must have weights of"),
    (np.ones((0, 2, 3, 3)), {}, "must have weights of"),
    (np.ones((4, 2, 3, 3)), {"group": 2}, "must have weights of"),
    (np.ones((3, 1, 3, 3)), {"group": 2}, "groups divide the outputs"),
    (np.ones((4, 2, 3, 3)), {"group": 0}, "must have weights of"),
    (np.ones((4, 2, 3, 3)), {"group": -1}, "must have weights of"),
    (np.ones((4, 2, 3, 3)), {"dilations": [2, 2]}, r"must have dilations of 1, not \[2, 2\]$"),
    (np.ones((4, 2, 3, 3)), {"strides": [0, 1]}, "two integers of at least 1 as 'strides', not"),
    (np.ones((4, 2, 3, 3)), {"strides": [1]}, r"integers of at least 1 as 'strides', not \[1\]$"),
    (np.ones((4, 2, 3, 3)), {"strides": 1}, "another type of attribute 'strides'"),
    (np.ones((4, 2, 3, 3)), {"pads": [1, 1]}, "pads of four integers of at least 0, not"),
    (np.ones((4, 2, 3, 3)), {"pads": [1, 1, -1, 1]}, "pads of four integers of at least 0, not"),
    (np.ones((4, 2, 3, 3)), {"pads": [1 << 40] * 4}, "must see at most 16777216 elements with"),
    (np.ones((4, 2, 3, 3)), {"auto_pad": "SAME"}, "must have auto_pad of NOTSET, VALID, .* not"),
    (np.ones((4, 2, 1, 1)), {"auto_pad": "SAME_UPPER", "strides": [3, 3]},
     r"must have pads in place of auto_pad, as its stride of \(3, 3\) skips parts of the picture"),
    (np.ones((4, 2, 3, 3)), {"kernel_shape": [3, 2]}, r"must have a kernel_shape of \(3, 3\), as"),
    (np.ones((4, 2, 7, 3)), {}, r"a kernel of \(7, 3\) must fit the picture of 6 x 7"),
])
def test_refusals(tmp_path, weights, attributes, match):
    with pytest.raises(ModelError, match=match) as caught:
        load_conv(tmp_path, weights, **attributes)
    assert len(caught.value.refusals) == 1


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 7)])
def test_no_picture(tmp_path, shape):
    with pytest.raises(ModelError, match=r"^Node 'n0' \(Conv\) must read a picture of \(channels, "
                                         r"height, width\)"):
        load_conv(tmp_path, np.ones((4, 2, 3, 3)), shape=shape)


def test_picture_that_was_flat(tmp_path):
    net = Net([1, 84])
    made = net.node("Conv", net.node("Reshape", "x", np.array([1, 2, 6, 7])), REAL)
    with pytest.raises(ModelError, match="must read a picture of .* not .* moved about$"):
        net.load(tmp_path, made)


def test_bias_that_does_not_fit(tmp_path):
    with pytest.raises(ModelError, match="must have a bias for each of its 4 outputs, not shape"):
        load_conv(tmp_path, REAL, np.ones(3))


def test_weights_that_depend_on_the_input(tmp_path):
    net = Net([1, 2, 6, 7])
    with pytest.raises(ModelError, match="must have a constant as input 1, not 'x'"):
        net.load(tmp_path, net.node("Conv", "x", "x"))


def test_no_weights(tmp_path):
    net = Net([1, 2, 6, 7])
    with pytest.raises(ModelError, match="must have at least 2 inputs, not 1$"):
        net.load(tmp_path, net.node("Conv", "x"))


def test_scale_for_each_input(tmp_path):
    net = Net([1, 2, 6, 7])
    quantized = net.node("BipolarQuant", REAL, np.arange(1.0, 3).reshape(2, 1, 1))
    with pytest.raises(ModelError, match="one scale, or one for each output, not for each input$"):
        net.load(tmp_path, net.node("Conv", "x", quantized))

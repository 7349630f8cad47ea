import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import AveragePool, Flatten, MaxPool, Threshold
from tests.compiler.frontends.models import Net, agrees, channels_last
from tests.compiler.frontends.test_onnx_conv import borders, fits, pairs


RNG = np.random.default_rng(0)
X = RNG.normal(size=(1, 3, 6, 7))
WEIGHTS = RNG.normal(size=(2, 3, 1, 1))


def pooled(kind, *inputs, shape=(1, 3, 6, 7), outputs=("",), opset=20, **attributes):
    """A network of one pool and a convolution of one tap, since a model must have a layer."""
    net = Net(shape, opset=opset)
    made = net.node(kind, "x", *inputs, outputs=outputs, **attributes)
    return net, net.node("Conv", made, WEIGHTS)


@settings(max_examples=150)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), kernel=pairs, stride=pairs,
       border=borders, ceil=st.integers(0, 1))
def test_max_pool(tmp_path_factory, size, kernel, stride, border, ceil):
    assume(fits(size, kernel, np.add(stride, 1), border))
    if "auto_pad" in border:
        ceil = 0
    net, made = pooled("MaxPool", shape=(1, 3, *size), kernel_shape=kernel, strides=stride,
                       ceil_mode=ceil, **border)
    agrees(tmp_path_factory.mktemp("net"), net, made, RNG.normal(size=(1, 3, *size)))


@settings(max_examples=150)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), kernel=pairs, stride=pairs,
       border=borders)
def test_average_pool(tmp_path_factory, size, kernel, stride, border):
    assume(fits(size, kernel, np.add(stride, 1), border))
    net, made = pooled("AveragePool", shape=(1, 3, *size), kernel_shape=kernel, strides=stride,
                       count_include_pad=1, **border)
    agrees(tmp_path_factory.mktemp("net"), net, made, RNG.normal(size=(1, 3, *size)))


def test_average_pool_without_borders(tmp_path):
    net, made = pooled("AveragePool", kernel_shape=[2, 3], strides=[2, 1], ceil_mode=1)
    assert isinstance(agrees(tmp_path, net, made, X).nodes[1], AveragePool)


def test_strides_of_one_by_default(tmp_path):
    net, made = pooled("MaxPool", kernel_shape=[2, 2])
    assert agrees(tmp_path, net, made, X).nodes[1].stride == (1, 1)


@pytest.mark.parametrize(("kind", "ours"), [("GlobalAveragePool", AveragePool),
                                            ("GlobalMaxPool", MaxPool)])
def test_whole_pictures(tmp_path, kind, ours):
    net, made = pooled(kind)
    pool = agrees(tmp_path, net, made, X).nodes[1]
    assert type(pool) is ours
    assert pool.kernel == pool.stride == (6, 7)


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [3, -2]])
@pytest.mark.parametrize("keep", [0, 1])
def test_mean(tmp_path, opset, axes, keep):
    net = Net([1, 3, 6, 7], opset=opset)
    made = net.node("Conv", "x", RNG.normal(size=(4, 3, 2, 2)))
    given = {"axes": axes} if opset < 18 else {}
    made = net.node("ReduceMean", made, *([] if given else [np.array(axes)]), keepdims=keep,
                    **given)
    made = net.node("Flatten", made) if keep else made
    made = net.node("Gemm", made, RNG.normal(size=(5, 4)), transB=1)
    graph = agrees(tmp_path, net, made, X)
    assert sum(isinstance(node, AveragePool) for node in graph.nodes) == 1
    assert sum(isinstance(node, Flatten) for node in graph.nodes) == 1


def test_sign_behind_a_pool_behind_a_clip(tmp_path):
    """Networks are trained so; the cut changes neither the maximum's place nor its sign."""
    net = Net([1, 3, 6, 7], dtype=np.float64)
    made = net.node("Clip", "x", np.array(-1.0), np.array(1.0))
    made = net.node("Sign", net.node("MaxPool", made, kernel_shape=[2, 2], strides=[2, 2]))
    graph = net.load(tmp_path, net.node("Conv", made, np.ones((1, 3, 1, 1))))
    assert [type(node) for node in graph.nodes[1:3]] == [MaxPool, Threshold]
    highest = X[:, :, :, :6].reshape(1, 3, 3, 2, 3, 2).max((3, 5))
    np.testing.assert_array_equal(golden.run(graph, channels_last(X)),
                                  channels_last(np.where(highest >= 0, 1, -1).sum(1)[:, None]))


@pytest.mark.parametrize(("kind", "attributes", "match"), [
    ("MaxPool", {}, "must have two integers of at least 1 as 'kernel_shape', not None$"),
    ("MaxPool", {"kernel_shape": [2]}, "integers of at least 1 as 'kernel_shape', not"),
    ("MaxPool", {"kernel_shape": [2, 2, 2]}, "integers of at least 1 as 'kernel_shape', not"),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [0, 0]}, "at least 1 as 'strides', not"),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [1, 2]}, "must have dilations of 1, not"),
    ("MaxPool", {"kernel_shape": [2, 2], "pads": [2, 2, 2, 2]}, "pads must be smaller than its"),
    ("MaxPool", {"kernel_shape": [9, 9]}, r"a kernel of \(9, 9\) must fit the picture of 6 x 7"),
    ("MaxPool", {"kernel_shape": [1 << 40, 1 << 40], "auto_pad": "SAME_UPPER"},
     "must see at most 16777216 elements with its borders"),
    ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]},
     "must have count_include_pad = 1 where it has pads, not 0$"),
    ("AveragePool", {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
     "must have count_include_pad = 1 where it has pads, not 0$"),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
     "must have ceil_mode = 0 where the last window leaves the picture, not 1$"),
    ("ReduceMean", {"axes": [1]},
     r"must take the mean over height and width, the axes 2 and 3, not \(1,\)$"),
    ("ReduceMean", {}, r"must take the mean over height and width, the axes 2 and 3, not \(\)$"),
])
def test_refusals(tmp_path, kind, attributes, match):
    net, made = pooled(kind, opset=13, **attributes)
    with pytest.raises(ModelError, match=match) as caught:
        net.load(tmp_path, made)
    assert len(caught.value.refusals) == 1


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
def test_no_picture(tmp_path, kind):
    net, made = pooled(kind, shape=(1, 3, 8), **({} if "Global" in kind else
                                                 {"kernel_shape": [2]}))
    with pytest.raises(ModelError, match="must read a picture of"):
        net.load(tmp_path, made)


def test_places_of_the_maximum(tmp_path):
    net = Net([1, 3, 6, 7])
    places = net.node("MaxPool", "x", outputs=("values", ""), kernel_shape=[2, 2])
    with pytest.raises(ModelError, match="must be used for its values, not for their places$"):
        net.load(tmp_path, net.node("Conv", places, WEIGHTS))
    net = Net([1, 3, 6, 7])
    net.node("MaxPool", "x", outputs=("", "places"), kernel_shape=[2, 2])
    net.load(tmp_path, net.node("Conv", "maxpool0", WEIGHTS))

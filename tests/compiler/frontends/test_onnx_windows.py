import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.frontends import ModelError
from compiler.ir import AveragePool, Conv
from tests.compiler.frontends.models import Net, agrees


RNG = np.random.default_rng(0)
X = RNG.normal(size=(1, 2, 6, 7))
WEIGHTS = RNG.normal(size=(3, 2, 3, 3))
SIDES = [0, 0, 1, 2, 0, 0, 3, 0]  # the first and the last of batch, channels, y, x


def padded(*inputs, opset=20, shape=(1, 2, 6, 7), **attributes):
    net = Net(shape, opset=opset)
    return net, net.node("Pad", "x", *inputs, **attributes)


@given(sides=st.lists(st.integers(0, 3), min_size=4, max_size=4),
       pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
       mode=st.sampled_from(["NOTSET", "SAME_UPPER"]))
def test_border_of_a_convolution(tmp_path_factory, sides, pads, mode):
    net, made = padded(np.array([0, 0, *sides[:2], 0, 0, *sides[2:]]))
    border = {"pads": pads} if mode == "NOTSET" else {"auto_pad": mode}
    made = net.node("Conv", made, WEIGHTS, strides=[2, 1], **border)
    conv = agrees(tmp_path_factory.mktemp("net"), net, made, X).nodes[1]
    assert isinstance(conv, Conv)
    if mode == "NOTSET":
        assert conv.pads == tuple(a + b for a, b in zip(sides, pads, strict=True))


def test_border_of_an_average(tmp_path):
    """The zeros of a Pad count, whatever count_include_pad says."""
    net, made = padded(np.array([0, 0, 1, 0, 0, 0, 1, 2]))
    made = net.node("AveragePool", made, kernel_shape=[3, 3])
    graph = agrees(tmp_path, net, net.node("Conv", made, np.ones((1, 2, 1, 1))), X)
    assert isinstance(graph.nodes[1], AveragePool)
    assert graph.nodes[1].pads == (1, 0, 1, 2)


@pytest.mark.parametrize(("inputs", "attributes", "opset"), [
    ((np.array(SIDES), np.array(0.0)), {"mode": "constant"}, 20),
    ((np.array([1, 2, 3, 0]), np.array(0.0), np.array([2, 3])), {}, 20),
    ((np.array([2, 1, 0, 3]), "", np.array([-1, -2])), {}, 20),
    ((), {"pads": SIDES, "value": 0.0}, 9),
])
def test_dialects(tmp_path, inputs, attributes, opset):
    net, made = padded(*inputs, opset=opset, **attributes)
    conv = agrees(tmp_path, net, net.node("Conv", made, WEIGHTS), X).nodes[1]
    assert conv.pads == (1, 2, 3, 0)


@pytest.mark.parametrize("shape", [(1, 2, 6, 7), (1, 5)])
def test_no_border(tmp_path, shape):
    net, made = padded(np.zeros(2 * len(shape), np.int64), shape=shape, mode="reflect")
    net.load(tmp_path, net.end(net.node("Flatten", made), int(np.prod(shape))))


@pytest.mark.parametrize(("inputs", "attributes", "match"), [
    ((np.array(SIDES), np.array(-1.0)), {}, r"must pad with zeros, not -1\.0$"),
    ((np.array(SIDES),), {"mode": "reflect"}, "must pad with zeros, not reflect$"),
    ((np.array([0, 1, 1, 1, 0, 0, 1, 1]),), {}, "must pad height and width, by 8 integers of"),
    ((np.array([0, 0, 1, -1, 0, 0, 1, 1]),), {}, "must pad height and width, by 8 integers of"),
    ((np.array([1, 1, 1, 1]),), {}, "must pad height and width, by 8 integers of"),
    ((np.array([1, 1]), "", np.array([2, 3])), {}, "must have two pads for each of its axes"),
    ((np.array([1, 1, 1, 1]), "", np.array([2, 4])), {}, "must have two pads for each of its"),
    ((), {}, "must have pads$"),
    ((np.array([0, 0, 1 << 40, 0, 0, 0, 0, 0]),), {}, "must see at most 16777216 elements"),
])
def test_refusals(tmp_path, inputs, attributes, match):
    net, made = padded(*inputs, **attributes)
    with pytest.raises(ModelError, match=match) as caught:
        net.load(tmp_path, net.node("Conv", made, WEIGHTS))
    assert len(caught.value.refusals) == 1


@pytest.mark.parametrize(("kind", "attributes"), [
    ("Relu", {}), ("Pad", {"pads": SIDES}), ("MaxPool", {"kernel_shape": [2, 2]}),
    ("Flatten", {}), ("Shape", {})])
def test_other_readers(tmp_path, kind, attributes):
    net, made = padded(opset=9, pads=SIDES)
    made = net.node(kind, made, **attributes)
    with pytest.raises(ModelError, match=rf"\({kind}\) must be Conv or AveragePool, as it follows "
                                         "a Pad$"):
        net.load(tmp_path, net.node("Conv", made, WEIGHTS))


def test_at_the_end(tmp_path):
    net, _ = padded()
    made = net.node("Pad", net.node("Conv", "x", WEIGHTS), np.array(SIDES))
    with pytest.raises(ModelError, match="must hold what a layer made, not a comparison or what a "
                                         "Clip or Pad made of it$"):
        net.load(tmp_path, made)

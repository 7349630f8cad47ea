import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Add,
    AveragePool,
    Binary,
    Concat,
    Conv,
    Fixed,
    Graph,
    GraphError,
    Input,
    MaxPool,
    Real,
    Sum,
)


SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))
SIDES = st.tuples(*[st.integers(0, 2)] * 4)


def planes(x):
    """Channels last to channels first, as PyTorch has them."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)).astype(float))


def pixels(x):
    return x.numpy().transpose(0, 2, 3, 1)


def bordered(x, pads, value=0.0):
    top, left, bottom, right = pads
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value)


@given(st.data())
def test_conv_is_that_of_pytorch(data):
    chance = np.random.default_rng(data.draw(st.integers(0, 99)))
    kernel = data.draw(SHAPES)
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = data.draw(SIDES)
    groups = data.draw(st.integers(1, 3))
    width, outputs = groups * data.draw(st.integers(1, 3)), groups * data.draw(st.integers(1, 3))
    size = [side + data.draw(st.integers(0, 4)) for side in kernel]
    weights = chance.integers(-9, 9, (outputs, *kernel, width // groups))
    node = Conv(name="conv", inputs=("x",), weights=weights, bits=8, stride=stride, pads=pads,
                groups=groups, bias=chance.integers(-9, 9, outputs))
    x = chance.integers(-128, 128, (2, *size, width))
    graph = Graph((Input(name="x", shape=(*size, width), type=Fixed(8)), node))
    found = golden.run(graph, x)
    right = torch.nn.functional.conv2d(
        bordered(planes(x), pads), planes(weights), torch.tensor(node.bias.astype(float)),
        stride=stride, groups=groups)
    np.testing.assert_array_equal(found, pixels(right))
    assert found.dtype == np.int64
    assert found.shape[1:] == graph.shape("conv")
    assert isinstance(graph.type("conv"), Sum)
    assert graph.type("conv").low <= found.min() <= found.max() <= graph.type("conv").high


@given(st.data())
def test_pools_are_those_of_pytorch(data):
    chance = np.random.default_rng(data.draw(st.integers(0, 99)))
    kernel = data.draw(SHAPES)
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = tuple(data.draw(st.integers(0, side - 1)) for side in kernel * 2)
    size = [side + data.draw(st.integers(0, 4)) for side in kernel]
    x = chance.integers(-128, 128, (2, *size, 3))
    fields = {"inputs": ("x",), "kernel": kernel, "stride": stride, "pads": pads}
    found = golden.evaluate(MaxPool(name="pool", **fields), x)
    right = torch.nn.functional.max_pool2d(bordered(planes(x), pads, -np.inf), kernel, stride)
    np.testing.assert_array_equal(found, pixels(right))
    found = golden.evaluate(AveragePool(name="pool", **fields), x)
    right = torch.nn.functional.avg_pool2d(bordered(planes(x), pads), kernel, stride)
    np.testing.assert_allclose(found, pixels(right))


def test_a_border_of_bits_is_zero():
    graph = Graph((Input(name="x", shape=(1, 1, 2), type=Binary()),
                   Conv(name="conv", inputs=("x",), weights=np.ones((1, 3, 3, 2), int), bits=1,
                        pads=(1, 1, 1, 1))))
    assert golden.run(graph, np.array([[[[1, 1]]]])).tolist() == [[[[2]]]]


def test_joins():
    x, y = np.arange(4).reshape(1, 2, 2, 1), np.ones((1, 2, 2, 1), int)
    assert golden.evaluate(Add(name="sum"), x, y).ravel().tolist() == [1, 2, 3, 4]
    assert golden.evaluate(Concat(name="both"), x, y).tolist() == [
        [[[0, 1], [1, 1]], [[2, 1], [3, 1]]]]


@pytest.mark.parametrize(("kinds", "made"), [
    ((Fixed(4), Fixed(4)), Fixed(4)),
    ((Fixed(4, signed=False), Fixed(4)), Fixed(5)),
    ((Fixed(4, fl=1), Fixed(4)), Real()),
    ((Binary(), Fixed(4)), Real()),
    ((Sum(-3, 4), Sum(0, 9)), Sum(-3, 9)),
])
def test_type_of_a_concat(kinds, made):
    results = [((2, 2, width), kind) for width, kind in enumerate(kinds, 1)]
    assert Concat(name="both").result(*results) == ((2, 2, 3), made)


@pytest.mark.parametrize(("node", "message"), [
    (Conv(name="c", weights=np.ones((1, 3, 3, 2))), "a kernel of \\(3, 3\\) must fit"),
    (Conv(name="c", weights=np.ones((1, 1, 1, 3))), "must read \\(height, width, 3\\)"),
    (Conv(name="c", weights=np.ones((3, 1, 1, 1)), groups=2), "groups must divide"),
    (Conv(name="c", weights=np.ones((1, 1, 1, 2)), stride=(0, 1)), "must be at least 1"),
    (Conv(name="c", weights=np.ones((1, 1))), "weights must be"),
    (MaxPool(name="p", kernel=(2, 2), stride=(1, 1), pads=(2, 0, 0, 0)), "pads must be smaller"),
])
def test_what_cannot_be(node, message):
    with pytest.raises(GraphError, match=message):
        node.result(((2, 2, 2), Binary()))

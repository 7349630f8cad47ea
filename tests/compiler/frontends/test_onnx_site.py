from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from compiler.frontends.onnx_site import Builder, Site, channels_first
from compiler.frontends.onnx_values import Constant, Tensor
from compiler.frontends.refusal import Refusal
from compiler.ir import Flatten, GraphError, Input, Relu


@pytest.fixture
def builder():
    return Builder([helper.make_node("Relu", ["a"], ["b"]),
                    helper.make_node("Add", ["b", "b"], ["c"])], "c", Path())


def picture(builder):
    """A channels-last tensor of 2 x 3 pixels with 4 channels, as ONNX sees it."""
    index = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    return builder.add(Input(name="a", shape=(2, 3, 4)), index)


def test_readers(builder):
    assert [proto.op_type for proto in builder.readers("b")] == ["Add"]
    assert not builder.readers("c")
    assert builder.is_used("c")
    assert builder.is_used("a")
    assert not builder.is_used("d")


def test_names_are_free(builder):
    tensor = picture(builder)
    names = [builder.emit(Relu, tensor, "a").name for _ in range(3)]
    assert names == ["a_2", "a_3", "a_4"]


def test_nodes_are_checked_at_once(builder):
    with pytest.raises(GraphError, match="every axis must be at least 1"):
        builder.add(Input(name="a", shape=(0,)))
    assert not builder.nodes


@pytest.mark.parametrize(("values", "expected"), [
    (np.full((4, 1, 1), 2.0), 2.0),
    (np.array(3.0), 3.0),
    (np.arange(4.0).reshape(4, 1, 1), [0, 1, 2, 3]),
    (np.broadcast_to(np.arange(4.0).reshape(4, 1, 1), (4, 2, 3)), [0, 1, 2, 3]),
])
def test_spread(builder, values, expected):
    np.testing.assert_array_equal(builder.spread(picture(builder), values), expected)


@pytest.mark.parametrize("values", [np.arange(3.0), np.arange(2.0)[:, None], np.ones((5, 1, 1)),
                                    np.ones((1, 4, 1, 1))])
def test_spread_only_over_channels(builder, values):
    with pytest.raises(ValueError, match="differ within a channel|broadcast|dimensions"):
        builder.spread(picture(builder), values)


def test_pictures(builder):
    tensor = picture(builder)
    assert builder.is_picture(tensor)
    assert builder.shape(tensor) == (2, 3, 4)
    assert not builder.is_picture(Tensor("a", np.arange(24).reshape(2, 3, 4)))
    flat = builder.flat(tensor)
    assert isinstance(builder.nodes[-1], Flatten)
    assert builder.shape(flat) == (24,)
    np.testing.assert_array_equal(flat.index, tensor.index)
    assert builder.flat(flat) is flat
    assert not builder.is_picture(flat)


def test_channels_first():
    np.testing.assert_array_equal(channels_first((5,)), np.arange(5))
    np.testing.assert_array_equal(channels_first((2, 1, 3)), [[[0], [3]], [[1], [4]], [[2], [5]]])


def test_size_of_a_tensor(builder):
    with pytest.raises(Refusal, match="^Node 'a' must make at most 16777216 elements, not 1677"):
        builder.add(Input(name="a", shape=((1 << 24) + 1,)))


@pytest.fixture
def site(builder):
    proto = helper.make_node("Foo", ["t", "c", ""], ["y"], domain="some.domain",
                             integer=3, real=0.5, text="abc", many=[1, 2])
    return Site(builder, proto, (Tensor("t", np.arange(2)), Constant(np.array([1, 2])), None))


def test_inputs(site):
    assert site.tensor(0).name == "t"
    assert site.numbers(1) == [1, 2]
    assert site.has(1)
    assert not site.has(2)
    assert not site.has(3)


def test_attributes(site):
    assert site.integer("integer", 0) == 3
    assert site.integer("other", 7) == 7
    assert site.number("real", 0.0) == 0.5
    assert site.number("integer", 0.0) == 3.0
    assert site.text("text", "") == "abc"
    assert site.integers("many") == [1, 2]
    assert site.pair("many") == (1, 2)
    assert site.pair("other", (3, 4)) == (3, 4)
    assert site.integers("other") is None


@pytest.mark.parametrize(("ask", "sentence"), [
    (lambda site: site.tensor(1), ("must read a tensor that depends on the input of the model, "
                                  "not the constant 'c'")),
    (lambda site: site.constant(0), ("must have a constant as input 0, not 't', which depends on "
                                    "the input of the model")),
    (lambda site: site.pair("other"), ("must have two integers of at least 1 as 'other', "
                                       "not None")),
    (lambda site: site.operand(2), "must have at least 3 inputs, not 3"),
    (lambda site: site.scalar(1, "scale"), ("must have one scale for the whole tensor, "
                                           "not shape (2,)")),
    (lambda site: site.integer("text", 0), ("must have another type of attribute 'text', as ONNX "
                                           "defines it")),
])
def test_refusals_begin_with_the_node(site, ask, sentence):
    with pytest.raises(Refusal) as caught:
        ask(site)
    assert str(caught.value) == f"Node 'y' (some.domain.Foo) {sentence}"

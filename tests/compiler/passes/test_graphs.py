"""Networks whose tensors fork and join, against what the passes make of them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Add,
    Affine,
    Binary,
    Concat,
    Conv,
    Fixed,
    Graph,
    Input,
    MaxPool,
    Quant,
    Relu,
    Requantize,
    Sum,
    Threshold,
    value_range,
)
from compiler.passes import to_integer
from compiler.passes.rewriting import PassError
from compiler.stages import Joining, Layer, Pooling, split
from tests.compiler.passes.blocks import random_blocks
from tests.compiler.passes.networks import SIGN, affine, kinds, norm, same


@settings(max_examples=150)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_random_graphs(seed):
    """Real numbers between the layers are exact here, so nothing may change at all."""
    before, x = random_blocks(np.random.default_rng(seed))
    after = to_integer(before)
    same(before, after, x)
    tensors = {node.name: values for node, values in golden.trace(after, x)}
    for step in split(after).body:
        assert tensors[step.output].shape[1:] == step.output_shape
        low, high = value_range(step.output_type)
        assert low <= tensors[step.output].min() <= tensors[step.output].max() <= high


def graph(*nodes):
    """Nodes given as (node, inputs...)."""
    return Graph(tuple(replace(node, inputs=inputs) for node, *inputs in
                       ((node, *inputs) for node, *inputs in nodes)
                       if not isinstance(inputs, str) for inputs in [tuple(inputs)]))


RNG = np.random.default_rng(5)
PICTURE = Input(name="x", shape=(4, 4, 2), type=Binary())
PIXELS = Input(name="x", shape=(4, 4, 2), type=Fixed(8, signed=False))
X = RNG.choice([-1, 1], (20, 4, 4, 2))


def conv(name, outputs=2, inputs=2, kernel=3, **fields):
    weights = RNG.choice([-1, 1], (outputs, kernel, kernel, inputs))
    return Conv(name=name, weights=weights, bits=1, pads=(kernel // 2,) * 4, **fields)


def sign(name):
    return replace(SIGN, name=name)


def quant(name, bits=3, scale=2.0, **fields):
    return Quant(name=name, bits=bits, scale=scale, **fields)


def test_sums_and_a_skip():
    """A layer adds a tensor of bits to its sums, ahead of its levels."""
    before = graph((PICTURE,), (conv("a"), "x"), (sign("s"), "a"), (conv("b"), "s"),
                   (Add(name="add"), "b", "s"), (norm([1.0, 2.0], 0.3), "add"),
                   (sign("t"), "norm"), (conv("last"), "t"))
    after = to_integer(before)
    a, b, last = split(after).body
    assert (b.name, b.addend, b.addend_type, b.output) == ("b", "s", Binary(), "t")
    assert b.sum_type == Sum(-19, 19)
    assert [node.name for node in b.nodes] == ["b", "add", "t"]
    assert (a.addend, last.addend, last.activation) == (None, None, None)
    same(before, after, X)


def test_two_sums():
    """The earlier sums are kept as they are; scales that are multiples go into weights."""
    before = graph((PICTURE,), (conv("a", scale=0.5), "x"), (conv("b", scale=-1.5), "x"),
                   (Add(name="add"), "a", "b"), (sign("t"), "add"), (conv("last"), "t"))
    after = to_integer(before)
    a, b, last = split(after).body
    assert (a.output, a.activation, a.output_type) == ("a", None, Sum(-18, 18))
    assert (b.addend, b.addend_type, b.sums.bits) == ("a", Sum(-18, 18), 3)
    same(before, after, X)


def test_two_small_tensors():
    before = graph((PICTURE,), (conv("a"), "x"), (quant("q"), "a"), (conv("b"), "q"),
                   (quant("r"), "b"), (Add(name="add"), "q", "r"), (Relu(name="relu"), "add"),
                   (quant("t", scale=4.0, signed=False), "relu"), (conv("last"), "t"))
    after = to_integer(before)
    assert [step.name for step in split(after).body] == ["a", "b", "add.of1", "last"]
    layer = split(after).body[2]
    assert (layer.addend, layer.output, layer.sums.bits) == ("r", "t", 2)
    assert (layer.sums.weights == 1).all()
    same(before, after, X)


def test_channels_that_fall_negate_both_tensors():
    before = graph((PICTURE,), (conv("a"), "x"), (sign("s"), "a"), (conv("b"), "s"),
                   (Add(name="add"), "b", "s"), (norm([1.0, -2.0], 0.3), "add"),
                   (sign("t"), "norm"), (conv("last"), "t"))
    after = to_integer(before)
    assert [step.name for step in split(after).body] == ["a", "b", "add.turned", "last"]
    assert after["add.turned"].weights.ravel().tolist() == [1, -1]
    same(before, after, X)


def test_an_add_waits_for_what_it_adds():
    """The addend becomes bits and an offset when its quantizer is folded, of a constant here."""
    before = graph((PICTURE,), (conv("a"), "x"), (norm([0.7, 0.0], 0.9, name="na"), "a"),
                   (quant("q", 1, 1.0, signed=False), "na"), (conv("b"), "x"),
                   (Add(name="add"), "b", "q"), (norm([1.0, -2.0], 0.3), "add"),
                   (sign("t"), "norm"), (conv("last"), "t"))
    after = to_integer(before)
    assert after.type("q") == Binary()
    same(before, after, X)


@pytest.mark.parametrize("scale", [0.3, 1 / 300])
def test_scales_that_have_no_step_in_common(scale):
    before = graph((PICTURE,), (conv("a", scale=np.sqrt(scale)), "x"), (conv("b"), "x"),
                   (Add(name="add"), "a", "b"), (sign("t"), "add"), (conv("last"), "t"))
    sentence = (f"Add 'add' must read tensors of one scale, or of whole multiples of one, not of "
                f"{np.sqrt(scale):.6g} and 1 in channel 0: quantize both with one scale")
    with pytest.raises(PassError, match=f"^{re.escape(sentence)}$"):
        to_integer(before)


def test_fire():
    """A quantizer behind a Concat goes to its parts."""
    before = graph((PICTURE,), (conv("squeeze"), "x"), (sign("s"), "squeeze"),
                   (conv("one", 3, kernel=1), "s"), (conv("three", 2), "s"),
                   (Concat(name="join"), "one", "three"),
                   (norm([1.0, -1, 2, -0.5, 0], 0.2), "join"), (sign("t"), "norm"),
                   (MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)), "t"),
                   (conv("last", 2, 5), "pool"))
    after = to_integer(before)
    body = split(after).body
    assert [type(step) for step in body] == [Layer, Layer, Layer, Joining, Pooling, Layer]
    join = body[3]
    assert (join.inputs, join.input_type, join.output) == (("t.part0", "t.part1"), Binary(), "t")
    assert (join.input_shapes, join.output_shape) == (((4, 4, 3), (4, 4, 2)), (4, 4, 5))
    same(before, after, X)


@pytest.mark.parametrize(("first", "second", "steps"), [
    (quant("q", 3, signed=False), quant("r", 2, signed=False), 4),
    (quant("q", 3, 3.0, signed=False), quant("r", 2, signed=False), 4),
    (quant("q", 3), quant("r", 2), 5), (quant("q", 3), quant("r", 2, signed=False), 5),
    (quant("q", 3), sign("r"), 6),
])
def test_parts_of_several_types(first, second, steps):
    """Narrower integers are widened: by levels that no sum reaches, or by a layer."""
    before = graph((PICTURE,), (conv("a"), "x"), (first, "a"), (conv("b"), "x"), (second, "b"),
                   (Concat(name="join"), "q", "r"), (conv("last", 2, 4, kernel=1), "join"))
    after = to_integer(before)
    assert len(split(after).body) == steps
    join, = (step for step in split(after).body if isinstance(step, Joining))
    types = {(after.type(name).bits, after.type(name).signed) for name in join.inputs}
    assert len(types) == 1
    same(before, after, X)


def test_two_activations_of_one_sum():
    """The sums are made twice."""
    before = graph((PICTURE,), (conv("a"), "x"), (norm([1.0, -1.0], 0.2), "a"),
                   (sign("s"), "norm"), (affine(2.0, 1.0), "norm"), (sign("t"), "affine"),
                   (conv("b"), "s"), (conv("c"), "t"), (Add(name="add"), "b", "c"))
    after = to_integer(before)
    assert sum(isinstance(node, Conv) for node in after.nodes) == 4
    same(before, after, X)


def test_two_activations_of_small_integers():
    """Those that do not stand behind their sums get weights that change nothing."""
    before = graph((PIXELS,), (affine(1.0, -99.0), "x"), (sign("s"), "affine"),
                   (affine(-1.0, 30.0, "other"), "x"), (sign("t"), "other"),
                   (Concat(name="join"), "s", "t"), (conv("last", 2, 4), "join"))
    after = to_integer(before)
    assert [step.name for step in split(after).body][:2] == ["s.sums", "t.sums"]
    assert split(after).prefix == ()
    same(before, after, RNG.integers(0, 256, (20, 4, 4, 2)))


def test_scales_of_a_join_are_shared_by_its_readers():
    before = graph((PICTURE,), (conv("a"), "x"), (sign("s"), "a"), (affine(0.5), "s"),
                   (Concat(name="join"), "affine", "affine"), (conv("b", 2, 4), "join"),
                   (conv("c", 2, 4), "join"), (Add(name="add"), "b", "c"),
                   (affine(3.0, 1.0, "values"), "add"))
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, Concat, Conv, Conv, Add, Affine, Affine]
    same(before, after, X)


def float_graph():
    """A fire block and a residual block of real numbers."""
    rng = np.random.default_rng(7)

    def real(name, outputs, inputs, kernel=3):
        return Conv(name=name, weights=rng.normal(size=(outputs, kernel, kernel, inputs)),
                    bias=rng.normal(size=outputs), pads=(kernel // 2,) * 4)

    return graph(
        (PIXELS,), (affine(1 / 255), "x"), (real("a", 4, 2), "affine"), (Relu(name="ra"), "a"),
        (real("one", 3, 4, 1), "ra"), (Relu(name="r1"), "one"), (real("three", 2, 4), "ra"),
        (norm(np.array([1.5, -0.7]), 0.2), "three"), (Relu(name="r3"), "norm"),
        (Concat(name="join"), "r1", "r3"), (real("b", 5, 5), "join"),
        (Add(name="add"), "b", "join"), (Relu(name="rb"), "add"), (real("last", 2, 5), "rb"))


def test_float_graph():
    before = float_graph()
    x = np.random.default_rng(1).integers(0, 256, (60, 4, 4, 2))
    after = to_integer(before, x[:40])
    assert {Requantize, Concat, Add} <= set(kinds(after))
    was, now = golden.run(before, x), golden.run(after, x)
    assert np.abs(was - now).mean() < 0.01 * np.ptp(was)

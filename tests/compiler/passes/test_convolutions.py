"""Networks of convolutions and pools against what the passes make of them."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Affine,
    ArgMax,
    AveragePool,
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Input,
    MaxPool,
    Quant,
    Relu,
    Requantize,
    Threshold,
)
from compiler.passes import to_integer
from compiler.passes.rewriting import PassError
from compiler.stages import split
from tests.compiler.passes.networks import SIGN, affine, chain, dense, kinds, norm, same
from tests.compiler.passes.pictures import random_network


PIXELS = Fixed(8, signed=False)


@settings(max_examples=300)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_random_chains(seed):
    """Real numbers between the layers are exact here, so nothing may change at all."""
    before, x = random_network(np.random.default_rng(seed))
    try:
        after = to_integer(before)
    except PassError as error:
        refusal = str(error)
    else:
        same(before, after, x)
        return
    assert "must have nothing between that falls" in refusal


def picture(side=4, channels=2, kind=PIXELS):
    return Input(name="x", shape=(side, side, channels), type=kind)


def conv(rng, outputs, inputs, name="conv", kernel=3, pads=0, bits=1, **fields):
    shape = outputs, kernel, kernel, inputs
    weights = rng.choice([-1, 1], shape) if bits == 1 else rng.normal(size=shape)
    return Conv(name=name, weights=weights, bits=bits, pads=(pads,) * 4, **fields)


def pool(name="pool", size=2, **fields):
    return MaxPool(name=name, kernel=(size, size), stride=(size, size), **fields)


def inputs(graph, count=20):
    x = np.random.default_rng(9).integers(0, 256, (count, *graph.input.shape))
    return np.where(x > 127, 1, -1) if graph.input.type == Binary() else x


def test_pool_ahead_of_a_falling_norm():
    """XNOR-Net's order: what a negative scale picks is the lowest bit, by the highest of its
    complement; the next weights take the sign, a border of zeros notwithstanding."""
    rng = np.random.default_rng(0)
    before = chain(picture(8, 2, Binary()), conv(rng, 3, 2, pads=1), pool(),
                   norm([1.0, -1.0, -0.5], 0.3), SIGN, conv(rng, 2, 3, "next", pads=1))
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, MaxPool, Conv]
    for channel, sign in enumerate((1, -1, -1)):
        np.testing.assert_array_equal(after["next"].weights[..., channel],
                                      sign * before["next"].weights[..., channel])
        np.testing.assert_array_equal(after["conv"].weights[channel],
                                      before["conv"].weights[channel])
    same(before, after, inputs(before))


def test_pool_behind_a_falling_norm():
    """The bit itself is pooled, so the weights ahead of it change sign, and no others."""
    rng = np.random.default_rng(0)
    before = chain(picture(8, 2, Binary()), conv(rng, 3, 2), norm([1.0, -1.0, 0.0], 0.3), SIGN,
                   pool(), conv(rng, 2, 3, "next"))
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, MaxPool, Conv]
    np.testing.assert_array_equal(after["next"].weights, before["next"].weights)
    same(before, after, inputs(before))


def test_pool_at_the_end_turns_back_on_the_host():
    rng = np.random.default_rng(0)
    before = chain(picture(6, 2, Binary()), conv(rng, 3, 2), pool(), norm([1.0, -1.0, -0.5], 0.3),
                   SIGN)
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, MaxPool, Affine]
    assert [step.name for step in split(after).body] == ["conv", "pool"]
    same(before, after, inputs(before))


def test_pools_that_disagree():
    rng = np.random.default_rng(0)
    before = chain(picture(8, 2, Binary()), conv(rng, 2, 2), pool(), norm([1.0, -1.0], 0.3),
                   pool("second"), SIGN)
    with pytest.raises(PassError, match="^MaxPool 'second' and the one ahead of it must have "
                                        "nothing between that falls, not channel 1: train with "
                                        "positive scales$"):
        to_integer(before)


def test_input_pools_stay_on_the_host_with_what_falls():
    rng = np.random.default_rng(0)
    for gamma, form in ([1.0, 2.0], [Input, MaxPool, Threshold, Conv]), (
            [-1.0, -1.0], [Input, norm(1.0).__class__, MaxPool, Affine, Threshold, Conv]):
        before = chain(picture(), norm(gamma, 100.0), pool(), affine(gamma[0]), SIGN,
                       conv(rng, 2, 2, kernel=1))
        after = to_integer(before)
        assert kinds(after) == form
        same(before, after, inputs(before))


@pytest.mark.parametrize(("signed", "scale", "layers"), [
    (False, 0.5, ["conv", "next"]), (True, 2.0, ["conv", "next"]),
    (True, 0.3, ["conv", "next.moved", "next"]), (False, 0.3, ["conv", "next"]),
])
def test_a_border_is_zero(signed, scale, layers):
    """Counts from the lowest of signed integers are no zeros of a border: a layer moves them."""
    rng = np.random.default_rng(0)
    quant = Quant(name="quant", bits=3, scale=scale, signed=signed)
    before = chain(picture(5, 1, Fixed(3)), conv(rng, 2, 1), quant, affine(1 / scale),
                   conv(rng, 2, 2, "next", pads=1))
    after = to_integer(before)
    assert [step.name for step in split(after).body] == layers
    x = rng.integers(-4, 4, (20, 5, 5, 1))
    np.testing.assert_allclose(golden.run(after, x), golden.run(before, x), atol=1e-9)


def test_border_that_has_no_zero():
    rng = np.random.default_rng(0)
    before = chain(picture(), conv(rng, 2, 2), SIGN, affine(1.0, np.array([0.0, np.pi])),
                   conv(rng, 2, 2, "next", kernel=2, pads=1))
    sentence = ("Conv 'next' must read integers that are 0 where its border is 0, not 1 * q + "
                "3.14159 in channel 1: leave out the offset or the pads")
    with pytest.raises(PassError, match=f"^{re.escape(sentence)}$"):
        to_integer(before)


def mean(size, name="mean", **fields):
    return AveragePool(name=name, kernel=(size, size), stride=(size, size), **fields)


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("levels", [[0.0], [-1.0, 0.5, 2.0]])
def test_mean_ahead_of_a_quantizer(size, levels):
    """A sum over a third is no product with one third: thresholds must tell them apart."""
    rng = np.random.default_rng(0)
    thirds = Threshold(name="thirds", levels=np.arange(1, 10)[None] / size ** 2)
    before = chain(picture(6, 2, Binary()), conv(rng, 3, 2, kernel=1),
                   Threshold(name="t", levels=np.array([levels])), mean(size), thirds,
                   conv(rng, 2, 3, "next", kernel=1))
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, Conv, Threshold, Conv]
    assert (after["mean"].groups, after["mean"].bits) == (3, 2)
    same(before, after, inputs(before))


def test_global_mean_ahead_of_the_last_layer():
    """Sums of up to 8 bits are handed on; wider ones are left to the weights."""
    rng = np.random.default_rng(0)
    last = dense(rng.choice([-1, 1], (4, 3)), "last")
    for levels, form in (([0.0], [Input, Conv, Threshold, Conv, Requantize, Flatten, Dense]),
                         (np.arange(15), [Input, Conv, Threshold, Flatten, Dense])):
        before = chain(picture(8, 2, Binary()), conv(rng, 3, 2, pads=1),
                       Threshold(name="t", levels=np.array([levels])), mean(8),
                       Flatten(name="flat"), last, ArgMax(name="class"))
        after = to_integer(before)
        assert kinds(after)[:len(form)] == form
        assert after["last"].bits == 1
        same(before, after, inputs(before))


def test_mean_of_sums_that_nothing_quantized():
    rng = np.random.default_rng(0)
    before = chain(picture(), conv(rng, 3, 2), mean(2), SIGN, conv(rng, 1, 3, "b", kernel=1))
    sentence = ("AveragePool 'mean' must read bits or integers of at most 8 bits, not real "
                "numbers: put a quantizer ahead of it")
    with pytest.raises(PassError, match=f"^{re.escape(sentence)}$"):
        to_integer(before)


def test_mean_without_a_quantizer_ahead_of_a_convolution():
    rng = np.random.default_rng(0)
    before = chain(picture(8), conv(rng, 3, 2, pads=1), Quant(name="q", bits=8, scale=1.0),
                   mean(4), conv(rng, 1, 3, "b", kernel=1))
    sentence = ("AveragePool 'mean' must have a quantizer behind it, or a window whose sums have "
                "at most 8 bits, not (4, 4)")
    with pytest.raises(PassError, match=f"^{re.escape(sentence)}$"):
        to_integer(before)


def test_means_at_the_ends_stay_on_the_host():
    rng = np.random.default_rng(0)
    before = chain(picture(8), mean(2, "first"), Quant(name="q", bits=8, scale=1.0, signed=False),
                   conv(rng, 3, 2), Relu(name="relu"), mean(2), Flatten(name="flat"))
    after = to_integer(before)
    parts = split(after)
    assert parts.prefix[0].name == "first"
    assert [step.name for step in parts.body] == ["conv"]
    assert [node.name for node in parts.suffix] == ["relu", "mean", "flat"]
    same(before, after, inputs(before))


def test_flatten_ahead_of_the_activation():
    rng = np.random.default_rng(0)
    before = chain(picture(4, 2, Binary()), conv(rng, 2, 2), Flatten(name="flat"),
                   norm(np.tile([1.0, -2.0], 4), 0.1), SIGN,
                   dense(rng.choice([-1, 1], (3, 8)), "last"))
    after = to_integer(before)
    assert kinds(after) == [Input, Conv, Threshold, Flatten, Dense]
    same(before, after, inputs(before))
    before = chain(*before.nodes[:3], norm(np.arange(8.0), 0.1), *before.nodes[4:])
    with pytest.raises(PassError, match="^BatchNorm 'norm' must treat all places of a channel of "
                                        "its picture alike, not have gamma that differ$"):
        to_integer(before)


def float_network(rng, kind):
    return chain(
        picture(12, 3, kind), affine(1 / 255, np.array([-0.4, -0.5, -0.6])),
        conv(rng, 8, 3, "a", pads=1, bits=None), norm(rng.normal(1, 0.2, 8), rng.normal(size=8)),
        Relu(name="ra"), pool(), conv(rng, 8, 1, "b", pads=1, bits=None, groups=8),
        norm(rng.normal(1, 0.2, 8), name="nb"), pool("pb"), Relu(name="rb"), mean(3),
        Flatten(name="flat"), dense(rng.normal(size=(4, 8)), "last", None))


@pytest.mark.parametrize("kind", [PIXELS, Fixed(8)])
def test_float_networks(kind):
    """Pools, a mean of nine, a depthwise layer: logits within a per cent of their range."""
    before = float_network(np.random.default_rng(3), kind)
    x = inputs(before, 60)
    x = x - 128 if kind.signed else x
    after = to_integer(before, x[:40])
    assert kinds(after)[-11:] == [Conv, Requantize, MaxPool, Conv, Requantize, MaxPool, Conv,
                                  Requantize, Flatten, Dense, Affine]
    was, now = golden.run(before, x), golden.run(after, x)
    assert np.abs(was - now).max() < 0.05 * np.ptp(was)


def test_scales_behind_a_pool_go_into_the_next_weights():
    rng = np.random.default_rng(3)
    before = chain(picture(6, 2), conv(rng, 4, 2, "a", bits=None), Relu(name="r"),
                   norm(rng.normal(2, 0.2, 4), rng.normal(size=4)), pool(),
                   conv(rng, 3, 4, "b", kernel=2, bits=None))
    x = inputs(before, 50)
    after = to_integer(before, x)
    assert kinds(after) == [Input, Conv, Requantize, MaxPool, Conv, Affine]
    was, now = golden.run(before, x), golden.run(after, x)
    assert np.abs(was - now).max() < 0.03 * np.ptp(was)
    bordered = chain(*before.nodes[:-1], conv(rng, 3, 4, "b", pads=1, bits=None))
    with pytest.raises(PassError, match="^Conv 'b' must read no offset, as its border is 0, not "):
        to_integer(bordered, x)

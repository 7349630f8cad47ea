import numpy as np
import pytest

from compiler.ir import Binary, Dense, Fixed, Input, Quant, Relu, Requantize, Threshold
from compiler.passes.expose_integers import expose_integers
from compiler.passes.fold_activations import fold_activations
from compiler.passes.rewriting import PassError
from tests.compiler.passes.networks import (
    EVERY_INPUT,
    FAN_IN,
    SIGN,
    affine,
    all_sums,
    bits_in,
    chain,
    dense,
    kinds,
    norm,
    same,
)


GAMMA = [1.0, -1.0, 0.0, 1e-30, -1e-30, -0.3]
BETA = [0.0, 0.1, -0.1, 1e9, -1e9]
MEAN = [0.0, 2.0, -3.5]


@pytest.mark.parametrize("gamma", GAMMA)
@pytest.mark.parametrize("beta", BETA)
@pytest.mark.parametrize("mean", MEAN)
def test_one_level_for_every_input(gamma, beta, mean):
    before = chain(bits_in(), all_sums(), norm(gamma, beta, mean), SIGN)
    after = fold_activations(before)
    assert kinds(after) == [Input, Dense, Threshold]
    assert after.output.levels.dtype.kind == "i"
    assert after.output.name == "sign"
    same(before, after, EVERY_INPUT)


@pytest.mark.parametrize("gamma", GAMMA)
@pytest.mark.parametrize("mean", MEAN)
@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("scale", [0.5, 0.3, 2.0])
def test_many_levels_for_every_input(gamma, mean, bits, signed, scale):
    quant = Quant(name="quant", bits=bits, scale=scale, signed=signed, narrow=bits > 1)
    before = expose_integers(chain(bits_in(), all_sums(3), norm([gamma, -gamma, 0.7], 0.1, mean),
                                   quant))
    after = fold_activations(before)
    assert kinds(after)[:2] == [Input, Dense]
    assert kinds(after)[2] in (Threshold, Requantize)
    same(before, after, EVERY_INPUT)


def test_mixed_channels():
    """Levels of falling, constant and rising channels, each in its own row."""
    before = chain(bits_in(), all_sums(5), norm([1.0, -1.0, 0.0, 0.0, 1.0], [0, 0, 1, -1, 99]),
                   SIGN)
    after = fold_activations(before)
    assert after["sums"].weights[:, 0].tolist() == [1, -1, 1, 1, 1]
    assert after.output.levels[:, 0].tolist() == [0, 0, -FAN_IN, FAN_IN + 1, -FAN_IN]
    same(before, after, EVERY_INPUT)


def test_negated_channel_negates_its_bias():
    layer = dense(np.ones((2, FAN_IN), int), bias=np.array([3, 3]))
    before = chain(bits_in(), layer, norm([1.0, -1.0], 0.5), SIGN)
    after = fold_activations(before)
    assert after["sums"].bias.tolist() == [3, -3]
    same(before, after, EVERY_INPUT)


@pytest.mark.parametrize("shift", range(5))
@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [[0, 0], [3, -5]])
@pytest.mark.parametrize("scale", [2.0 ** -3, -2.0 ** -3])
def test_power_of_two_becomes_a_shift(shift, bits, relu, bias, scale):
    """Half to even and saturation included: all sums of all inputs, with ties, agree."""
    nodes = [Input(name="x", shape=(1,), type=Fixed(6)), dense([[1], [2]], bits=4),
             affine(scale, scale * np.array(bias)), *[Relu(name="relu")] * relu,
             Quant(name="quant", bits=bits, scale=abs(scale) * 2 ** shift, signed=not relu)]
    before = expose_integers(chain(*nodes))
    after = fold_activations(before)
    every_input = np.arange(-32, 32)[:, None]
    assert kinds(after)[2] is Requantize
    same(before, after, every_input)
    if not any(bias):
        assert after["sums"].bias is None
    if bits == 2:
        assert (after["quant"].shift, after["quant"].bits) == (shift, 2)


@pytest.mark.parametrize("offset", [0.25, 0.5, 1 / 3])
def test_broken_bias_becomes_levels(offset):
    before = expose_integers(chain(
        Input(name="x", shape=(1,), type=Fixed(6)), dense([[1]], bits=2), affine(1.0, offset),
        Quant(name="quant", bits=4, scale=4.0)))
    after = fold_activations(before)
    assert kinds(after)[2] is Threshold
    assert after["quant"].count == 15
    same(before, after, np.arange(-32, 32)[:, None])


def test_several_quantizers_in_a_row():
    before = expose_integers(chain(
        bits_in(), all_sums(), affine(0.37, 0.1), Quant(name="wide", bits=16, scale=0.125),
        Relu(name="relu"), Quant(name="quant", bits=3, scale=0.5, zero_point=1.0), SIGN))
    after = fold_activations(before)
    assert kinds(after) == [Input, Dense, Threshold]
    same(before, after, EVERY_INPUT)


def test_leaves_what_is_folded_already():
    before = chain(bits_in(), all_sums(), Threshold(name="sign", levels=np.array([[2]])))
    assert fold_activations(before).nodes == before.nodes


def test_leaves_logits():
    before = chain(bits_in(), all_sums(), norm(-1.0))
    assert fold_activations(before).nodes == before.nodes


def test_weight_that_cannot_change_sign():
    before = chain(Input(name="x", shape=(2,), type=Binary()),
                   dense([[3, 4], [-128, 5]], bits=8), norm([1.0, -1.0]), SIGN)
    with pytest.raises(PassError, match="^Dense 'sums' must have no weight below -127 where its "
                                        "sign has to change, not -128 in channel 1$"):
        fold_activations(before)


def test_narrower_weights_gain_a_bit():
    before = chain(Input(name="x", shape=(1,), type=Fixed(4)), dense([[-4]], bits=3), norm(-1.0),
                   SIGN)
    after = fold_activations(before)
    assert (after["sums"].weights.item(), after["sums"].bits) == (4, 4)
    same(before, after, np.arange(-8, 8)[:, None])


@pytest.mark.parametrize("scale", [0.25, -0.25])
def test_shift_keeps_the_bias_that_is_there(scale):
    before = expose_integers(chain(
        Input(name="x", shape=(1,), type=Fixed(6)), dense([[1], [2]], bits=4,
                                                          bias=np.array([5, -7])),
        affine(scale, 0.5), Quant(name="quant", bits=8, scale=1.0)))
    after = fold_activations(before)
    assert kinds(after)[2] is Requantize
    sign = int(np.sign(scale))
    assert after["sums"].bias.tolist() == [sign * 5 + 2, sign * -7 + 2]
    same(before, after, np.arange(-32, 32)[:, None])

"""The passes of a few lines each."""

import numpy as np
import pytest

from compiler import golden
from compiler.ir import (
    Affine,
    BatchNorm,
    Binary,
    Dense,
    Fixed,
    Flatten,
    Input,
    Quant,
    Real,
    Relu,
    Requantize,
    Sum,
    Threshold,
)
from compiler.passes.chain import PassError
from compiler.passes.drop_no_ops import drop_no_ops
from compiler.passes.expose_integers import expose_integers
from compiler.passes.expose_sums import expose_sums
from compiler.passes.find_integer_weights import find_integer_weights
from compiler.passes.fold_bias import fold_bias
from compiler.passes.lift_relu import lift_relu
from tests.compiler.passes.networks import (
    EVERY_INPUT,
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


class TestDropNoOps:
    def test_drops(self):
        before = chain(bits_in(), affine(1.0, 0.0), Flatten(name="flat"), all_sums())
        assert kinds(drop_no_ops(before)) == [Input, Dense]

    def test_keeps(self):
        before = chain(Input(name="x", shape=(2, 3), type=Fixed(4)), Relu(name="relu"),
                       Flatten(name="flat"), affine(np.array([1.0, 1, 1, 1, 1, 2])), all_sums())
        assert drop_no_ops(before).nodes == before.nodes

    def test_relu_of_counts(self):
        before = chain(Input(name="x", shape=(6,), type=Fixed(4, signed=False)),
                       Relu(name="relu"), all_sums())
        assert kinds(drop_no_ops(before)) == [Input, Dense]


class TestExposeIntegers:
    @pytest.mark.parametrize("bits", range(1, 9))
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("narrow", [False, True])
    @pytest.mark.parametrize("scale", [0.25, 0.3, 1 / 255, 1.0])
    @pytest.mark.parametrize("zero_point", [0.0, 3.0, -0.5])
    def test_same_values(self, bits, signed, narrow, scale, zero_point):
        before = chain(Input(name="x", shape=(1,)), Quant(
            name="quant", bits=bits, scale=scale, zero_point=zero_point, signed=signed,
            narrow=narrow))
        after = expose_integers(before)
        assert after.type("quant") == Fixed(bits, signed, after["quant"].fl)
        x = np.concatenate([np.arange(-260, 260) * scale / 2, [1e30, -1e30, 1e-30]])[:, None]
        same(before, after, x)

    def test_power_of_two_is_plain(self):
        after = expose_integers(chain(Input(name="x", shape=(1,)),
                                      Quant(name="quant", bits=8, scale=2.0 ** -5)))
        assert kinds(after) == [Input, Affine, Requantize, Affine, Affine]
        assert after["quant"].fl == 5

    def test_too_wide(self):
        with pytest.raises(PassError, match="^Quant 'quant' must leave at most 8 bits, not 9$"):
            expose_integers(chain(bits_in(), all_sums(), Quant(name="quant", bits=9, scale=1.0)))

    def test_wide_ahead_of_a_narrow_one(self):
        before = chain(bits_in(), all_sums(), Quant(name="quant", bits=9, scale=1.0), SIGN)
        assert expose_integers(before).nodes == before.nodes


class TestExposeSums:
    def test_splits(self):
        before = chain(bits_in(), dense(np.ones((2, 6), int), scale=0.3, bias=np.array([1.0, 2])),
                       SIGN)
        after = expose_sums(before)
        assert kinds(after) == [Input, Dense, Affine, Threshold]
        assert after.type("sums") == Sum(-6, 6)
        same(before, after, EVERY_INPUT)

    def test_leaves_reals_and_sums(self):
        for kind in Real(), Binary():
            before = chain(Input(name="x", shape=(6,), type=kind), all_sums())
            assert expose_sums(before).nodes == before.nodes


class TestFindIntegerWeights:
    @pytest.mark.parametrize(("weights", "bits"), [
        ([[1.0, -1.0]], 1), ([[0.3, -0.3]], 1), ([[1.0, 0.0]], 2), ([[-2.0, 1.0]], 2),
        ([[2.0, 1.0]], 3), ([[-128.0, 127.0]], 8), ([[128.0, 1.0]], None), ([[0.5, 1.0]], None),
        ([[0.0, 0.0]], None),
    ])
    def test_width(self, weights, bits):
        before = chain(bits_in(2), dense(weights, bits=None))
        after = find_integer_weights(before)
        assert after["sums"].bits == bits
        x = np.array([[1, 1], [-1, 1]])
        np.testing.assert_allclose(golden.run(after, x), golden.run(before, x))


class TestFoldBias:
    def test_into_levels(self):
        layer = dense(np.ones((2, 6), int), bias=np.array([3, -3]))
        before = chain(bits_in(), layer, Threshold(name="t", levels=np.array([[1, 2]])))
        after = fold_bias(before)
        assert after["sums"].bias is None
        assert after["t"].levels.tolist() == [[-2, -1], [4, 5]]
        same(before, after, EVERY_INPUT)

    def test_leaves_real_levels(self):
        before = chain(bits_in(), dense(np.ones((2, 6), int), bias=np.array([3, -3])), SIGN)
        assert fold_bias(before).nodes == before.nodes


class TestLiftRelu:
    EVERY = {Fixed(3): range(-4, 4), Fixed(1): (-1, 0), Fixed(2, signed=False): range(4),
             Binary(): (-1, 1)}

    @pytest.mark.parametrize("kind", EVERY)
    @pytest.mark.parametrize("offset", [0.0, 1.5, -1.0, 8.0, -8.0, 0.5])
    def test_every_value(self, kind, offset):
        before = chain(Input(name="x", shape=(1,), type=kind), affine(0.5, offset),
                       Relu(name="relu"), dense([[1]]))
        after = lift_relu(before)
        assert Relu not in kinds(after)
        same(before, after, np.array(self.EVERY[kind])[:, None])

    @pytest.mark.parametrize("step", [affine(-0.5), affine(1.0, 0.5), norm(1.0),
                                      affine(np.array([1.0, 2.0]))])
    def test_leaves_others(self, step):
        before = chain(Input(name="x", shape=(2,) if np.ndim(getattr(step, "scale", 1)) else (1,),
                             type=Fixed(3)), step, Relu(name="relu"))
        assert lift_relu(before).nodes == before.nodes


def test_names_of_helpers_are_free():
    before = chain(bits_in(), dense(np.ones((1, 6), int), scale=0.3),
                   affine(name="sums.values"), norm(1.0))
    after = expose_sums(before)
    assert [node.name for node in after.nodes] == ["x", "sums", "sums.values2", "sums.values",
                                                   "norm"]
    assert kinds(after)[-1] is BatchNorm

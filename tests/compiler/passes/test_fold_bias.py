import numpy as np

from compiler.ir import (
    Threshold,
)
from compiler.passes.fold_bias import fold_bias
from tests.compiler.passes.networks import (
    EVERY_INPUT,
    SIGN,
    bits_in,
    chain,
    dense,
    same,
)


def test_into_levels():
    layer = dense(np.ones((2, 6), int), bias=np.array([3, -3]))
    before = chain(bits_in(), layer, Threshold(name="t", levels=np.array([[1, 2]])))
    after = fold_bias(before)
    assert after["sums"].bias is None
    assert after["t"].levels.tolist() == [[-2, -1], [4, 5]]
    same(before, after, EVERY_INPUT)


def test_leaves_real_levels():
    before = chain(bits_in(), dense(np.ones((2, 6), int), bias=np.array([3, -3])), SIGN)
    assert fold_bias(before).nodes == before.nodes

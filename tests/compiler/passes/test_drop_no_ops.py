import numpy as np

from compiler.ir import (
    Dense,
    Fixed,
    Flatten,
    Input,
    Relu,
)
from compiler.passes.drop_no_ops import drop_no_ops
from tests.compiler.passes.networks import (
    affine,
    all_sums,
    bits_in,
    chain,
    kinds,
)


def test_drops():
    before = chain(bits_in(), affine(1.0, 0.0), Flatten(name="flat"), all_sums())
    assert kinds(drop_no_ops(before)) == [Input, Dense]


def test_keeps():
    before = chain(Input(name="x", shape=(2, 3), type=Fixed(4)), Relu(name="relu"),
                   Flatten(name="flat"), affine(np.array([1.0, 1, 1, 1, 1, 2])), all_sums())
    assert drop_no_ops(before).nodes == before.nodes


def test_relu_of_counts():
    before = chain(Input(name="x", shape=(6,), type=Fixed(4, signed=False)),
                   Relu(name="relu"), all_sums())
    assert kinds(drop_no_ops(before)) == [Input, Dense]

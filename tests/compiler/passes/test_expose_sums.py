import numpy as np

from compiler.ir import (
    Affine,
    BatchNorm,
    Binary,
    Dense,
    Input,
    Real,
    Sum,
    Threshold,
)
from compiler.passes.expose_sums import expose_sums
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


def test_splits():
    before = chain(bits_in(), dense(np.ones((2, 6), int), scale=0.3, bias=np.array([1.0, 2])),
                   SIGN)
    after = expose_sums(before)
    assert kinds(after) == [Input, Dense, Affine, Threshold]
    assert after.type("sums") == Sum(-6, 6)
    same(before, after, EVERY_INPUT)


def test_leaves_reals_and_sums():
    for kind in Real(), Binary():
        before = chain(Input(name="x", shape=(6,), type=kind), all_sums())
        assert expose_sums(before).nodes == before.nodes


def test_names_of_helpers_are_free():
    before = chain(bits_in(), dense(np.ones((1, 6), int), scale=0.3),
                   affine(name="sums.values"), norm(1.0))
    after = expose_sums(before)
    assert [node.name for node in after.nodes] == ["x", "sums", "sums.values2", "sums.values",
                                                   "norm"]
    assert kinds(after)[-1] is BatchNorm

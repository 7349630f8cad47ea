import numpy as np
import pytest

from compiler import golden
from compiler.ir import Affine, Dense, Fixed, Input, Relu
from compiler.passes.merge_floats import merge_floats
from compiler.passes.rewriting import PassError
from tests.compiler.passes.networks import affine, bits_in, chain, dense, kinds, norm, same


def test_same_values():
    rng = np.random.default_rng(0)
    before = chain(
        Input(name="x", shape=(3,), type=Fixed(4)), affine(0.5, np.array([1.0, 2, 3]), "in"),
        dense(rng.normal(size=(4, 3)), "a", None), norm(rng.normal(size=4), 0.3, name="n"),
        affine(0.1, 0.2, "o"), Relu(name="r"), norm(rng.normal(size=4), -0.1, name="p"),
        dense(rng.integers(-7, 8, (5, 4)), "b", 4, scale=0.3), affine(2.0, name="last"))
    after = merge_floats(before)
    assert kinds(after) == [Input, Dense, Relu, Dense, Affine]
    x = rng.integers(-8, 8, (50, 3))
    np.testing.assert_allclose(golden.run(after, x), golden.run(before, x), rtol=1e-12,
                               atol=1e-12)


def test_real_input_keeps_its_prefix():
    before = chain(Input(name="x", shape=(3,)), affine(0.5), dense(np.ones((1, 3)), bits=None))
    after = merge_floats(before)
    assert kinds(after) == [Input, Affine, Dense]
    same(before, after, np.ones((2, 3)))


def test_two_relus():
    before = chain(bits_in(2), dense([[1, 1]], "a"), Relu(name="r"), affine(1.0, 1.0),
                   Relu(name="s"), dense([[1]], "b"))
    with pytest.raises(PassError, match="^Relu 's' ahead of Dense 'b' must follow weights, "
                                        "their BatchNorm or a pool, not Affine 'affine'$"):
        merge_floats(before)

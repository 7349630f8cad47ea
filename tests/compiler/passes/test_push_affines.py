import numpy as np
import pytest

from compiler import golden
from compiler.ir import Binary, Dense, Fixed, Flatten, Input, Relu
from compiler.passes.push_affines import push_affines
from compiler.passes.rewriting import PassError
from tests.compiler.passes.networks import affine, bits_in, chain, dense, kinds, norm, same


@pytest.mark.parametrize("scale", [1.0, 0.5, -0.25, 0.0, 3.0])
@pytest.mark.parametrize("offset", [0.0, 1.5, np.array([1.0, -0.5, 8.0])])
def test_dyadic_numbers_pass_exactly(scale, offset):
    layer = dense([[1, 2, -3], [4, -5, 6]], bits=4, scale=np.array([0.5, 2.0]),
                  bias=np.array([1.0, -1.0]))
    before = chain(Input(name="x", shape=(3,), type=Fixed(3)), affine(scale, offset), layer)
    after = push_affines(before)
    assert kinds(after) == [Input, Dense]
    x = np.random.default_rng(0).integers(-4, 4, (100, 3))
    same(before, after, x)


def test_integer_offset_becomes_an_integer_bias():
    layer = dense([[1, 2], [3, -4]], bits=4, bias=np.array([10, 20]))
    before = chain(Input(name="x", shape=(2,), type=Fixed(3)), affine(1.0, -4.0), layer)
    after = push_affines(before)
    assert after["sums"].bias.tolist() == [10 - 12, 20 + 4]
    assert after["sums"].bias.dtype.kind == "i"
    assert after["sums"].scale == 1


def test_signs_move_into_weights():
    before = chain(bits_in(2), affine(np.array([0.5, -0.5]), 1.0), dense([[1, -1]]))
    after = push_affines(before)
    assert after["sums"].weights.tolist() == [[1, 1]]
    same(before, after, np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]))


def test_through_a_picture():
    layer = dense(np.array([[1, -1, -1, 1]]))
    before = chain(Input(name="x", shape=(2, 1, 2), type=Binary()),
                   affine(2.0, np.array([0.5, -8.0])), Flatten(name="flat"), layer)
    after = push_affines(before)
    assert kinds(after) == [Input, Flatten, Dense]
    x = np.random.default_rng(0).choice([-1, 1], (50, 2, 1, 2))
    same(before, after, x)


def test_normalised_integers():
    before = chain(bits_in(2), norm([2.0, 2.0], [0.25, 0.5]), dense([[1, -1]]))
    after = push_affines(before)
    assert kinds(after) == [Input, Dense]
    x = np.array([[1, 1], [1, -1]])
    np.testing.assert_allclose(golden.run(after, x), golden.run(before, x))


def test_whole_multiples_of_a_scale_go_into_the_weights():
    before = chain(bits_in(3), affine(np.array([0.5, -0.75, 0.0]), 0.5), dense([[1, -1, 1]]))
    after = push_affines(before)
    assert after["sums"].weights.tolist() == [[2, 3, 0]]
    assert after["sums"].bits == 3
    same(before, after, 2 * (np.arange(8)[:, None] >> np.arange(3) & 1) - 1)


def test_two_scales():
    before = chain(bits_in(3), affine(np.array([0.5, 0.5, np.pi])), dense([[1, -1, 1]]))
    with pytest.raises(PassError, match="^Dense 'sums' must read integers of one scale or of small"
                                        " multiples of one, not 0.5 for channel 0 and 3.14159 for "
                                        "channel 2$"):
        push_affines(before)


def test_relu_of_integers():
    before = chain(bits_in(1), affine(0.5, 0.3), Relu(name="relu"), dense([[1]]))
    with pytest.raises(PassError, match="^Dense 'sums' must read integers of one scale and offset,"
                                        " not what Relu 'relu' makes of them$"):
        push_affines(before)

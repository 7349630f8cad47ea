import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Affine,
    ArgMax,
    Conv,
    Dense,
    GraphError,
    Input,
    MaxPool,
    Minifloat,
    Relu,
)
from compiler.minifloats import split_minifloats
from compiler.passes.minifloats import exponent_bits, quantize_minifloats, to_minifloats
from compiler.passes.rewriting import PassError
from compiler.stages import StageError, check_stage
from tests.compiler.passes.floats import random_floats
from tests.compiler.passes.networks import affine, chain, dense, kinds, norm


X = Input(name="x", shape=(4,))


def form(exponent=4, mantissa=3, name="form"):
    return Minifloat(name=name, exponent=exponent, mantissa=mantissa)


def numbers(node):
    """Every number above 0 of a form, by its definition."""
    bias = 2 ** (node.exponent - 1) - 1
    return [(1 + fraction / 2 ** node.mantissa) * 2.0 ** (code - bias)
            for code in range(1, 2 ** node.exponent) for fraction in range(2 ** node.mantissa)]


# What a minifloat is

@pytest.mark.parametrize(("exponent", "mantissa", "least", "most"), [
    (4, 3, 2.0 ** -6, 480.0),                # bias 7, up to 1.875 * 2**8
    (5, 2, 2.0 ** -14, 1.75 * 2.0 ** 16),
    (5, 10, 2.0 ** -14, 2.0 ** 17 - 2.0 ** 6),  # binary16, its infinities numbers as others
    (2, 1, 1.0, 6.0),
])
def test_range(exponent, mantissa, least, most):
    node = form(exponent, mantissa)
    assert (node.least, node.most) == (least, most)
    assert node.bits == 1 + exponent + mantissa
    every = numbers(node)
    assert (min(every), max(every)) == (least, most)


@pytest.mark.parametrize(("exponent", "mantissa"), [(2, 1), (3, 2), (4, 3), (5, 2), (6, 1)])
def test_every_rounding(exponent, mantissa):
    """All numbers stay, what is between two goes to the nearer, the middle to the even one."""
    node = form(exponent, mantissa)
    every = np.array(numbers(node))
    np.testing.assert_array_equal(golden.minifloat(every, node), every)
    np.testing.assert_array_equal(golden.minifloat(-every, node), -every)
    low, high = every[:-1], every[1:]
    middle = (low + high) / 2
    even = np.arange(len(low)) % 2 == 0  # a fraction of 0 comes first
    np.testing.assert_array_equal(golden.minifloat(middle, node), np.where(even, low, high))
    np.testing.assert_array_equal(golden.minifloat(np.nextafter(np.float32(middle), 0), node), low)
    np.testing.assert_array_equal(
        golden.minifloat(np.nextafter(np.float32(middle), np.float32(np.inf)), node), high)


def test_ends():
    node = form(4, 3)
    step = node.least / 8
    given = [node.least - step / 2, node.least - 0.51 * step, node.least / 2, 0.0, 481.0, 1e30,
             -1e300, np.inf]
    expected = [node.least, 0, 0, 0, 480, 480, -480, 480]
    assert golden.minifloat(np.array(given), node).tolist() == expected


@given(st.floats(-1e6, 1e6), st.integers(2, 6), st.integers(1, 4))
def test_nearest(value, exponent, mantissa):
    node = form(exponent, mantissa)
    value = float(np.float32(value))
    made = float(golden.minifloat(np.array([value]), node)[0])
    every = [0.0, *numbers(node)]
    assert abs(made) in every
    distance = min(abs(abs(value) - number) for number in every)
    if abs(value) >= node.least:
        assert abs(abs(value) - abs(made)) == distance


@pytest.mark.parametrize(("exponent", "mantissa"), [(1, 3), (7, 3), (4, 0), (4, 12)])
def test_forms_that_there_are_not(exponent, mantissa):
    with pytest.raises(GraphError, match="^Node 'form': a minifloat must have 2 to 6 bits of "
                                         "exponent and 1 to 11 of mantissa, "
                                         f"not {exponent} and {mantissa}$"):
        chain(X, form(exponent, mantissa))


# Sums

def test_sums_are_binary32_in_order():
    """Ones that come behind 2**24 are lost one by one; those ahead of it count together."""
    weights = np.array([[2.0 ** 12, 1, 1, 1], [1, 1, 1, 2.0 ** 12]], np.float32)
    x = np.array([[2.0 ** 12, 1, 1, 1], [1, 1, 1, 2.0 ** 12]], np.float32)
    node = Dense(name="a", weights=weights, bias=np.array([0, -1], np.float32))
    made = golden.evaluate(node, x)
    assert made.dtype == np.float32
    assert made.tolist() == [[2.0 ** 24, 2.0 ** 13 + 1], [2.0 ** 13 + 2, 2.0 ** 24 + 4]]


@given(st.integers(0, 1 << 32))
def test_sums_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    node = Conv(name="a", weights=rng.normal(size=(4, 3, 2, 2)).astype(np.float32), groups=2,
                bias=rng.normal(size=4).astype(np.float32), pads=(1, 0, 1, 1), stride=(2, 1))
    x = rng.normal(size=(1, 5, 4, 4)).astype(np.float32)
    made = golden.evaluate(node, x)[0]
    for y, column, output in np.ndindex(made.shape):
        total, group = np.float32(0), output // 2
        for row, tap, channel in np.ndindex(3, 2, 2):
            line, place = 2 * y + row - 1, column + tap
            if 0 <= line < 5 and 0 <= place < 4:
                product = np.float32(x[0, line, place, 2 * group + channel]
                                     * node.weights[output, row, tap, channel])
                total = np.float32(total + product)
        assert made[y, column, output] == np.float32(total + node.bias[output])


# The pass

@pytest.mark.parametrize(("largest", "bits"), [
    (0.0, 4), (1.0, 4), (4.0, 4), (512.0, 4), (513.0, 5), (255.0, 4), (3000.0, 5),
    (2.0 ** 17, 5), (2.0 ** 17 + 1, 6), (2.0 ** 33, 6), (2.0 ** 34, 7),
])
def test_exponent_bits(largest, bits):
    """Ristretto's rule, and what it is for: the greatest number is about the largest or more."""
    assert exponent_bits(largest) == bits
    assert 2.0 ** (2 ** (bits - 1)) * 2 >= largest


def floats():
    return chain(X, affine(0.5, 0.0, "scaled"), dense(np.full((3, 4), 0.3), "a", None),
                 norm(np.full(3, 2.0), 1.0), Relu(name="relu"),
                 dense([[0.7, -0.1, 1.3]], "b", None, bias=np.array([0.9])), affine(3.0),
                 ArgMax(name="class"))


def test_form():
    x = np.random.default_rng(0).normal(size=(50, 4)) * 100
    made = quantize_minifloats(floats(), x, 8)
    assert kinds(made) == [Input, Affine, Minifloat, Dense, Relu, Minifloat, Dense, Affine, ArgMax]
    assert {(node.exponent, node.mantissa) for node in made.nodes
            if isinstance(node, Minifloat)} == {(4, 3)}
    assert made["b"].weights.tolist() == [[0.6875, -0.1015625, 1.25]]
    assert made["b"].bias.tolist() == [0.875]
    assert made["a"].weights.dtype == np.float32
    parts = split_minifloats(made)
    assert [node.name for node in parts.prefix] == ["scaled"]
    assert [node.name for node in parts.suffix] == ["affine", "class"]


@settings(max_examples=30)
@given(st.integers(0, 1 << 32))
def test_sixteen_bits_are_near(seed):
    graph, x = random_floats(np.random.default_rng(seed))
    before = golden.run(graph, x.astype(float))
    after = golden.run(to_minifloats(quantize_minifloats(graph, x, 16)), x)
    assert np.abs(before - after).mean() <= 0.02 * np.abs(before).max()


@pytest.mark.parametrize("bits", [5, 17])
def test_bits(bits):
    with pytest.raises(PassError, match="^Network 'net' must have minifloats of 6 to 16 bits, as "
                                        f"its data come up to .*, not of {bits}$"):
        quantize_minifloats(floats(), np.ones((2, 4)), bits)


def test_data_that_no_form_holds():
    with pytest.raises((PassError, GraphError), match="must have"):
        quantize_minifloats(floats(), np.full((2, 4), 1e30), 8)


# What is taken

def small(*nodes, weights=((1.0, 2.0, 0.5, 0.0),)):
    return chain(X, form(), dense(np.array(weights), "a", None), *nodes)


def test_read_again():
    made = to_minifloats(small())
    assert made["a"].weights.dtype == np.float32
    assert golden.run(made, np.ones((1, 4))).dtype == np.float32


@pytest.mark.parametrize(("graph", "sentence"), [
    (small(weights=[[0.1, 1, 1, 1]]),
     "^Dense 'a' must have weights and a bias that are minifloats, not 0.1$"),
    (small(dense([[1.0]], "b", None)),
     "^Dense 'b' must read minifloats, not what Dense 'a' makes: put a FloatQuant between$"),
    (small(affine(), form(name="f"), dense([[1.0]], "b", None)),
     ("^Node 'affine' in the body of the minifloats of 'net' must be one of Add, Concat, Conv, "
     "Dense, Flatten, MaxPool, Minifloat, Relu, not Affine$")),
    (chain(X, dense(np.eye(4), "a", None)),
     "^Graph 'net' must have minifloats ahead of its weights, not none$"),
])
def test_refusals(graph, sentence):
    with pytest.raises((PassError, StageError), match=sentence):
        to_minifloats(graph)


def test_not_on_the_accelerator():
    with pytest.raises(StageError, match="^Network 'net' must be of integers to run on the "
                                         "accelerator, not of minifloats, which run on golden "
                                         "and c$"):
        check_stage(to_minifloats(small()), "integer")


def test_pools_keep_minifloats():
    x = Input(name="x", shape=(2, 2, 1))
    graph = chain(x, form(), MaxPool(name="pool", kernel=(2, 2), stride=(1, 1)),
                  Conv(name="a", weights=np.ones((1, 1, 1, 1))))
    assert golden.run(to_minifloats(graph), np.arange(4.0).reshape(1, 2, 2, 1)).item() == 3

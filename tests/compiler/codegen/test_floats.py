"""C of minifloats against the golden model: every tensor, every bit."""

import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.codegen.c import generate, needs
from compiler.codegen.floats import _code, coded
from compiler.codegen.stage import CodegenError
from compiler.executors import Golden, layers_of
from compiler.ir import ArgMax, Conv, Dense, Flatten, Graph, Input, Minifloat
from compiler.passes.minifloats import quantize_minifloats, to_minifloats
from compiler.tools import compile_c
from sim.native import Native
from tests.compiler.passes.floats import random_floats
from tests.compiler.passes.networks import affine, chain


FLAGS = ("-O1",), ("-O3", "-march=native")
SANITIZERS = "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all"


def same(graph, x, flags=("-O1",)):
    native = Native(graph, cflags=flags)
    expected = Golden(graph).trace(x)
    found = native.trace(x)
    assert list(found) == list(expected) == layers_of(graph)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    np.testing.assert_array_equal(native.run(x), golden.run(graph, x))
    return native


def one_layer(weights, form):
    """Rounds a number, and multiplies it by minifloats."""
    return chain(Input(name="x", shape=(1,)), form,
                 Dense(name="a", weights=np.array(weights, np.float32)[:, None],
                       bias=np.zeros(len(weights), np.float32)))


@pytest.mark.parametrize(("exponent", "mantissa"), [(2, 1), (4, 3), (5, 2), (5, 10), (6, 9)])
def test_every_rounding(exponent, mantissa):
    """Numbers of 12 more bits than a minifloat has, around it and beyond it; and halves."""
    form = Minifloat(name="form", exponent=exponent, mantissa=mantissa)
    rng = np.random.default_rng(0)
    x = np.ldexp(rng.uniform(-2, 2, 4000), rng.integers(form.lowest - 4, 2 - form.lowest + 4, 4000))
    near = golden.minifloat(x, form)
    ties = near * (1 + 2.0 ** -(mantissa + 1))
    ends = [0.0, -0.0, form.least, form.least / 2, form.least * (1 - 2.0 ** -(mantissa + 1)),
            np.nextafter(np.float32(form.least * (1 - 2.0 ** -(mantissa + 1))), np.float32(0)),
            form.most, form.most * 1.001, 3e38, -3e38]
    same(one_layer([1.0, -0.5], form), np.concatenate([x, near, ties, ends])[:, None])


@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 1 << 32), st.integers(7, 16), st.sampled_from(FLAGS))
def test_every_layer(seed, bits, flags):
    graph, x = random_floats(np.random.default_rng(seed))
    same(to_minifloats(quantize_minifloats(graph, x, bits)), x, flags)


@settings(max_examples=3, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 1 << 32))
def test_nothing_is_undefined(seed):
    graph, x = random_floats(np.random.default_rng(seed))
    same(to_minifloats(quantize_minifloats(graph, x, 8)), x, SANITIZERS)


def test_order_of_sums():
    """A sum whose every order gives something else."""
    form = Minifloat(name="form", exponent=6, mantissa=9)
    rng = np.random.default_rng(1)
    weights = np.ldexp(rng.choice([-1, 1], (3, 40)), rng.integers(-20, 20, (3, 40)))
    graph = chain(Input(name="x", shape=(40,)), form,
                  Dense(name="a", weights=weights.astype(np.float32),
                        bias=np.ones(3, np.float32)))
    x = golden.minifloat(rng.normal(size=(50, 40)), form)
    backwards = (x[:, ::-1] * weights[:, ::-1].astype(np.float32)[:, None]).cumsum(-1, np.float32)
    assert (golden.run(graph, x) != backwards[..., -1].T + 1).any()
    same(graph, x, FLAGS[1])


def picture():
    rng = np.random.default_rng(2)
    nodes = (Input(name="x", shape=(4, 3, 1)), affine(1 / 256, name="scaled"),
             Conv(name="conv", weights=rng.normal(size=(3, 2, 2, 1))), Flatten(name="flat"),
             Dense(name="dense", weights=rng.normal(size=(4, 18))), affine(2.0, name="scores"),
             ArgMax(name="class"))
    x = rng.integers(0, 256, (30, 4, 3, 1))
    made = quantize_minifloats(chain(*nodes), x, 8)
    return to_minifloats(Graph(made.nodes, "picture", {"classes": ["a", "b", "c", "d"]})), x


def test_program(tmp_path):
    """As a user would build it: raw numbers in, outputs and the class out."""
    graph, x = picture()
    generate(graph, tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["Makefile", "floats.h", "host.c", "main.c", "net.c", "net.h", "weights.h"]
    compile_c([tmp_path / name for name in ("main.c", "net.c", "host.c")], tmp_path / "net", ())
    result = subprocess.run([tmp_path / "net"], input=x.astype(np.float64).tobytes(),
                            capture_output=True, check=True)
    lines = [line.split(" -> ") for line in result.stdout.decode().splitlines()]
    tensors = {node.name: values for node, values in golden.trace(graph, x)}
    printed = np.array([np.array(line[0].split(), np.float32) for line in lines])
    np.testing.assert_array_equal(printed, tensors["dense"])
    assert [line[1] for line in lines] == [f"{chosen} {'abcd'[chosen]}"
                                           for chosen in tensors["class"]]


def test_memory_and_multiplications():
    graph, _ = picture()
    native = Native(graph, cflags=("-O1",))
    multiplied, constants = needs(graph)
    assert multiplied == 6 * 12 + 18 * 4
    assert native.memory[0] == constants == 12 + 72 + 4 * (3 + 4)
    assert native.memory[1] == 4 * (12 + 18)  # the picture, and the convolution


@given(st.integers(2, 6), st.integers(1, 9), st.integers(0, 1 << 32))
def test_weights_take_no_more_bits_than_their_form(exponent, mantissa, seed):
    """They are stored in octets or pairs of these, and are what they were."""
    form = Minifloat(name="form", exponent=exponent, mantissa=mantissa)
    rng = np.random.default_rng(seed)
    x = np.ldexp(rng.normal(size=(3, 7)), rng.integers(form.lowest, 3 - form.lowest, (3, 7)))
    node = Dense(name="a", weights=golden.minifloat(x, form))
    assert coded(node).itemsize == (1 if form.bits <= 8 else coded(node).itemsize)
    code = _code(node)
    assert code.bits <= form.bits
    codes = coded(node).astype(int).reshape(7, 3).T
    sizes = codes & (1 << code.bits - 1) - 1
    values = (1 + (sizes & (1 << code.mantissa) - 1) / 2 ** code.mantissa) * 2.0 ** (
        code.lowest - 1 + (sizes >> code.mantissa))
    values = np.where(sizes == 0, 0, values) * np.where(codes >> code.bits - 1, -1, 1)
    np.testing.assert_array_equal(values, node.weights)


def test_weights_of_too_many_bits():
    graph = one_layer([1.0, 1 + 2.0 ** -20], Minifloat(name="form", exponent=4, mantissa=3))
    with pytest.raises(CodegenError, match="^Dense 'a' must have weights of at most 16 bits in C, "
                                           "not 22$"):
        needs(graph)

"""Weights that are powers of two: the C shifts, adds and subtracts."""

import itertools

import numpy as np
import pytest

from compiler import golden
from compiler.codegen.c import generate
from compiler.codegen.stage import Kernel
from compiler.ir import Conv, Fixed, Graph, Input
from compiler.stages import StageError, check_stage
from sim.native import Native
from tests.compiler.codegen.networks import dense_graph, frames


CODES = [sign << exponent for sign, exponent in itertools.product((1, -1), range(8))]


def same(graph, x):
    assert Native(graph, cflags=("-O1",)).plan.stages[-1].kernel is Kernel.SHIFTS
    for flags in ("-O1",), ("-O3", "-march=native"):
        np.testing.assert_array_equal(Native(graph, cflags=flags).run(x), golden.run(graph, x))


@pytest.mark.parametrize("signed", [True, False])
def test_every_product(signed):
    """All 16 weights with all inputs of 8 bits."""
    kind = Fixed(8, signed=signed)
    graph = dense_graph(np.array(CODES)[:, None], bits=9, kind=kind)
    x = np.arange(256)[:, None] - 128 * signed
    same(graph, x)
    np.testing.assert_array_equal(golden.run(graph, x), x * CODES)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("shape", "kernel", "outputs", "options"), [
    ((7, 6, 1), (5, 5), 3, {"pads": (2, 2, 2, 2)}),       # rows of 5, filled up to 8
    ((6, 5, 3), (3, 2), 70, {"stride": (2, 1)}),          # more than a block of channels
    ((5, 5, 4), (3, 3), 8, {"pads": (1, 0, 1, 0), "groups": 2}),
    ((4, 4, 2), (1, 1), 5, {}),
])
def test_convolutions(shape, kernel, outputs, options, signed):
    rng = np.random.default_rng(0)
    kind = Fixed(8, signed=signed)
    weights = rng.choice(CODES, (outputs, *kernel, shape[2] // options.get("groups", 1)))
    graph = Graph((Input(name="x", shape=shape, type=kind),
                   Conv(name="conv", inputs=("x",), weights=weights, bits=9, **options)))
    same(graph, frames(rng, shape, kind, 5))


def test_no_kernel_that_multiplies_is_called(tmp_path):
    graph = dense_graph(np.array([CODES]), bits=9, kind=Fixed(8))
    generate(graph, tmp_path)
    source = (tmp_path / "net.c").read_text()
    assert "shift_sums(" in source
    assert "byte_sums(" not in source
    code = (tmp_path / "shifts.h").read_text().partition("NET_SHARED")[2]
    assert "*" not in code.replace("_t *", "")  # but for pointers


@pytest.mark.parametrize("weights", [[1, -1], [3, 2], [0, 2]])
def test_other_weights_are_multiplied(weights):
    graph = dense_graph(np.array([weights]), bits=8, kind=Fixed(8))
    assert not graph.output.shifts


def test_nine_bits_are_of_powers_of_two_alone():
    with pytest.raises(StageError, match="^Dense 'dense' must have weights of at most 8 bits, "
                                         "not 9$"):
        check_stage(dense_graph(np.array([[128, 96]]), bits=9, kind=Fixed(8)), "integer")
    check_stage(dense_graph(np.array([[128, 64]]), bits=9, kind=Fixed(8)), "integer")
    with pytest.raises(StageError, match="weights of at most 8 bits, not 9$"):
        check_stage(dense_graph(np.array([[-256, 64]]), bits=9, kind=Fixed(8)), "integer")

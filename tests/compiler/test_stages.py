import re

import numpy as np
import pytest

from compiler import golden
from compiler.ir import (
    Affine,
    ArgMax,
    Binary,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    Input,
    Quant,
    Relu,
    Requantize,
    Sum,
    Threshold,
)
from compiler.stages import StageError, check_stage, on_host, split
from tests.compiler.passes.networks import chain, dense


SIGN = Threshold(name="sign", levels=np.array([[0]]))
PICTURE = Input(name="x", shape=(2, 2, 1), type=Fixed(8, signed=False))
BITS = Binary()
ONES = np.ones((3, 4), int)


def network():
    return chain(PICTURE, Threshold(name="bits", levels=np.array([[100]])), Flatten(name="flat"),
                 dense(ONES, "a"), SIGN, dense(np.eye(3, dtype=int) * 5, "b", 4),
                 Requantize(name="small", shift=1, bits=3), Flatten(name="flat2"),
                 dense(np.ones((2, 3), int), "c"), Affine(name="values", scale=0.5),
                 ArgMax(name="class"))


def test_split():
    parts = split(network())
    assert [node.name for node in parts.prefix] == ["bits", "flat"]
    assert [node.name for node in parts.suffix] == ["values", "class"]
    a, b, c = parts.body
    assert [layer.name for layer in parts.body] == ["a", "b", "c"]
    assert [layer.input for layer in parts.body] == ["flat", "sign", "small"]
    assert [layer.output for layer in parts.body] == ["sign", "small", "c"]
    assert [layer.on_array for layer in parts.body] == [True, False, False]
    assert (a.input_type, a.sum_type, a.output_type) == (Binary(), Sum(-4, 4), Binary())
    assert (b.input_type, b.sum_type, b.output_type) == (Binary(), Sum(-5, 5), Fixed(3))
    assert c.activation is None
    assert c.output_type == c.sum_type == Sum(-12, 9 + 3 - 3)


def test_host_and_body_make_the_whole():
    graph = network()
    parts = split(graph)
    x = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1))
    body = [node for layer in parts.body for node in (layer.sums, layer.activation) if node]
    found = on_host(parts.suffix, on_host(tuple(body), on_host(parts.prefix, x)))
    np.testing.assert_array_equal(found, golden.run(graph, x))


def test_no_prefix_and_a_last_activation():
    bits = Input(name="x", shape=(4,), type=Binary())
    parts = split(chain(bits, dense(ONES), SIGN, HighestBit(name="class")))
    assert parts.prefix == ()
    assert parts.body[0].input == "x"
    assert parts.body[0].output_type == Binary()


def layers(*nodes, kind=BITS):
    return [Input(name="x", shape=(4,), type=kind), *nodes]


@pytest.mark.parametrize(("nodes", "sentence"), [
    (layers(dense(ONES), Quant(name="quant", bits=9, scale=1.0)),
     ("Node 'quant' in the suffix of 'net' must be one of Affine, ArgMax, AveragePool, BatchNorm, "
      "Flatten, HighestBit, MaxPool, Relu, not Quant")),
    (layers(dense(ONES, "a"), dense(np.ones((1, 3), int), "b")),
     "Dense 'a' must be followed by a Threshold or a Requantize, not Dense 'b'"),
    (layers(dense(ONES), kind=Fixed(9)),
     ("Dense 'sums' must read bits or integers of at most 8 bits (from the input, or a quantizer "
      "behind it), not integers of 9 bits")),
    (layers(dense(ONES, scale=0.5)), "Dense 'sums' must have scale 1, not 0.5"),
    (layers(dense(ONES, bias=np.ones(3))), "Dense 'sums' must have an integer bias, not float64"),
    (layers(dense(ONES * 2)), "Dense 'sums' must have weights of -1 and +1, not 2"),
    (layers(dense(ONES * 8, bits=4)), "Dense 'sums' must have weights of 4 bits, not 8"),
    (layers(dense(ONES), Threshold(name="t", levels=np.array([[0.5]]))),
     "Threshold 't' must have integer levels, not float64"),
    (layers(dense(ONES), Threshold(name="t", levels=np.array([[2 ** 40]]))),
     "Threshold 't' must have levels of at most 32 bits, not 1099511627776"),
    (layers(dense(ONES), Requantize(name="r", shift=-1, bits=8)),
     "Requantize 'r' must shift to the right, not -1"),
    (layers(dense(ONES), Requantize(name="r", shift=0, bits=9)),
     "Requantize 'r' must make at most 8 bits, not 9"),
    (layers(dense(ONES), SIGN, Requantize(name="r", shift=0, bits=8),
            dense(np.ones((1, 3), int), "b")),
     "Requantize 'r' must follow a Dense or a Conv, not Threshold"),
])
def test_refusals(nodes, sentence):
    with pytest.raises(StageError, match=f"^{re.escape(sentence)}$"):
        check_stage(chain(*nodes), "integer")


def test_quant_is_legal_when_imported_only():
    nodes = layers(dense(ONES), Quant(name="q", bits=4, scale=1.0))
    check_stage(chain(*nodes), "imported")
    with pytest.raises(StageError, match="^Node 'q' in the suffix"):
        check_stage(chain(*nodes), "integer")


def test_branch():
    nodes = chain(*layers(dense(ONES), SIGN)).nodes
    graph = Graph((*nodes, Relu(name="r", inputs=("sums",))))
    with pytest.raises(StageError, match="^Node 'r' must read 'sign', as the graph must be one "
                                         "chain, not 'sums'$"):
        check_stage(graph, "imported")


def test_unknown_stage():
    with pytest.raises(ValueError, match="^Stage must be one of imported, integer, not 'ready'$"):
        check_stage(network(), "ready")

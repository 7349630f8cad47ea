import re
from dataclasses import replace

import numpy as np
import pytest

from compiler import golden
from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    Binary,
    Concat,
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
from compiler.stages import Joining, StageError, check_stage, on_host, split
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
    nodes = chain(*layers(dense(ONES), SIGN, dense(np.ones((3, 3), int), "b"))).nodes
    graph = Graph((*nodes, Relu(name="r", inputs=("sign",))))
    check_stage(graph, "imported")
    with pytest.raises(StageError, match="^Node 'r' must read 'b', as what is behind the layers "
                                         "must be one chain, not 'sign'$"):
        check_stage(graph, "integer")


def adding(first, second, *more):
    """Two layers of `BITS`, and an Add of two tensors."""
    nodes = chain(*layers(dense(ONES, "a"), SIGN, dense(np.ones((3, 3), int), "b"))).nodes
    return Graph((*nodes, *more, Add(name="add", inputs=(first, second))))


def test_addend():
    a, b = split(adding("sign", "b")).body
    assert (a.addend, a.add, b.addend, b.output) == (None, None, "sign", "add")
    assert b.sum_type == b.output_type == Sum(-4, 4)


def test_sums_that_are_kept():
    third = dense(np.ones((3, 3), int), "c")
    graph = adding("b", "c", replace(third, inputs=("sign",)))
    _, b, c = split(graph).body
    assert (b.activation, b.output, b.addend) == (None, "b", None)
    assert (c.name, c.addend, c.addend_type, c.sum_type) == ("c", "b", Sum(-3, 3), Sum(-6, 6))


def test_a_step_waits_for_its_addend():
    """The layer comes where its Add is, behind what makes the addend."""
    third = dense(np.ones((3, 3), int), "c")
    small = Requantize(name="r", shift=0, bits=3, inputs=("c",))
    graph = adding("b", "r", replace(third, inputs=("sign",)), small)
    assert [step.name for step in split(graph).body] == ["a", "c", "b"]


@pytest.mark.parametrize(("first", "second", "sentence"), [
    ("b", "b", ("Node 'add' must read 'b', as what is behind the layers must be one chain, not "
                "'b', 'b'")),
    ("b", "values", "Node 'values' must read 'b', as what is behind the layers must be one chain"),
])
def test_adds_at_the_end_that_are_refused(first, second, sentence):
    values = Affine(name="values", scale=0.5, inputs=("sign",))
    graph = adding(first, second, *[values] * (second == "values"))
    with pytest.raises(StageError, match=f"^{re.escape(sentence)}"):
        check_stage(graph, "integer")


def test_add_of_small_integers_alone():
    nodes = chain(*layers(dense(ONES, "a"), SIGN)).nodes
    graph = Graph((*nodes, Add(name="add", inputs=("sign", "sign")),
                   Threshold(name="t", levels=np.array([[0]]), inputs=("add",)),
                   replace(dense(np.ones((3, 3), int), "last"), inputs=("t",))))
    with pytest.raises(StageError, match="^Add 'add' must add to the sums of a layer that nothing "
                                         "else reads, not Threshold 'sign' and Threshold 'sign'$"):
        check_stage(graph, "integer")


def test_joining():
    nodes = chain(*layers(dense(ONES, "a"), SIGN)).nodes
    other = dense(ONES, "b")
    kinds = Threshold(name="t", levels=np.array([[0]])), Requantize(name="t", shift=0, bits=2)
    for last in kinds:
        graph = Graph((*nodes, replace(other, inputs=("x",)), replace(last, inputs=("b",)),
                       Concat(name="join", inputs=("sign", "t"))))
        if last is kinds[0]:
            join = split(graph).body[-1]
            assert isinstance(join, Joining)
            assert (join.inputs, join.input_shapes) == (("sign", "t"), ((3,), (3,)))
            assert (join.output, join.output_shape, join.output_type) == ("join", (6,), Binary())
            continue
        with pytest.raises(StageError, match="^Concat 'join' must join tensors of one type, not "
                                             "bits and integers of 2 bits$"):
            check_stage(graph, "integer")
        graph = Graph((*graph.nodes[:-1], Concat(name="join", inputs=("t", "t")),
                       replace(dense(np.ones((1, 6), int), "c"), inputs=("join",))))
        with pytest.raises(StageError, match="^Node 'sign' must be read by a layer, not by none$"):
            check_stage(graph, "integer")


def test_unknown_stage():
    with pytest.raises(ValueError, match="^Stage must be one of imported, integer, not 'ready'$"):
        check_stage(network(), "ready")

import numpy as np
import pytest
from onnx import TensorProto

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Affine, Threshold
from tests.compiler.frontends.models import Net


RNG = np.random.default_rng(0)
LEVELS = np.array([0.0, 1.0, -0.5, 0.25, 3.0])
X = np.concatenate([RNG.normal(size=(6, 5)), [LEVELS, LEVELS + 1e-9, LEVELS - 1e-9]])
KINDS = {"Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
         "LessOrEqual": np.less_equal}


def load(folder, net, name):
    graph = net.load(folder, net.end(name, 5))
    return graph, [type(node) for node in graph.nodes[1:-1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("constant", [LEVELS, LEVELS[None], np.array(0.0)])
def test_where(tmp_path, kind, swap, constant):
    net = Net([1, 5])
    truth = net.node(kind, *((constant, "x") if swap else ("x", constant)))
    graph, _ = load(tmp_path, net, net.node("Where", truth, np.array(2.0), np.array([-1.0])))
    expected = KINDS[kind](constant, X) if swap else KINDS[kind](X, constant)
    np.testing.assert_array_equal(golden.run(graph, X), np.where(expected, 2.0, -1.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.INT32])
def test_cast(tmp_path, kind, to):
    net = Net([1, 5])
    truth = net.node("Identity", net.node(kind, "x", LEVELS))
    graph, kinds = load(tmp_path, net, net.node("Cast", truth, to=to))
    assert kinds == [Threshold, Affine]
    np.testing.assert_array_equal(golden.run(graph, X), KINDS[kind](X, LEVELS))


@pytest.mark.parametrize(("kind", "yes", "no"), [("GreaterOrEqual", 1.0, -1.0),
                                                 ("Less", -1.0, 1.0)])
def test_signs_in_disguise(tmp_path, kind, yes, no):
    net = Net([1, 5])
    clipped = net.node("Clip", "x", np.array(-1.0), np.array(1.0))
    truth = net.node(kind, clipped, np.array(0.0))
    graph, kinds = load(tmp_path, net, net.node("Where", truth, np.array(yes), np.array(no)))
    assert kinds == [Threshold]
    np.testing.assert_array_equal(golden.run(graph, X), np.where(X >= 0, 1, -1))


def test_a_choice_for_each_channel(tmp_path):
    net = Net([1, 5])
    truth = net.node("Less", "x", np.array(0.0))
    graph, _ = load(tmp_path, net, net.node("Where", truth, LEVELS, np.array(1.0)))
    np.testing.assert_array_equal(golden.run(graph, X), np.where(X < 0, LEVELS, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_constants_are_folded(tmp_path, kind):
    weights = RNG.normal(size=(5, 5)).astype(np.float32)
    net = Net([1, 5])
    truth = net.node(kind, weights, np.array(0.0))
    chosen = net.node("Where", truth, np.array(1.0), np.array(-1.0))
    graph = net.load(tmp_path, net.node("MatMul", "x", chosen))
    assert graph.output.bits == 1
    np.testing.assert_array_equal(graph.output.weights.T, np.where(KINDS[kind](weights, 0), 1, -1))


@pytest.mark.parametrize(("build", "match"), [
    (lambda net: net.node("Greater", "x", "x"),
     "must compare a tensor with a constant, not with another tensor$"),
    (lambda net: net.node("Greater", "x", np.ones(4)), "must have a level for each channel"),
    (lambda net: net.node("Where", "x", np.ones(5), np.ones(5)),
     r"must choose by a comparison \(Greater, Less, \.\.\.\)$"),
    (lambda net: net.node("Where", net.node("Less", "x", np.array(0.0)), "x", np.ones(5)),
     "must have a constant as input 1, not 'x'"),
    (lambda net: net.node("Relu", net.node("Less", "x", np.array(0.0))),
     "must read numbers, as Where or Cast make of a comparison$"),
    (lambda net: net.node("Where", net.node("Less", np.ones(4), np.ones(3)), np.ones(5),
                          np.ones(5)), "must have constants that fit"),
    (lambda net: net.node("Greater", net.node("Clip", "x", np.array(-1.0), np.array(1.0)),
                          np.array(1.0)), "must have levels above"),
])
def test_refusals(tmp_path, build, match):
    net = Net([1, 5])
    with pytest.raises(ModelError, match=match):
        net.load(tmp_path, net.end(build(net), 5))


def test_a_comparison_at_the_end(tmp_path):
    net = Net([1, 5])
    with pytest.raises(ModelError, match="must hold what a layer made, not a comparison"):
        net.load(tmp_path, net.node("Less", net.end("x", 5), np.array(0.0)))

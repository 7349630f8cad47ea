import numpy as np
import pytest

from compiler import golden
from compiler.frontends import ModelError
from compiler.ir import Add, Concat, Sum
from tests.compiler.frontends.models import Net, agrees


RNG = np.random.default_rng(0)
X = RNG.normal(size=(1, 4, 5, 3))


def real(*shape):
    return RNG.normal(size=shape)


def test_residual(tmp_path):
    net = Net([1, 4, 5, 3])
    first = net.node("Relu", net.node("Conv", "x", real(4, 4, 3, 3), pads=[1, 1, 1, 1]))
    made = net.node("Conv", first, real(4, 4, 1, 1))
    graph = agrees(tmp_path, net, net.node("Relu", net.node("Add", made, first)), X)
    assert sum(isinstance(node, Add) for node in graph.nodes) == 1


def test_the_same_twice(tmp_path):
    net = Net([1, 4, 5, 3])
    made = net.node("Conv", "x", real(4, 4, 1, 1))
    agrees(tmp_path, net, net.node("Add", made, made), X)


def test_sums_stay_integer(tmp_path):
    net = Net([1, 4, 5, 3])
    bits = net.node("Sign", "x")
    left, right = (net.node("Conv", bits, np.ones((2, 4, 1, 1))) for _ in range(2))
    graph = net.load(tmp_path, net.node("Add", left, right))
    assert graph.type(graph.output.name) == Sum(-8, 8)


@pytest.mark.parametrize("axis", [1, -3])
def test_channels_side_by_side(tmp_path, axis):
    net = Net([1, 4, 5, 3])
    left, right = net.node("Conv", "x", real(2, 4, 1, 1)), net.node("Conv", "x", real(5, 4, 1, 1))
    joined = net.node("Concat", left, "x", right, axis=axis)
    graph = agrees(tmp_path, net, net.node("Conv", joined, real(3, 11, 2, 2)), X)
    assert sum(isinstance(node, Concat) for node in graph.nodes) == 1


def test_features_side_by_side(tmp_path):
    net = Net([1, 4, 5, 3])
    made = net.node("Conv", "x", real(2, 4, 1, 1))
    flat = net.node("Concat", net.node("Flatten", made), net.node("Flatten", "x"), axis=-1)
    flat = net.node("Mul", flat, real(90))
    agrees(tmp_path, net, net.node("Gemm", flat, real(7, 90), transB=1), X)


def test_features_of_a_dense_network(tmp_path):
    net = Net([1, 4])
    left, right = net.node("Gemm", "x", real(4, 3)), net.node("Gemm", "x", real(4, 3))
    flat = net.node("Concat", net.node("Add", left, right), right, axis=1)
    agrees(tmp_path, net, net.node("Gemm", flat, real(6, 2)), real(1, 4))


def test_turned_alike(tmp_path):
    """Tensors whose elements lie alike can be added, whatever their order."""
    net = Net([1, 4, 5, 3], dtype=np.float64)
    made = net.node("Conv", "x", np.eye(4)[:, :, None, None])
    left, right = (net.node("Transpose", name, perm=[0, 2, 1, 3]) for name in (made, "x"))
    made = net.node("Transpose", net.node("Add", left, right), perm=[0, 2, 1, 3])
    x = X.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(golden.run(net.load(tmp_path, made), x), 2 * x)


def one(net):
    return net.node("Conv", "x", real(1, 4, 1, 1))


@pytest.mark.parametrize(("join", "match"), [
    (lambda net: net.node("Add", "x", one(net)),
     r"must add tensors of one shape, .* not \(4, 5, 3\) and \(1, 5, 3\)$"),
    (lambda net: net.node("Add", "x", net.node("GlobalAveragePool", "x")),
     r"must add tensors of one shape, .* not \(4, 5, 3\) and \(4, 1, 1\)$"),
    (lambda net: net.node("Concat", "x", one(net), axis=2),
     "must join channels, along axis 1, not 2$"),
    (lambda net: net.node("Concat", "x", np.ones((1, 4, 5, 3)), axis=1),
     "must join tensors or constants, not one with the other$"),
    (lambda net: net.node("Concat", "x", net.node("MaxPool", "x", kernel_shape=[2, 2]), axis=1),
     "must read tensors that differ in channels alone, not"),
    (lambda net: net.node("Concat", "x", net.node("Flatten", "x"), axis=1),
     "must join pictures as the model's input or layers have them, or flat tensors, not others$"),
    (lambda net: net.node("Concat", "x", net.node("Transpose", "x", perm=[0, 1, 3, 2]), axis=1),
     "must join pictures as the model's input or layers have them, or flat tensors, not others$"),
])
def test_refusals(tmp_path, join, match):
    net = Net([1, 4, 5, 3])
    made = join(net)
    with pytest.raises(ModelError, match=match) as caught:
        net.load(tmp_path, net.node("Conv", made, real(1, 4, 1, 1)))
    assert len(caught.value.refusals) == 1

import numpy as np
import pytest

from compiler import golden
from compiler.frontends import ModelError
from tests.compiler.frontends.models import Net, channels_last, run_op


RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 2, 3, 5))


@pytest.mark.parametrize(("kind", "inputs", "attributes"), [
    ("Reshape", (np.array([1, -1]),), {}),
    ("Reshape", (np.array([-1, 30]),), {}),
    ("Reshape", (np.array([0, 0, -1]),), {}),
    ("Reshape", (np.array([1, 5, 6]),), {"allowzero": 1}),
    ("Flatten", (), {}),
    ("Flatten", (), {"axis": -3}),
    ("Flatten", (), {"axis": 0}),
    ("Unsqueeze", (np.array([2, -1]),), {}),
    ("Identity", (), {}),
])
def test_order_stays(tmp_path, kind, inputs, attributes):
    np.testing.assert_array_equal(run_op(tmp_path, X, kind, *inputs, **attributes),
                                  X.reshape(4, -1))


@pytest.mark.parametrize("perm", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 2, 1), (0, 2, 1, 3)])
def test_transpose(tmp_path, perm):
    np.testing.assert_array_equal(run_op(tmp_path, X, "Transpose", perm=list(perm)),
                                  X.transpose(perm).reshape(4, -1))


def test_moves_in_a_row(tmp_path):
    net = Net([1, 2, 3, 5])
    name = net.node("Transpose", "x", perm=[0, 3, 2, 1])
    name = net.node("Reshape", name, np.array([1, 10, 3]))
    name = net.node("Mul", name, np.arange(1.0, 11)[:, None])
    name = net.node("Transpose", name, perm=[0, 2, 1])
    graph = net.load(tmp_path, net.end(net.node("Flatten", name), 30))
    expected = X.transpose(0, 3, 2, 1).reshape(4, 10, 3) * np.arange(1, 11)[:, None]
    np.testing.assert_array_equal(golden.run(graph, channels_last(X)),
                                  expected.transpose(0, 2, 1).reshape(4, -1))


@pytest.mark.parametrize("opset", [12, 13])
def test_batch_normalization_of_unsqueezed_features(tmp_path, opset):
    net = Net([1, 6], opset=opset)
    axes = {"axes": [2]} if opset < 13 else {}
    inputs = () if opset < 13 else (np.array([2]),)
    name = net.node("Unsqueeze", "x", *inputs, **axes)
    gamma = np.arange(1.0, 7)
    name = net.node("BatchNormalization", name, gamma, gamma, np.zeros(6), np.ones(6))
    graph = net.load(tmp_path, net.end(net.node("Squeeze", name, *inputs, **axes), 6))
    x = RNG.normal(size=(3, 6))
    np.testing.assert_allclose(golden.run(graph, x), x / np.sqrt(1 + 1e-5) * gamma + gamma)


@pytest.mark.parametrize("batch", [1, 3, "n"])
def test_shape_computed_by_nodes(tmp_path, batch):
    """`x.view(x.size(0), -1)`, as the exporter by tracing writes it."""
    net = Net([batch, 2, 3, 5])
    size = net.node("Gather", net.node("Shape", "x"), np.array(0), axis=0)
    sizes = net.node("Concat", net.node("Unsqueeze", size, np.array([0])),
                     net.node("Constant", value_ints=[-1]), axis=0)
    graph = net.load(tmp_path, net.end(net.node("Reshape", "x", sizes), 30))
    np.testing.assert_array_equal(golden.run(graph, channels_last(X)), X.reshape(4, -1))


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("Reshape", (np.array([30]),), {}, "keep its batch axis: a result without the batch axis$"),
    ("Reshape", (np.array([5, 6]),), {}, "keep its batch axis"),
    ("Reshape", (np.array([1, 31]),), {}, "must fit the shape of what it reads"),
    ("Reshape", (np.array([1, -2]),), {}, "must reshape to sizes of at least -1, not -2$"),
    ("Reshape", (np.array([1, -1, -1]),), {}, "must fit the shape"),
    ("Reshape", (np.array([1.0, 30.0]),), {}, "must have a few integers as input 1"),
    ("Reshape", ("x",), {}, ("must have a constant as input 1, not 'x', which depends on the "
                            "input of the model$")),
    ("Flatten", (), {"axis": 5}, "must fit the shape of what it reads .*: axis 5 of 4$"),
    ("Flatten", (), {"axis": 2}, "keep its batch axis"),
    ("Transpose", (), {"perm": [1, 0, 2, 3]}, "keep its batch axis"),
    ("Transpose", (), {}, "keep its batch axis"),
    ("Transpose", (), {"perm": [0, 1, 1, 2]}, "must fit the shape"),
    ("Transpose", (), {"perm": [0, 1]}, "must fit the shape"),
    ("Squeeze", (), {}, "keep its batch axis"),
    ("Squeeze", (np.array([1]),), {}, "must fit the shape"),
    ("Unsqueeze", (), {}, "must have axes$"),
    ("Unsqueeze", (np.array([1 << 40]),), {}, "must have axes of up to 8"),
    ("Gather", (np.array(0),), {}, "must have a constant as input 0, not 'x'"),
])
def test_refusals(tmp_path, kind, inputs, attributes, match):
    if kind == "Squeeze" and not inputs:
        net = Net([1, 1, 30])
        with pytest.raises(ModelError, match=match):
            net.load(tmp_path, net.end(net.node("Squeeze", "x"), 30))
        return
    with pytest.raises(ModelError, match=match):
        run_op(tmp_path, X, kind, *inputs, **attributes)

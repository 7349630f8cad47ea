import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Binary,
    Dense,
    Graph,
    Input,
    Relu,
)
from compiler.passes import to_integer
from compiler.passes.integer_scores import integer_scores, same_order
from tests.compiler.codegen.test_c import build_program, check_program


EVERY = np.array(list(itertools.product([-1, 1], repeat=9)))


def network(*chain, classes=4, end=True):
    """Every class sees nine bits, and then goes through ``chain``."""
    rng = np.random.default_rng(classes)
    nodes = [Input(name="x", shape=(9,), type=Binary()),
             Dense(name="sums", inputs=("x",), weights=rng.choice([-1, 1], (classes, 9)), bits=1)]
    for node in (*chain, *([ArgMax(name="class")] if end else [])):
        nodes.append(type(node)(**{key: getattr(node, key) for key in vars(node)}
                                | {"inputs": (nodes[-1].name,)}))
    return Graph(tuple(nodes))


def norm(rng, classes=4):
    return BatchNorm(name="norm", gamma=rng.normal(size=classes), beta=rng.normal(size=classes),
                     mean=rng.normal(0, 3, classes), variance=rng.uniform(0.1, 9, classes))


@given(st.integers(0, 1 << 32))
def test_same_classes(seed):
    """All pictures of nine bits, against BatchNorms and Affines of all signs and sizes."""
    rng = np.random.default_rng(seed)
    chain = (Affine(name="scaled", scale=rng.choice([-1, 1e-6, 1e6]), offset=rng.normal(size=4)),
             norm(rng))
    graph = network(*chain[rng.integers(2):])
    after = integer_scores(graph)
    made = after.nodes[-2]
    assert isinstance(made, Affine)
    assert (made.scale.dtype.kind, made.offset.dtype.kind, len(after.nodes)) == ("i", "i", 4)
    largest = max(np.abs(made.scale).max(), np.abs(made.offset).max())
    assert 1 << 29 <= largest <= 1 << 30
    np.testing.assert_array_equal(golden.run(after, EVERY), golden.run(graph, EVERY))


def test_equal_scores_stay_equal():
    """Of two classes that are one, the first is chosen."""
    twice = {"scale": np.array([0.1, 0.3, 0.3]), "offset": np.array([-5.0, 0.7, 0.7])}
    graph = network(Affine(name="a", **twice), classes=3)
    after = integer_scores(graph)
    made = after.nodes[-2]
    assert made.scale[1] == made.scale[2]
    assert made.offset[1] == made.offset[2]
    same = np.array([[-7, 3, 3], [3, 3, 3], [5, 3, 5]])
    wanted = golden.evaluate(graph.nodes[-2], same).argmax(1)
    assert golden.evaluate(made, same).argmax(1).tolist() == wanted.tolist()


@pytest.mark.parametrize("chain", [
    (),
    (Affine(name="a", scale=0.5, offset=3.0),),
    (Affine(name="a", scale=np.full(4, 0.5)),),
    (Affine(name="a", scale=0.0),),
    (Affine(name="a", scale=np.array([1, 2, 3, 4.0])), Relu(name="relu")),
    # the second class is above the first by less than 32 bits can tell
    (Affine(name="a", scale=np.array([1, 1 + 1e-12, 0.5, 0.5])),),
])
def test_left_alone(chain):
    graph = network(*chain)
    assert integer_scores(graph) is graph


def test_scores_that_are_asked_for_stay_real():
    graph = network(norm(np.random.default_rng(0)), end=False)
    assert integer_scores(graph) is graph


def test_too_many_sums():
    wide = Dense(name="sums", inputs=("x",), weights=np.ones((4, 1 << 20), np.int64), bits=1)
    graph = Graph((Input(name="x", shape=(1 << 20,), type=Binary()), wide,
                   Affine(name="a", inputs=("sums",), scale=np.array([1, 2, 3, 4.0])),
                   ArgMax(name="class", inputs=("a",))))
    assert integer_scores(graph) is graph


def test_order():
    first = np.array([[3.0, 1.0], [2.0, 1.0]])
    assert same_order(first, np.array([[9, 4], [7, 4]]))
    assert not same_order(first, np.array([[9, 4], [9, 4]]))
    assert not same_order(first, np.array([[9, 4], [7, 5]]))
    assert not same_order(first, np.array([[7, 4], [9, 4]]))


def test_program(tmp_path):
    """The C chooses in integers, and needs nothing of the host."""
    graph = to_integer(network(norm(np.random.default_rng(1))))
    program = build_program(tmp_path, graph)
    assert not (tmp_path / "host.c").exists() or "net_scores" not in (
        tmp_path / "host.c").read_text()
    assert "class_score" in (tmp_path / "net.c").read_text()
    check_program(program, graph, EVERY)

import numpy as np
import pytest

from compiler import golden
from compiler.ir import Add, Affine, Concat, Conv, Fixed, Graph, Input, Relu
from compiler.passes.rewriting import (
    PassError,
    columns,
    free_name,
    host_run,
    is_line,
    per_channel,
    rewrite,
    run_behind,
    ungrouped,
    with_weights,
)
from tests.compiler.passes.networks import SIGN, affine, all_sums, bits_in, chain, dense, norm


def names(graph):
    return [(node.name, *node.inputs) for node in graph.nodes]


def diamond():
    return Graph((Input(name="x", shape=(2,), type=Fixed(4)), Affine(name="a", inputs=("x",)),
                  Relu(name="b", inputs=("a",)), Add(name="c", inputs=("a", "b")),
                  Affine(name="d", inputs=("c",))))


def test_a_run_takes_the_place_of_a_node():
    after = rewrite(diamond(), {"a": [Affine(name="p"), Affine(name="q")]})
    assert names(after) == [("x",), ("p", "x"), ("q", "p"), ("b", "q"), ("c", "q", "b"),
                            ("d", "c")]


def test_an_empty_run_drops_a_node_even_the_last():
    after = rewrite(diamond(), {"b": [], "d": []})
    assert names(after) == [("x",), ("a", "x"), ("c", "a", "a")]


def test_a_run_may_begin_elsewhere_and_take_a_name_that_goes():
    """What only the old nodes read is gone with them, and its name is free."""
    before = chain(bits_in(), affine(name="a"), affine(name="b"), affine(name="c"))
    moved = rewrite(before, {"c": [Affine(name="a", scale=2.0, inputs=("x",)),
                                   affine(name="c")]})
    assert names(moved) == [("x",), ("a", "x"), ("c", "a")]
    assert moved["a"].scale == 2.0


def test_reads_are_names_of_new_tensors():
    after = rewrite(diamond(), {"a": [Affine(name="a"), Affine(name="back")],
                                "b": [Relu(name="b")]}, {"b": ("a",)})
    assert names(after)[3:] == [("b", "a"), ("c", "back", "b"), ("d", "c")]


def test_nothing_to_change():
    graph = diamond()
    assert rewrite(graph, {}) is graph
    assert all(one is other for one, other in
               zip(rewrite(graph, {"d": [graph["d"]]}).nodes, graph.nodes, strict=True))


def test_runs_end_at_forks_joins_and_weights():
    graph = diamond()
    assert [node.name for node in host_run(graph)] == ["x", "a"]
    assert [node.name for node in run_behind(graph, graph["b"])] == ["b"]
    assert [node.name for node in run_behind(graph, graph["c"])] == ["c", "d"]
    layers = chain(bits_in(), all_sums(), norm(1.0), SIGN, dense([[1]], "last"))
    assert [node.name for node in run_behind(layers, layers["sums"])] == ["sums", "norm", "sign"]


def test_lines():
    graph = diamond()
    assert [is_line(graph, node) for node in graph.nodes] == [True, True, False, False, False]
    joined = Graph((*graph.nodes[:2], Concat(name="j", inputs=("a", "x"))))
    assert is_line(joined, joined["j"])


def test_free_name():
    graph = chain(bits_in(), affine(name="a.b"), affine(name="a.b2"))
    assert free_name(graph, "a", "b") == "a.b3"


def test_columns_of_groups():
    conv = Conv(name="c", weights=np.ones((4, 1, 1, 2), int), bits=1, groups=2)
    assert columns(conv, np.arange(4)).reshape(4, 2).tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert columns(dense([[1, 1]]), np.arange(2)).tolist() == [[0, 1]]


@pytest.mark.parametrize(("weights", "bits"), [
    ([[1, -1]], 1), ([[1, 0]], 2), ([[2, -2]], 3), ([[127, -128]], 8)])
def test_width_of_weights(weights, bits):
    assert with_weights(dense([[1, -1]]), np.array(weights)).bits == bits


def test_weights_that_are_too_wide():
    with pytest.raises(PassError, match="^Dense 'sums' must have weights of at most 8 bits once "
                                        "they make up for the scales of its inputs, not 128$"):
        with_weights(dense([[1, -1]]), np.array([[128, 1]]))


def test_per_channel():
    node = per_channel(norm([1.0, 2.0, 1.0, 2.0]), 2)
    assert node.gamma.tolist() == [1.0, 2.0]
    kept = norm([1.0, 2.0])
    assert per_channel(kept, 2) is kept


@pytest.mark.parametrize("groups", [1, 2, 4, 12])
def test_ungrouped(groups):
    """Zeros for what is no input, and a convolution of one group is the same."""
    rng = np.random.default_rng(groups)
    weights = rng.integers(-8, 8, (12, 2, 3, 12 // groups))
    x = Input(name="x", shape=(5, 6, 12), type=Fixed(4))
    made = [Graph((x, Conv(name="sums", inputs=("x",), bits=4, weights=of, groups=count)))
            for of, count in ((weights, groups), (ungrouped(weights, groups), 1))]
    frame = rng.integers(-8, 8, (1, 5, 6, 12))
    one, other = (golden.run(graph, frame) for graph in made)
    assert (one == other).all()

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.export import ExportError, export
from compiler.frontends import load
from compiler.frontends.tinier_nn import graph_of
from compiler.ir import (
    ArgMax,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    Threshold,
)
from compiler.models import network
from compiler.passes import to_integer
from tests.compiler.frontends.models import Net
from tests.compiler.frontends.real_data import shared
from tests.compiler.frontends.test_tinier_nn import random_layers, seeds, sizes, written


POSITIVE = "must give +1 where a sum of 'a' is more than 0"


def bits(shape=(32,)):
    return Input(name="x", shape=shape, type=Binary())


def dense(name, source, outputs=32, inputs=32, **options):
    return Dense(name=name, inputs=(source,), weights=np.ones((outputs, inputs), int),
                 **{"bits": 1} | options)


def sign(name, source, levels=((1,),)):
    return Threshold(name=name, inputs=(source,), levels=np.array(levels))


@given(counts=sizes, seed=seeds, between=st.sampled_from(["\n", "", "\r\n", "\n\n"]))
def test_from_a_file_to_the_same_file(tmp_path_factory, counts, seed, between):
    folder = tmp_path_factory.mktemp("net")
    layers = random_layers(counts, seed)
    (folder / "model.def").write_bytes(written(layers, between) + b"\n")
    export(to_integer(load(folder / "model.def")), folder / "again.def")
    assert (folder / "again.def").read_bytes() == written(layers)


def test_real_file_to_the_same_file(tmp_path):
    path = shared("tinier-nn/model.def")
    export(to_integer(load(path)), tmp_path / "model.def")
    assert (tmp_path / "model.def").read_bytes() == path.read_bytes()


@given(counts=sizes, seed=seeds)
def test_from_onnx(tmp_path_factory, counts, seed):
    """BatchNorm that leaves "more than 0", of the one sign or the other."""
    folder = tmp_path_factory.mktemp("net")
    layers = random_layers(counts, seed)
    chance = np.random.default_rng(seed)
    net = Net([1, counts[0]])
    name = "x"
    wanted = []
    for weights in layers:
        gamma = chance.uniform(0.5, 2, len(weights)) * chance.choice([-1, 1], len(weights))
        name = net.node("MatMul", name, weights.T.astype(float))
        # Sums of 0 are just below 0.
        beta = np.full(len(weights), -1e-3)
        name = net.node("BatchNormalization", name, gamma, beta, np.zeros(len(weights)),
                        np.ones(len(weights)))
        name = net.node("BipolarQuant", name, np.array(1.0))
        wanted.append(weights * np.where(gamma < 0, -1, 1)[:, None])
    path = net.save(folder, name)
    export(to_integer(load(path, input_type="binary")), folder / "model.def")
    assert (folder / "model.def").read_bytes() == written(wanted)


@pytest.mark.parametrize("level", [1, 2])
def test_levels_that_mean_more_than_0(tmp_path, level):
    export(Graph((bits(), dense("a", "x"), sign("b", "a", [[level]] * 32))), tmp_path / "model.def")
    assert (tmp_path / "model.def").read_bytes() == written([np.ones((32, 32), int)])


@pytest.mark.parametrize(("nodes", "sentence"), [
    ((Input(name="x", shape=(32,), type=Fixed(8, signed=False)), dense("a", "x"), sign("b", "a")),
     "Input 'x' must be bits {} integers of 8 bits"),
    ((bits((2, 16)), Flatten(name="flat", inputs=("x",)), dense("a", "flat"), sign("b", "a")),
     "Flatten 'flat' must be a Dense layer {} Flatten"),
    ((bits((1, 1, 32)), Conv(name="a", inputs=("x",), weights=np.ones((32, 1, 1, 32), int), bits=1),
      sign("b", "a")), "Conv 'a' must be a Dense layer {} Conv"),
    ((bits(), dense("a", "x", bits=2), sign("b", "a")),
     "Dense 'a' must have weights of 1 bit {} 2"),
    ((bits(), dense("a", "x", bias=np.arange(32) * 2), sign("b", "a")),
     "Dense 'a' must have no bias {} 2"),
    ((bits((31,)), dense("a", "x", inputs=31), sign("b", "a")),
     "Dense 'a' must have inputs in multiples of 32 {} 31"),
    ((bits(), dense("a", "x"), sign("b", "a"), dense("c", "b", 10), sign("d", "c")),
     "Dense 'c' must have outputs in multiples of 32 {} 10"),
    ((bits(), dense("a", "x")), "Dense 'a' must be followed by a Threshold {} by nothing"),
    ((bits(), dense("a", "x"), ArgMax(name="b", inputs=("a",))),
     "ArgMax 'b' must be a Threshold of one level {} ArgMax"),
    ((bits(), dense("a", "x"), sign("b", "a", [[1, 3]])),
     "Threshold 'b' must be a Threshold of one level {} of 2"),
    ((bits(), dense("a", "x"), sign("b", "a"), ArgMax(name="c", inputs=("b",))),
     "ArgMax 'c' must be a Dense layer {} ArgMax"),
    ((bits(), dense("a", "x"), sign("b", "a", [[1], [2], [0], *[[1]] * 29])),
     f"Threshold 'b' {POSITIVE} {{}} from 0 on, as channel 2 does"),
    ((bits(), dense("a", "x"), sign("b", "a", [[3]])),
     f"Threshold 'b' {POSITIVE} {{}} from 3 on, as channel 0 does"),
    ((bits(), dense("a", "x"), sign("b", "a"), dense("c", "x"), sign("d", "c"),
      Concat(name="e", inputs=("b", "d")), dense("f", "e", inputs=64), sign("g", "f")),
     "Concat 'e' must be a Dense layer {} Concat"),
])
def test_refused(tmp_path, nodes, sentence):
    wanted = sentence.format("to be written as tinier-nn's model.def, not")
    with pytest.raises(ExportError, match=f"^{re.escape(wanted)}$"):
        export(Graph(nodes), tmp_path / "model.def")
    assert not list(tmp_path.iterdir())


def test_not_an_integer_graph(tmp_path):
    graph = Graph((bits(), dense("a", "x"), sign("b", "a", [[1.0]])))
    with pytest.raises(UserError, match="must have integer levels"):
        export(graph, tmp_path / "model.def")
    export(to_integer(graph), tmp_path / "model.def")


def test_other_network(tmp_path):
    with pytest.raises(ExportError, match="^Input 'x' must be bits "):
        export(to_integer(load(network("digits"))), tmp_path / "model.def")


def test_what_cannot_be_written(tmp_path):
    graph = graph_of(random_layers([32, 32]), "net")
    (tmp_path / "folder").mkdir()
    for place in tmp_path / "folder", tmp_path / "none" / "model.def":
        with pytest.raises(UserError, match=f"^'{place}' must be a file that can be written, but:"):
            export(graph, place)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert not list((tmp_path / "folder").iterdir())


def test_an_old_file_is_replaced(tmp_path):
    layers = random_layers([32, 32])
    path = tmp_path / "model.def"
    path.write_bytes(b"old")
    export(graph_of(layers, "net"), path)
    assert path.read_bytes() == written(layers)
    assert [other.name for other in tmp_path.iterdir()] == ["model.def"]

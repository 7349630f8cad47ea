from dataclasses import replace

import numpy as np
import pytest

from compiler import golden
from compiler.ir import Binary, Concat, Conv, Fixed, Graph, Input, MaxPool, Requantize, Threshold
from compiler.schedule.plan import schedule
from compiler.schedule.pools import separate_pools
from compiler.stages import check_stage
from hdl.config import Config
from tests.compiler.codegen.networks import weights
from tests.compiler.schedule.checking import check
from tests.sim.networks import random_frames


def network(rng, *, kind="bits", channels=64, size=13, pool=3, stride=2, inputs=64, shared=False):
    """Convolutions, the second of which is pooled."""
    first = Conv(name="before", inputs=("x",), weights=weights(rng, (inputs, 1, 1, 8), 1), bits=1)
    sums = Conv(name="sums", inputs=("signs",), weights=weights(rng, (channels, 5, 5, inputs), 1),
                bits=1, pads=(2, 2, 2, 2), bias=rng.integers(-9, 9, channels))
    levels = rng.integers(-9, 40, (1 if shared else channels, 1 if kind == "bits" else 3))
    made = Threshold(name="made", inputs=("sums",), levels=np.sort(levels, 1))
    if kind == "shifted":
        made = Requantize(name="made", inputs=("sums",), shift=5, bits=4, signed=False)
    return Graph((
        Input(name="x", shape=(size, size, 8), type=Binary()), first,
        Threshold(name="signs", inputs=("before",), levels=np.zeros((1, 1), int)), sums, made,
        MaxPool(name="pooled", inputs=("made",), kernel=(pool, pool), stride=(stride, stride)),
        Conv(name="last", inputs=("pooled",), bits=1, weights=weights(rng, (3, 2, 2, channels), 1)),
        Threshold(name="end", inputs=("last",), levels=np.zeros((1, 1), int)),
    ), name="pools")


@pytest.mark.parametrize("kind", ["bits", "levels", "shifted"])
@pytest.mark.parametrize("config", [Config(), Config(memory_depth=2048), Config(p=4)], ids=repr)
def test_answers_stay(kind, config):
    rng = np.random.default_rng(0)
    graph = network(rng, kind=kind, size=9, shared=config.p == 4)
    made = separate_pools(graph, config)
    check_stage(made, "integer")
    separated = any(isinstance(node, Conv) and node.groups > 1 for node in made.nodes)
    assert separated or kind != "bits"
    frames = random_frames(rng, graph, 3)
    before, after = ({node.name: x for node, x in golden.trace(of, frames)}
                     for of in (graph, made))
    for name in "signs", "pooled", "end":
        np.testing.assert_array_equal(after[name], before[name])
    assert made.nodes == separate_pools(made, config).nodes
    check(graph, frames[:1], schedule(graph, config))


def test_parts_that_fit_the_memory():
    """64 channels are made by 32, if their octets would take more than half of the memory."""
    graph = network(np.random.default_rng(0))
    assert not any(isinstance(node, Concat) for node in separate_pools(graph, Config()).nodes)
    made = separate_pools(graph, Config(memory_depth=2048))
    join = made["pooled"]
    assert isinstance(join, Concat)
    assert len(join.inputs) == 2
    parts = [node for node in made.nodes if node.name.startswith("sums")]
    assert [node.weights.shape[0] for node in parts] == [32, 32]
    assert (np.concatenate([node.weights for node in parts]) == graph["sums"].weights).all()


@pytest.mark.parametrize("other", [
    {"pool": 2},                       # windows do not overlap
    {"inputs": 8, "size": 8, "channels": 8, "pool": 3, "stride": 3},
])
def test_what_does_not_pay(other):
    graph = network(np.random.default_rng(0), **other)
    assert separate_pools(graph, Config()) is graph


def test_what_others_read_stays():
    graph = network(np.random.default_rng(0))
    *_, last, end = graph.nodes
    other = MaxPool(name="other", inputs=("made",), kernel=(3, 3), stride=(2, 2))
    join = Concat(name="join", inputs=("pooled", "other"))
    wide = replace(last, inputs=("join",), weights=np.concatenate([last.weights] * 2, -1))
    forked = Graph((*graph.nodes[:-2], other, join, wide, end))
    assert separate_pools(forked, Config()) is forked


def test_integers_of_a_type():
    """Pooled values of several bits keep their type."""
    graph = network(np.random.default_rng(1), kind="levels")
    made = separate_pools(graph, Config())
    assert made.type("pooled") == graph.type("pooled") == Fixed(2, False)

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import AveragePool, Binary, Conv, Graph, Input, MaxPool, Threshold
from compiler.passes import to_integer
from compiler.report_parts import kind_of, layers_of, memory_of, network_of, peaks_of
from compiler.schedule.plan import schedule
from compiler.workload import open_workload
from hdl.config import Config
from tests.compiler.schedule.joins import random_joined_network
from tests.compiler.schedule.pictures import random_picture_network, random_pictures
from tests.compiler.schedule.streams import streamed_network


DATA = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
CNV = DATA / "bnn-pynq" / "cifar10" / "cnvW1A1"
SMALL = Config(memory_depth=1024)

seeds = st.integers(0, 2**32 - 1)


def drawn(seed):
    """A network that forks and joins, or a chain of pictures."""
    rng = np.random.default_rng(seed)
    return random_joined_network(rng) if rng.integers(2) else random_picture_network(rng)


def check_memory(plan):
    """Nothing lies where something else does at the same time; all sizes are those of the plan."""
    memory, count = memory_of(plan), len(plan.layers)
    held = memory["tensors"] + memory["weights"]
    for of in held:
        assert 0 <= of["address"] < of["address"] + of["bytes"] <= memory["bytes"]
        assert -1 <= of["first"] <= of["last"] <= count
    for one, other in combinations(held, 2):
        together = one["first"] <= other["last"] and other["first"] <= one["last"]
        apart = (one["address"] + one["bytes"] <= other["address"]
                 or other["address"] + other["bytes"] <= one["address"])
        assert apart or not together
    assert sum(of["bytes"] for of in memory["weights"]
               if of["first"] < 0) == plan.resident_octets


@settings(max_examples=25)
@given(seeds, st.sampled_from([Config(), SMALL]))
def test_memory_of_any_network(seed, config):
    try:
        plan = schedule(drawn(seed), config)
    except UserError:  # it does not fit
        reject()
    check_memory(plan)


@pytest.mark.parametrize("pool", [None, 2, 3])
def test_layers_that_run_in_stripes(pool):
    """They are one step of the network, and several layers of the program."""
    graph = streamed_network(np.random.default_rng(1), (90, 14, 3), stride=2, pool=pool)
    plan = schedule(graph, Config(memory_depth=512))
    assert {step["name"]: step["on"] for step in network_of(plan)["steps"]} == {
        None: {"conv": "fixed", "last": "array"},
        2: {"conv": "fixed", "pooled": "drain", "last": "array"},
        3: {"conv": "fixed", "pooled.of1": "fixed", "last": "array"}}[pool]
    assert sum(layer["name"].startswith("conv[") for layer in layers_of(plan)) == len(plan.given)
    check_memory(plan)


@settings(max_examples=25)
@given(seeds)
def test_what_the_flash_brings(seed):
    """All packets but the last, which ends the program, are some layer's."""
    plan = schedule(drawn(seed), Config(), resident_limit=0)
    layers = layers_of(plan)
    whole = 2 * sum(map(len, plan.program))
    assert sum(layer["fetched_bytes"] for layer in layers) == whole - 2 * len(plan.program[-1])
    assert [layer["name"] for layer in layers] == [low.task.name for low in plan.layers]


@settings(max_examples=15)
@given(seeds)
def test_steps_are_what_the_golden_model_makes(seed):
    rng = np.random.default_rng(seed)
    graph = random_picture_network(rng)
    plan = schedule(graph, Config())
    made = {node.name: values.shape[1:]
            for node, values in golden.trace(graph, random_pictures(rng, graph))}
    network = network_of(plan)
    known = {network["input"]["name"]}
    for step in network["steps"]:
        assert set(step["inputs"]) <= known
        known.add(step["output"])
        if step["output"] in made:
            assert tuple(step["shape"]) == made[step["output"]]
    assert network["steps"][-1]["output"] == graph.output.name


@settings(max_examples=10)
@given(seeds)
def test_joined_steps_read_what_was_made(seed):
    network = network_of(schedule(random_joined_network(np.random.default_rng(seed)), Config()))
    known = {network["input"]["name"]}
    for step in network["steps"]:
        assert step["inputs"]
        assert set(step["inputs"]) <= known
        known.add(step["output"])


def test_default_network():
    plan = schedule(open_workload(None).graph, Config())
    assert [(layer["name"], layer["unit"], layer["products"], layer["planes"], layer["weights"],
             layer["weight_bits"]) for layer in layers_of(plan)] == [
        ("fc0", "fixed", 64 * 256, 1, 64 * 256, 8),
        ("fc1", "array", 256 * 256, 1, 256 * 256, 1),
        ("fc2", "fixed", 256 * 10, 1, 256 * 10, 8)]
    assert peaks_of(plan) == {"array": 512, "fixed": 16, "flash_bytes": 1.0}
    assert [(step["name"], step["kind"], step["on"], step["type"])
            for step in network_of(plan)["steps"]] == [
        ("fc0", "Dense", "fixed", "bits"), ("fc1", "Dense", "array", "bits"),
        ("fc2", "Dense", "fixed", "integers of -4870 to 4870"),
        ("fc2.values", "Affine", "host", "real numbers"),
        ("class", "ArgMax", "host", "integers of 0 to 9")]


def test_half_rate():
    plan = schedule(open_workload(None).graph, Config(flash_full_rate=False))
    assert peaks_of(plan)["flash_bytes"] == 0.5


def test_planes_count():
    """Inputs of two bits on the array: two products for each weight and place."""
    graph = planes_network()
    layer = layers_of(schedule(graph, Config()))[-1]
    assert (layer["unit"], layer["planes"]) == ("array", 2)
    assert layer["products"] == 2 * (4 * 4) * 8 * (3 * 3 * 32)


def planes_network():
    rng = np.random.default_rng(1)
    return Graph((
        Input(name="x", shape=(8, 8, 32), type=Binary()),
        Conv(name="first", inputs=("x",), bits=1, weights=rng.choice([-1, 1], (32, 3, 3, 32))),
        Threshold(name="two", inputs=("first",), levels=np.array([[-9, 0, 9]])),
        Conv(name="second", inputs=("two",), bits=1, weights=rng.choice([-1, 1], (8, 3, 3, 32))),
        Threshold(name="made", inputs=("second",), levels=np.array([[0]])),
    ))


@pytest.mark.parametrize(("node", "words"), [
    (Conv(name="a", weights=np.ones((2, 3, 5, 1))), "Conv 3 x 5"),
    (Conv(name="a", weights=np.ones((2, 3, 3, 1)), stride=(2, 1), groups=2),
     "Conv 3 x 3, stride 2 x 1, 2 groups"),
    (MaxPool(name="a", kernel=(2, 2), stride=(2, 2)), "MaxPool 2 x 2"),
    (AveragePool(name="a", kernel=(3, 3), stride=(1, 1)), "AveragePool 3 x 3, stride 1 x 1"),
    (Threshold(name="a", levels=np.zeros((1, 1))), "Threshold"),
])
def test_kinds(node, words):
    assert kind_of(node) == words


@pytest.mark.skipif(not CNV.is_dir(), reason="no XNORLOOM_DATA")
def test_stores_of_cnv():
    """12.6 kB are stored within a frame, while conv1 to conv3 compute (docs/architecture.md)."""
    plan = schedule(to_integer(load(CNV)), Config())
    check_memory(plan)
    stored = [of for of in memory_of(plan)["weights"] if of["first"] >= 0]
    assert sum(of["bytes"] for of in stored) == 12_608
    assert [of["first"] for of in stored] == [1, 2, 3]
    assert all(of["last"] in (7, 8) for of in stored)

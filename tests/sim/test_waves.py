"""Waveforms: the frame is right, and signals are what they were in each of its cycles."""

from collections import Counter

import numpy as np
import pytest

from compiler import golden
from compiler.deployment import Deployment
from compiler.ir import Binary, Dense, Graph, Input, Threshold
from compiler.perf import estimate
from compiler.schedule.plan import schedule
from hdl.config import Config
from sim import waves


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A network of two layers, its schedule, an input, what the gateware made of it, and the file.
    """
    chance = np.random.default_rng(3)
    graph = Graph((
        Input(name="x", shape=(64,), type=Binary()),
        Dense(name="sums", inputs=("x",), weights=chance.choice([-1, 1], (16, 64)), bits=1),
        Threshold(name="bits", inputs=("sums",), levels=chance.integers(-9, 9, (16, 1))),
        Dense(name="scores", inputs=("bits",), weights=chance.choice([-1, 1], (4, 16)), bits=1),
    ), name="two")
    plan = schedule(graph, Config())
    x = chance.choice([-1, 1], (1, 64))
    path = tmp_path_factory.mktemp("waves") / "frame.vcd"
    output = waves.record(plan, Deployment.of(plan).inputs(x)[0], path)
    return graph, plan, x, output, path


def test_frame_is_that_of_the_golden_model(seen):
    graph, plan, x, output, _ = seen
    answers = Deployment.of(plan).answers(output[None])
    assert np.array_equal(answers, golden.run(graph, x))


def test_cycles_are_those_of_the_frame(seen):
    _, plan, _, _, path = seen
    frame = waves.read(path, ["core.engine.cause", "core.engine.end"])
    foretold = estimate(plan)
    assert len(frame["core.engine.cause"]) == foretold.frame
    assert sum(frame["core.engine.end"]) == len(plan.layers)
    total = Counter()
    for row in foretold.counted:
        total.update({cause.name: count for cause, count in row.items() if count})
    assert Counter(frame["core.engine.cause"]) == total


def test_sums_are_behind_each_capture(seen):
    graph, _, x, _, path = seen
    width = Config().binary_width
    names = [f"core.array.lane_0_{channel}.half" for channel in range(Config().pe)]
    frame = waves.read(path, ["core.engine.capture", *names])
    behind = [at + 1 for at, capture in enumerate(frame["core.engine.capture"]) if capture][:2]
    halves = [frame[name][at] for at in behind for name in names]
    sums = {node.name: values[0] for node, values in golden.trace(graph, x)}["sums"]
    assert [2 * (half - (half >> width - 1 << width)) for half in halves] == sums.tolist()


def test_signal_must_be_there(seen):
    with pytest.raises(KeyError, match=r"core\.nothing"):
        waves.read(seen[-1], ["core.nothing"])

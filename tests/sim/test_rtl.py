import numpy as np
import pytest

from compiler import golden
from compiler.errors import UserError
from compiler.executors import Golden, compare
from compiler.ir import Add, ArgMax, Binary, Concat, Dense, Fixed, Graph, Input, Threshold
from compiler.schedule.plan import schedule
from hdl.config import Config
from sim.rtl import Rtl


RNG = np.random.default_rng(0)


def dense(name, before, channels, fan_in, bits=1):
    high = 1 if bits == 1 else (1 << bits - 1) - 1
    weights = RNG.choice([-1, 1] if bits == 1 else range(-high, high + 1), (channels, fan_in))
    return Dense(name=name, inputs=(before,), bits=bits, weights=weights)


@pytest.fixture(scope="module")
def graph():
    """A prefix on the host, the array, the fixed-point unit, and a suffix."""
    return Graph((
        Input(name="x", shape=(30,), type=Fixed(8, signed=False)),
        Threshold(name="bits", inputs=("x",), levels=np.array([[100]])),
        dense("sums0", "bits", 12, 30),
        Threshold(name="small", inputs=("sums0",), levels=np.array([[-4, 0, 4]])),
        dense("sums1", "small", 5, 12, bits=4),
        ArgMax(name="class", inputs=("sums1",)),
    ))


@pytest.fixture(scope="module")
def rtl(graph):
    return Rtl(graph)


def test_run(rtl, graph):
    x = RNG.integers(0, 256, (3, 30))
    np.testing.assert_array_equal(rtl.run(x), golden.run(graph, x))


def test_trace(rtl, graph):
    x = RNG.integers(0, 256, (2, 30))
    made = rtl.trace(x)
    assert list(made) == ["small", "sums1"]
    for node, values in golden.trace(graph, x):
        if node.name in made:
            np.testing.assert_array_equal(made[node.name], values)


def test_counts(rtl):
    rtl.run(np.zeros((1, 30), np.int64))
    assert rtl.counts == rtl.counters
    assert len(rtl.counts) == 3
    assert sum(sum(row.values()) for row in rtl.counts) == rtl.frame_cycles
    assert 0 < rtl.flash_cycles <= rtl.frame_cycles
    assert rtl.complaints == []


def test_schedule(graph):
    x = RNG.integers(0, 256, (1, 30))
    streamed = Rtl(schedule(graph, Config(), resident_limit=0))
    np.testing.assert_array_equal(streamed.run(x), golden.run(graph, x))


def test_trace_of_joins():
    """All steps of the network as it was given have a name, though they run otherwise."""
    graph = Graph((
        Input(name="x", shape=(30,), type=Binary()),
        dense("sums0", "x", 12, 30),
        Threshold(name="a", inputs=("sums0",), levels=np.zeros((1, 1), np.int64)),
        dense("sums1", "a", 12, 12),
        Threshold(name="b", inputs=("sums1",), levels=np.zeros((1, 1), np.int64)),
        Concat(name="join", inputs=("a", "b")),
        dense("early", "a", 5, 12),
        dense("late", "join", 5, 24),
        Add(name="add", inputs=("early", "late")),
        ArgMax(name="class", inputs=("add",)),
    ))
    rtl, x = Rtl(graph), RNG.choice([-1, 1], (2, 30))
    made = rtl.trace(x)
    assert compare("rtl", made, Golden(graph).trace(x)) is None
    assert {name for name, values in made.items() if values is not None} >= {"a", "b", "add"}
    assert made["early"] is None
    np.testing.assert_array_equal(rtl.run(x), golden.run(graph, x))


def test_padding_stays_minus_one():
    """Channels of padding must not fire: the next layer counts on what they are."""
    graph = Graph((
        Input(name="x", shape=(1,), type=Binary()),
        dense("sums0", "x", 4, 1),
        Threshold(name="bits", inputs=("sums0",), levels=np.zeros((1, 1), np.int64)),
        dense("sums1", "bits", 3, 4),
    ))
    x = np.array([[-1], [1]])
    np.testing.assert_array_equal(Rtl(graph).run(x), golden.run(graph, x))


def test_values_out_of_range():
    graph = Graph((Input(name="x", shape=(3,), type=Fixed(4)), dense("sums", "x", 2, 3, bits=4)))
    with pytest.raises(UserError, match="^Values of 'x' must lie between -8 and 7, not -8 and 8$"):
        Rtl(graph).run(np.array([[-8, 8, 0]]))

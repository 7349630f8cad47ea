import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.errors import UserError
from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Graph,
    Input,
    MaxPool,
    Requantize,
    Sum,
    Threshold,
)
from compiler.schedule.tasks import read_by, tasks_of
from compiler.stages import split
from hdl.config import Config
from hdl.isa import Feed, Target
from tests.compiler.schedule.single import bits_conv, bits_dense


def pooled(*pools, bits=1, shape=(20, 20, 4)):
    """A convolution of one place, and pools behind its ``bits``."""
    levels = np.arange((1 << bits) - 1)[np.newaxis]
    nodes = [Input(name="x", shape=shape, type=Binary()),
             Conv(name="sums", inputs=("x",), weights=np.ones((2, 1, 1, 4), int), bits=1),
             Threshold(name="made", inputs=("sums",), levels=levels)]
    for at, (kernel, stride, *pads) in enumerate(pools):
        nodes.append(MaxPool(name=f"pool{at}", inputs=(nodes[-1].name,), kernel=kernel,
                             stride=stride, pads=(pads or [(0, 0, 0, 0)])[0]))
    return Graph(tuple(nodes), name="pooled")


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(pools=st.lists(st.tuples(PAIR, PAIR), min_size=1, max_size=2), seed=st.integers(0, 99))
def test_pools_in_a_row_are_one(pools, seed):
    graph = pooled(*pools)
    (before, hop), (behind, _) = pools[0], pools[-1]
    if len(pools) > 1 and any(size > 1 and step > window for size, step, window in
                              zip(behind, hop, before, strict=True)):
        with pytest.raises(UserError, match=r"^MaxPool 'pool1' must pool windows without a gap "
                                            r"between them, not windows of \(.*\) every \(.*\)$"):
            tasks_of(split(graph))
        return
    task, = tasks_of(split(graph))
    one = pooled((task.window, task.hop))
    x = np.random.default_rng(seed).choice([-1, 1], (1, 20, 20, 4), p=[0.7, 0.3])
    assert (golden.run(graph, x) == golden.run(one, x)).all()
    assert (task.output, task.output_shape) == (graph.output.name, graph.shape(graph.output.name))
    assert task.output_type == Binary()


def test_steps_are_gathered():
    graph = pooled(((2, 2), (2, 2)))
    last = Conv(name="last", inputs=("pool0",), weights=np.ones((3, 1, 1, 2), int), bits=1)
    tasks = tasks_of(split(Graph((*graph.nodes, last))))
    assert [(task.name, task.output, len(task.pools)) for task in tasks] \
        == [("sums", "pool0", 1), ("last", "last", 0)]
    assert (tasks[1].window, tasks[1].hop) == ((1, 1), (1, 1))


BORDER = pooled(((2, 2), (2, 2), (1, 0, 0, 0)))


@pytest.mark.parametrize(("graph", "message"), [
    (BORDER, (r"MaxPool 'pool0' must have windows inside the picture, "
              r"not pads \(1, 0, 0, 0\)")),
], ids=["border"])
def test_refusals(graph, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        tasks_of(split(graph))


def joined(join):
    """Two layers, the second of which reads the input too; then ``join`` of their results."""
    def conv(name, source):
        return Conv(name=name, inputs=(source,), weights=np.ones((4, 1, 1, 4), int), bits=1)

    def bits(name, source):
        return Threshold(name=name, inputs=(source,), levels=np.zeros((1, 1), int))

    nodes = [Input(name="x", shape=(5, 5, 4), type=Binary()), conv("sums0", "x"),
             bits("bits0", "sums0"), conv("sums1", "bits0" if join is Add else "x")]
    if join is Add:
        nodes += [Add(name="join", inputs=("sums1", "bits0")), bits("last", "join")]
    else:
        nodes += [bits("bits1", "sums1"), Concat(name="join", inputs=("bits0", "bits1")),
                  Conv(name="last", inputs=("join",), weights=np.ones((1, 1, 1, 8), int), bits=1)]
    return Graph(tuple(nodes), name="joined")


def test_joins_are_no_tasks():
    parts = split(joined(Concat))
    tasks = tasks_of(parts)
    assert [(task.name, task.layer.input, task.output) for task in tasks] == [
        ("sums0", "x", "bits0"), ("sums1", "x", "bits1"), ("last", "join", "last")]
    assert [read_by(step) for step in parts.body] == [("x",), ("x",), ("bits0", "bits1"),
                                                      ("join",)]


def test_an_add_is_refused():
    """It is the passes that make weights of it."""
    with pytest.raises(UserError, match="^Node 'join' must be part of a layer's weights, as the "
                                        "accelerator adds nothing else, not an Add$"):
        tasks_of(split(joined(Add)))


def test_weights_that_no_octet_holds():
    """Of powers of two, 128 runs in C alone, -128 and 64 here, too."""
    def layer(highest):
        return Graph((Input(name="x", shape=(3,), type=Fixed(4)),
                      Dense(name="sums", inputs=("x",), bits=9,
                            weights=np.array([[highest, 1, -128]]))))

    with pytest.raises(UserError, match="^Dense 'sums' must have weights of at most 8 bits on the "
                                        "accelerator, whose fixed-point unit multiplies, not 128: "
                                        "run it in C, or quantize it with --mode dynamic$"):
        tasks_of(split(layer(128)))
    assert len(tasks_of(split(layer(64)))) == 1


def test_what_others_read_is_not_pooled():
    pool = MaxPool(name="pool", inputs=("bits0",), kernel=(2, 2), stride=(1, 1))
    last = Conv(name="second", inputs=("pool",), weights=np.ones((1, 2, 2, 4), int), bits=1)
    graph = joined(Concat)
    nodes = [
        *graph.nodes[:3], pool, last,
        Threshold(name="bits3", inputs=("second",), levels=np.zeros((1, 1), int)),
        Conv(name="third", inputs=("bits0",), weights=np.ones((1, 3, 3, 4), int), bits=1),
        Threshold(name="bits4", inputs=("third",), levels=np.zeros((1, 1), int)),
        Concat(name="both", inputs=("bits3", "bits4")),
        Conv(name="end", inputs=("both",), weights=np.ones((1, 1, 1, 2), int), bits=1)]
    with pytest.raises(UserError, match="^MaxPool 'pool' must pool what a layer leaves for it "
                                        "alone, not 'bits0'$"):
        tasks_of(split(Graph(tuple(nodes))))


@pytest.mark.parametrize(("task", "units"), [
    (bits_dense(), (False, True)),
    (bits_dense(kind=Fixed(4, signed=False)), (False, True)),
    (bits_dense(kind=Fixed(4)), (True,)),
    (bits_dense(bits=2), (True,)),
    (bits_conv(), (False, True)),
    (bits_conv(channels=40, groups=40), (True,)),
    (bits_conv(channels=4, groups=2), (True,)),
], ids=["bits", "planes", "signed", "weights", "conv", "depthwise", "groups"])
def test_units(task, units):
    assert task.units == units


@pytest.mark.parametrize(("task", "fixed", "of_host", "expected"), [
    (bits_dense(), False, True, (Target.BITS, Feed.CHAIN, 0)),
    (bits_dense(), True, True, (Target.OCTETS, Feed.CHAIN, 0)),
    (bits_conv(pads=(2, 1, 0, 0)), False, False, (Target.BITS, Feed.CHAIN, 1)),
    (bits_conv(kind=Fixed(4, signed=False)), False, False, (Target.PLANES, Feed.CHAIN, 0)),
    (bits_conv(pads=(2, 1, 0, 0)), True, True, (Target.OCTETS, Feed.WHOLE, 0)),
    (bits_conv((9, 9, 4), pads=(2, 1, 0, 0)), True, True, (Target.OCTETS, Feed.GROUP, 1)),
    (bits_conv((9, 9, 4), pads=(2, 1, 0, 0)), True, False, (Target.OCTETS, Feed.WHOLE, 0)),
    (bits_conv((90, 100, 4), pads=(2, 1, 0, 0)), True, True, (Target.OCTETS, Feed.CHAIN, 1)),
    (bits_conv((60, 60, 16)), True, False, (Target.OCTETS, Feed.CHAIN, 0)),
], ids=["bits", "octets", "conv", "planes", "whole", "group", "made", "large picture", "large"])
def test_reads(task, fixed, of_host, expected):
    layout = task.reads(fixed, Config(), of_host=of_host)
    assert (layout.target, layout.feed, layout.border) == expected
    assert (layout.type, layout.shape) == (task.layer.input_type, task.layer.input_shape)


@pytest.mark.parametrize(("task", "target", "kind"), [
    (bits_conv(), Target.BITS, Binary()),
    (bits_conv(count=3), Target.OCTETS, Fixed(2, signed=False)),
    (bits_dense(shift=2), Target.OCTETS, Requantize(name="y", shift=2, bits=8).result(
        ((10,), Sum(0, 1)))[1]),
    (bits_dense(40), Target.SUMS, Sum(-40, 40)),
])
def test_leaves(task, target, kind):
    layout = task.leaves(Config())
    assert (layout.target, layout.type, layout.shape) == (target, kind, task.output_shape)

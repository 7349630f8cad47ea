import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Requantize,
    Threshold,
    value_range,
)
from compiler.passes import to_integer
from compiler.passes.place_joins import place_joins
from compiler.passes.rewriting import PassError
from compiler.stages import Joining, check_stage, split
from tests.compiler.passes.blocks import random_blocks
from tests.compiler.passes.networks import kinds, same
from tests.compiler.schedule.joins import random_joined_network
from tests.sim.networks import random_frames


RNG = np.random.default_rng(3)


def linked(*nodes, kind=None, shape=(4, 6, 3)):
    """A graph of nodes given with what they read."""
    made = [Input(name="x", shape=shape, type=kind or Binary())]
    for node, *inputs in nodes:
        made.append(node(inputs=tuple(inputs)))
    return Graph(tuple(made), name="joins")


def node(kind, **fields):
    return lambda **inputs: kind(**fields, **inputs)


def conv(name, outputs=3, inputs=3, kernel=3, bits=1, pads=None, **fields):
    shape = outputs, kernel, kernel, inputs // fields.get("groups", 1)
    weights = RNG.choice([-1, 1], shape) if bits == 1 else RNG.integers(-3, 4, shape)
    return node(Conv, name=name, weights=weights, bits=bits,
                pads=(kernel // 2,) * 4 if pads is None else pads, **fields)


def bits(name):
    return node(Threshold, name=name, levels=np.zeros((1, 1), int))


def add(name="add"):
    return node(Add, name=name)


def join(name="join"):
    return node(Concat, name=name)


def pool(name="pool"):
    return node(MaxPool, name=name, kernel=(2, 2), stride=(2, 2))


def held(graph, frames=8):
    """Hold what `place_joins` makes to the graph as it was, and to what it promises."""
    check_stage(graph, "integer")
    after = place_joins(graph)
    check_stage(after, "integer")
    low, high = value_range(graph.input.type)
    shape = frames, *graph.input.shape
    x = (RNG.choice([-1, 1], shape) if isinstance(graph.input.type, Binary)
         else RNG.integers(low, high + 1, shape))
    same(graph, after, x)
    names = {made.name for made in graph.nodes}
    now = {made.name: values for made, values in golden.trace(after, x)}
    before = {made.name: values for made, values in golden.trace(graph, x)}
    outputs = {step.output for step in split(graph).body}
    for name in names & outputs & {step.output for step in split(after).body}:
        np.testing.assert_array_equal(now[name], before[name], err_msg=name)
    joined = [name for step in split(after).body if isinstance(step, Joining)
              for name in step.inputs]
    assert len(joined) == len(set(joined))
    assert not any(isinstance(made, Add) for made in after.nodes)
    return after


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), imported=st.booleans())
def test_random_networks(seed, imported):
    rng = np.random.default_rng(seed)
    graph = to_integer(random_blocks(rng)[0]) if imported else random_joined_network(rng)
    try:
        after = place_joins(graph)
    except PassError:  # of an Add, see `test_refusals`
        return
    same(graph, after, random_frames(rng, graph, 3))


def test_chains_are_left_alone():
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (pool(), "s"), (conv("b"), "pool"))
    assert place_joins(graph) is graph


def test_a_skip_is_a_part_with_weights_of_one():
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (conv("b", kernel=1), "s"), (bits("t"), "b"),
                   (conv("c", inputs=3), "t"), (add(), "c", "s"), (bits("u"), "add"),
                   (conv("last"), "u"))
    after = held(graph)
    layer = after["c"]
    assert layer.weights.shape == (3, 3, 3, 6)
    assert (layer.weights[..., :3] == graph["c"].weights).all()
    assert layer.weights[:, 1, 1, 3:].tolist() == np.eye(3).tolist()
    assert np.abs(layer.weights[..., 3:]).sum() == 3
    assert (layer.bits, layer.pads, after[layer.inputs[0]].inputs) == (2, (1, 1, 1, 1), ("t", "s"))


def test_one_tensor_needs_no_join():
    """Weights are added where both convolutions read the same."""
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (conv("b"), "s"), (conv("c", kernel=1), "s"),
                   (add(), "b", "c"), (bits("t"), "add"), (conv("d"), "t"), (add("e"), "d", "t"),
                   (bits("u"), "e"), (conv("last"), "u"))
    after = held(graph)
    assert kinds(after) == [Input, *[Conv, Threshold] * 3, Conv]


def test_sums_of_another_size():
    """A convolution of single places, every other one, reads a picture of these alone."""
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (conv("b", stride=(2, 2)), "s"),
                   (bits("t"), "b"), (conv("c"), "t"), (conv("d", kernel=1, stride=(2, 2)), "s"),
                   (add(), "c", "d"), (bits("u"), "add"), (conv("last"), "u"))
    after = held(graph)
    assert after["add.of1"].stride == (2, 2)
    assert after["add.of1"].groups == 3


def test_windows_and_borders_that_differ():
    graph = linked((conv("a", pads=(2, 0, 2, 0)), "x"), (bits("s"), "a"),
                   (conv("b", pads=(0, 0, 1, 1), kernel=2), "s"), (bits("q"), "b"),
                   (conv("c", kernel=3, groups=3), "s"), (conv("d", kernel=5, bits=3), "q"),
                   (add(), "c", "d"), (bits("t"), "add"), (conv("last"), "t"), shape=(7, 9, 3))
    after = held(graph)
    assert (after["d"].kernel, after["d"].pads) == ((5, 5), (2, 2, 2, 2))


def test_biases_and_sums_of_sums():
    graph = linked((conv("a", bias=np.array([1, 2, 3])), "x"), (bits("s"), "a"),
                   (conv("b", bias=np.array([5, -2, 3])), "s"),
                   (conv("c", bias=np.array([1, 1, 1])), "x"), (add("one"), "b", "c"),
                   (conv("d", kernel=1), "s"), (add("two"), "d", "one"))
    after = held(graph)
    assert (after.output.name, after.output.bias.tolist()) == ("two", [6, -1, 4])


@pytest.mark.parametrize("kind", [Fixed(3), Fixed(7, signed=False), Fixed(8), Fixed(5, fl=3)],
                         ids=repr)
def test_bits_among_integers(kind):
    """Bits become integers where they are joined to such; what the host made is copied."""
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (conv("b"), "s"), (add(), "b", "x"),
                   (bits("t"), "add"), (conv("last"), "t"), kind=kind)
    after = held(graph)
    (one, other), = (step.inputs for step in split(after).body if isinstance(step, Joining))
    assert after.type(one) == after.type(other)
    assert "x" not in (one, other)


def test_flat_tensors():
    dense = node(Dense, name="d", weights=RNG.choice([-1, 1], (4, 18)), bits=1)
    last = node(Dense, name="last", weights=RNG.choice([-1, 1], (4, 4)), bits=1)
    graph = linked((conv("a"), "x"), (bits("s"), "a"), (node(Flatten, name="f"), "s"), (dense, "f"),
                   (bits("t"), "d"), (last, "t"), (add(), "last", "t"), shape=(2, 3, 3))
    after = held(graph)
    assert (after["add"].weights[:, :4] == graph["last"].weights + np.eye(4)).all()


def test_a_join_is_pooled_by_parts():
    graph = linked((conv("a", 2), "x"), (bits("s"), "a"), (conv("b", 5), "x"), (bits("t"), "b"),
                   (join(), "s", "t"), (pool(), "join"), (conv("last", inputs=7), "pool"))
    after = held(graph)
    assert after["pool"].inputs == ("pool.part0", "pool.part1")
    assert sum(isinstance(made, MaxPool) for made in after.nodes) == 2


@pytest.mark.parametrize(("nodes", "copies"), [
    ([(join(), "s", "t"), (conv("last", inputs=6), "join")], 0),
    ([(join(), "s", "s"), (conv("last", inputs=6), "join")], 1),       # joined twice
    ([(join(), "x", "s"), (conv("last", inputs=6), "join")], 1),       # of the host
    ([(conv("c"), "s"), (bits("u"), "c"), (join(), "s", "u"),          # read by lines
      (conv("last", inputs=6), "join")], 1),
    ([(conv("c", kernel=1), "s"), (bits("u"), "c"), (join(), "s", "u"),
      (conv("last", inputs=6), "join")], 0),
    ([(pool(), "s"), (conv("c", stride=(2, 2)), "s"), (bits("u"), "c"),  # pooled, and read
      (join(), "pool", "u"), (conv("last", inputs=6), "join")], 1),
    ([(join(), "s", "t")], 1),                                         # for the host
    ([(join("one"), "s", "t"), (join(), "s", "one"), (conv("last", inputs=9), "join")], 1),
], ids=["none", "twice", "host", "lines", "line", "pooled", "result", "nested"])
def test_copies(nodes, copies):
    read = {name for _, *names in nodes for name in names}
    ahead = [(conv("a"), "x"), (bits("s"), "a"), *[(conv("b"), "x"), (bits("t"), "b")] * (
        "t" in read)]
    graph = linked(*ahead, *nodes)
    after = held(graph)
    more = len(split(after).layers) - len(split(graph).layers)
    assert more == copies


@pytest.mark.parametrize(("nodes", "kind", "message"), [
    ([(conv("a", stride=(2, 2)), "x"), (bits("s"), "a"), (conv("b", stride=(2, 2)), "x"),
      (conv("c"), "s"), (add(), "b", "c")], Binary(),
     ("Add 'add' must add what is made of pictures of one size, with one stride, not of 2 x 3 "
      "with (1, 1) and 4 x 6 with (2, 2)")),
    ([(conv("a"), "x"), (node(Requantize, name="s", shift=0, bits=8), "a"),
      (conv("b"), "s"), (add(), "b", "x")], Fixed(8, signed=False),
     "Add 'add' must add what is made of tensors that integers of 8 bits hold together, not 9"),
], ids=["size", "bits"])
def test_refusals(nodes, kind, message):
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        place_joins(linked(*nodes, kind=kind))

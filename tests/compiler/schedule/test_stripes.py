import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Binary, Conv, Fixed, Graph, Input, Threshold
from compiler.schedule.plan import draft, schedule
from compiler.schedule.streaming import HOME
from compiler.schedule.stripes import Stripe, ring
from hdl.config import Config
from hdl.isa import Opcode
from tests.compiler.schedule.checking import check
from tests.compiler.schedule.choosing import any_choice
from tests.compiler.schedule.streams import streamed_network
from tests.sim.networks import random_frames


SMALL = Config(memory_depth=256)
CONFIGS = [SMALL, Config(memory_depth=128, p=4),
           Config(memory_depth=512, simd=16, pe=16, p=2, fixed_pe=2)]


@given(rows=st.integers(1, 6), step=st.integers(1, 4), kernel=st.integers(1, 11),
       count=st.integers(1, 12), room=st.integers(1, 80))
def test_lines_are_there_when_they_are_read(rows, step, kernel, count, room):
    """What is written for a stripe never lies where the one before still reads."""
    lines = [range(at * rows * step, at * rows * step + (rows - 1) * step + kernel)
             for at in range(count)]
    stream = ring([Stripe((), (), of) for of in lines], 0, room)
    if stream is None:
        assert room < 2 * len(lines[0])
        return
    assert stream.lines <= room
    held, busy = {}, set()  # lines by place; places that the stripe before reads
    for stripe, wanted in zip(stream.stripes, lines, strict=True):
        places = range(stripe.place, stripe.place + len(stripe.lines))
        assert stripe.lines == wanted
        assert places.stop <= stream.lines
        for line in stripe.sent:
            place = stripe.place + line - wanted.start
            assert place not in busy
            held[place] = line
        assert [held[place] for place in places] == list(wanted)
        busy = set(places)


@st.composite
def networks(draw):
    """A seed, and what `streamed_network` takes."""
    kernel = draw(st.integers(1, 7))
    pads = tuple(draw(st.integers(0, kernel - 1)) for _ in range(4))
    return draw(st.integers(0, 2**32 - 1)), {
        "shape": (draw(st.integers(50, 80)), draw(st.integers(10, 15)),
               draw(st.sampled_from([2, 3, 3, 4, 5]))),
        "channels": draw(st.sampled_from([3, 8, 32])), "kernel": kernel,
        "stride": draw(st.sampled_from([1, 2, 2, 3, 4])), "pads": pads,
        "pool": draw(st.sampled_from([None, 2, 3])),
        "kind": draw(st.sampled_from(["bits", "integers"])),
        "input_type": draw(st.sampled_from([Fixed(8, False), Fixed(8), Fixed(3), Binary()]))}


@settings(max_examples=20, suppress_health_check=[HealthCheck.filter_too_much])
@given(network=networks(), config=st.sampled_from(CONFIGS), other=st.booleans())
def test_any_picture(network, config, other):
    seed, shape = network
    rng = np.random.default_rng(seed)
    try:
        graph = streamed_network(rng, **shape)
        made = draft(graph, config)
    except UserError:  # too large all the same, or no such network
        assume(False)
    assume(made.holds)
    plan = made.schedule(any_choice(rng, made)) if other else schedule(graph, config)
    check(graph, random_frames(rng, graph, 2), plan)


@pytest.mark.parametrize("kind", ["bits", "integers"])
def test_a_pool_whose_windows_overlap(kind):
    """It pools what the stripe and the one before have left, every second time upside down; all
    lines of the convolution are made once."""
    rng = np.random.default_rng(3)
    graph = streamed_network(rng, (121, 14, 3), channels=16, kernel=5, stride=2, pool=3, kind=kind)
    made = draft(graph, Config(memory_depth=512))
    stripes = [layer for layer in made.layers if layer.task.name.startswith("conv")]
    assert sum(layer.output.height for layer in stripes) == 59
    assert [layer.output.mirrored for layer in stripes] == [
        at % 2 == 1 for at in range(len(stripes))]
    check(graph, rng.integers(0, 256, (2, 121, 14, 3)), schedule(graph, made.config))


def test_a_single_layer_that_leaves_too_much():
    """The picture would fit, but what the layer leaves does not."""
    weights = np.ones((200, 3, 3, 3), int)
    graph = Graph((Input(name="x", shape=(9, 9, 3), type=Fixed(5, signed=False)),
                   Conv(name="sums", inputs=("x",), bits=1, weights=weights)))
    with pytest.raises(UserError, match="^Tensors 'x' and 'sums' must fit the activation memory"):
        draft(graph, SMALL)


def test_a_network_all_of_whose_layers_run_in_stripes():
    """The host takes what all stripes have left, not only the last of them."""
    rng = np.random.default_rng(7)
    graph = Graph((
        Input(name="x", shape=(60, 14, 3), type=Fixed(8, signed=False)),
        Conv(name="sums", inputs=("x",), bits=1, stride=(2, 2),
             weights=2 * rng.integers(0, 2, (8, 3, 3, 3)) - 1),
        Threshold(name="bits", inputs=("sums",), levels=rng.integers(-300, 300, (8, 1)))))
    plan = schedule(graph, SMALL)
    assert len(plan.given) > 2
    assert plan.output.layout.height == 29
    check(graph, rng.integers(0, 256, (2, 60, 14, 3)), plan)


def test_weights_of_stripes_stay_in_the_memory():
    rng = np.random.default_rng(1)
    graph = streamed_network(rng, (60, 14, 3), channels=8, kernel=3, stride=2)
    plan, made = schedule(graph, SMALL), draft(graph, SMALL)
    assert HOME in [span.name for span in made.spans]
    stripes = len(plan.given)
    assert stripes > 2
    assert [packet.count for packet in plan.program if packet.opcode is Opcode.HOLD] == [
        *(stripes - 1) * [1], 0]
    words = 2 * 9
    copied = [packet.count for packet in plan.program
              if packet.opcode is Opcode.RESIDENT_FIXED]
    assert sum(copied) >= stripes * words
    check(graph, rng.integers(0, 256, (1, 60, 14, 3)), plan)


def test_parts_of_the_input():
    """Each line is given, in order; and the image tells where it lies."""
    rng = np.random.default_rng(2)
    plan = schedule(streamed_network(rng, (61, 14, 3), stride=2), SMALL)
    assert len(plan.given) > 1
    line = plan.input.layout.line
    lines = [at for part in plan.given for piece in part
             for at in range(piece.offset // line, (piece.offset + piece.octets) // line)]
    assert set(lines) == set(range(61))
    told = plan.image().meta["input"]
    assert told["octets"] == 61 * line
    assert told["parts"] == [[[piece.address, piece.offset, piece.octets] for piece in part]
                             for part in plan.given]
    x = rng.integers(0, 256, (61, 14, 3))
    packed = plan.input.pack(x)
    assert [[data for _, data in part] for part in plan.pack(x)] == [
        [packed[piece.offset:piece.offset + piece.octets] for piece in part]
        for part in plan.given]

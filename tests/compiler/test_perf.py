import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Binary, Conv, Dense, Graph, Input, Threshold
from compiler.perf import Machine, estimate, simulate
from compiler.schedule import packets as make
from compiler.schedule.plan import draft, schedule
from hdl.config import Config
from hdl.flash import FlashTiming
from hdl.isa import Cause, Opcode
from tests.compiler.codegen.networks import activations, weights
from tests.compiler.schedule.choosing import any_choice
from tests.compiler.schedule.pictures import random_picture_network
from tests.sim.networks import random_network


configs = st.builds(
    Config,
    pe=st.sampled_from([8, 16]),
    simd=st.sampled_from([16, 32]),
    p=st.sampled_from([2, 4]),
    weight_depth=st.sampled_from([4, 16, 256]),
    level_depth=st.sampled_from([256, 512]),
    flash_depth=st.sampled_from([8, 16, 256]),
    flash_full_rate=st.booleans(),
    flash_continuous=st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


def plans(config, seed):
    """A schedule of a random network, none, some or all of whose weights are resident."""
    rng = np.random.default_rng(seed)
    limit = [None, 0, int(rng.integers(20_000))][rng.integers(3)]
    return schedule(random_network(rng), config, resident_limit=limit)


def array_network(*sizes):
    """Layers on the array, of one bit, the last but one of them with logits."""
    rng = np.random.default_rng(0)
    nodes = [Input(name="x", shape=(sizes[0],), type=Binary())]
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        nodes.append(Dense(name=f"sums{index}", inputs=(nodes[-1].name,), bits=1,
                           weights=weights(rng, (channels, fan_in), 1)))
        if index < len(sizes) - 2:
            nodes.append(activations(rng, f"bits{index}", (Graph(tuple(nodes)), nodes[-1].name)))
    return Graph(tuple(nodes))


@settings(max_examples=25, deadline=None)
@given(configs, seeds)
def test_skipping_changes_nothing(config, seed):
    plan = plans(config, seed)
    if plan.streamed_octets < 30_000:
        assert simulate(config, plan.program) == simulate(config, plan.program, skip=False)


@settings(max_examples=25, deadline=None)
@given(configs, seeds)
def test_what_must_hold(config, seed):
    plan = plans(config, seed)
    found = estimate(plan)
    assert found.frame == sum(layer.total for layer in found.layers) + sum(found.after.values())
    assert [layer.name for layer in found.layers] == [
        lowered.task.name for lowered in plan.layers]
    for layer, lowered in zip(found.layers, plan.layers, strict=True):
        assert layer.causes[Cause.WORK] == (
            lowered.words * lowered.passes * lowered.tiles * lowered.groups)
        assert layer.causes[Cause.DRAIN] > lowered.channels
    assert {cause for cause, cycles in found.after.items() if cycles} == {Cause.PROGRAM}
    timing = FlashTiming.from_config(config)
    halves = sum(map(len, plan.program))
    assert halves * timing.slot < found.flash_busy < found.frame
    assert found.flash_busy <= timing.first + (halves + 2) * timing.slot


def test_one_layer_by_hand():
    """Two words of one tile, from the flash: every cycle is known."""
    config = Config()
    found = estimate(schedule(array_network(64, 8), config, resident_limit=0))
    timing = FlashTiming.from_config(config)
    # The descriptor is the last of 2 + 8 halfwords of levels, 2 + 32 of weights, and 2 + 39.
    halves = 10 + 34 + 41
    begun = timing.first + timing.latency + (halves - 1) * timing.slot + 2
    causes = found.layers[0].causes
    assert causes[Cause.PROGRAM] == begun
    # Nine cycles until the walker has the first pass, and two until it knows that it is the last.
    assert (causes[Cause.WEIGHTS], causes[Cause.ACTIVATIONS], causes[Cause.WORK]) == (0, 9 + 2, 2)
    # Six cycles to the capture, eight sums of three each; the last is written; then the drain is
    # seen idle.
    assert causes[Cause.DRAIN] == 6 + 8 * 3 + 1 + 1
    assert found.after == {cause: int(cause is Cause.PROGRAM) for cause in Cause}


def test_bound_by_the_flash():
    """Where nothing is resident, a halfword passes in every slot."""
    plan = schedule(array_network(256, 256, 10), Config(), resident_limit=0)
    found = estimate(plan)
    assert found.flash_busy == pytest.approx(found.frame, rel=0.01)
    assert sum(map(len, plan.program)) * 2 == pytest.approx(found.frame, rel=0.02)


def test_resident_weights_are_faster():
    graph = array_network(256, 256, 10)
    streamed, resident = (estimate(schedule(graph, Config(), resident_limit=limit))
                          for limit in (0, None))
    assert 2 * resident.frame < streamed.frame
    # A word of the array is four addresses, and every second one waits for a read of activations.
    words = sum(layer.causes[Cause.WORK] for layer in resident.layers)
    assert resident.frame > 4.5 * words


def test_counted():
    config = Config()
    graph = array_network(*[9] * 41)
    found = estimate(schedule(graph, config))
    assert len(found.layers) == 40
    rows = found.counted
    assert len(rows) == 32
    assert rows[:31] == [layer.causes for layer in found.layers[:31]]
    assert sum(sum(row.values()) for row in rows) == found.frame
    few = estimate(schedule(array_network(9, 9), config))
    assert few.counted == [few.layers[0].causes, few.after]


def test_what_repeats_is_skipped(monkeypatch):
    """Pixels of a picture are the same work again and again."""
    rng = np.random.default_rng(0)
    graph = Graph((
        Input(name="x", shape=(42, 42, 64), type=Binary()),
        Conv(name="sums", inputs=("x",), weights=weights(rng, (64, 3, 3, 64), 1), bits=1),
        Threshold(name="bits", inputs=("sums",), levels=np.zeros((1, 1), int))))
    steps, step = 0, Machine.step

    def counted(machine):
        nonlocal steps
        steps += 1
        step(machine)

    monkeypatch.setattr(Machine, "step", counted)
    found = estimate(schedule(graph, Config()))
    assert found.layers[0].causes[Cause.WORK] == 8 * 40 * 20 * 18
    assert steps < found.frame / 5


def store_plans(config, seed):
    """A schedule with any use of the memory, which may store weights within a frame."""
    rng = np.random.default_rng(seed)
    graph = random_picture_network(rng)
    try:
        made = draft(graph, config)
    except UserError:
        reject()
    return made.schedule(any_choice(rng, made))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_skipping_changes_nothing_where_weights_are_stored(seed):
    config = Config()
    plan = store_plans(config, seed)
    found = simulate(config, plan.program)
    if found.frame < 20_000:
        assert found == simulate(config, plan.program, skip=False)


def test_stores_take_two_cycles_a_halfword():
    """Where nobody else wants the memory, and the flash has them."""
    config = Config()
    plan = schedule(array_network(64, 8), config, resident_limit=0)
    layer = next(at for at, packet in enumerate(plan.program) if packet.opcode is Opcode.LAYER)
    before = estimate(plan).frame
    ends = {}
    for octets in (40, 400):
        stores = make.store(100, bytes(octets), octets=8)
        program = (*plan.program[:layer], *stores, *plan.program[layer:])
        ends[octets] = simulate(config, program).frame
    assert ends[40] == before + 4 + 40
    assert ends[400] == ends[40] + 360

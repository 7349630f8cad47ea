import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Binary, Concat, Conv, Dense, Fixed, Graph, Input, MaxPool, Threshold
from compiler.passes.place_joins import place_joins
from compiler.schedule import packets as make
from compiler.schedule.plan import draft, schedule
from compiler.workload import open_workload
from hdl.config import Config
from hdl.isa import Feed, Opcode
from tests.compiler.codegen.networks import networks
from tests.compiler.frontends.real_data import shared
from tests.compiler.schedule.checking import CONFIGS, PICTURE_CONFIGS, SIGN_CONFIGS, check
from tests.compiler.schedule.choosing import any_choice, stored_octets
from tests.compiler.schedule.joins import Joins, random_joined_network
from tests.compiler.schedule.pictures import random_picture_network, random_pictures
from tests.sim.networks import random_frames


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=networks(), config=st.sampled_from(CONFIGS + SIGN_CONFIGS),
       limit=st.sampled_from([None, 0, 3000]))
def test_any_network(network, config, limit):
    graph, frames = network
    plan = schedule(graph, config, resident_limit=limit)
    check(graph, frames[:3], plan)
    assert plan.resident_octets + plan.streamed_octets > 0


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), config=st.sampled_from(PICTURE_CONFIGS + SIGN_CONFIGS),
       limit=st.sampled_from([None, None, 0, 3000]))
def test_any_picture_network(seed, config, limit):
    rng = np.random.default_rng(seed)
    graph = random_picture_network(rng)
    plan, refusal = planned(graph, config, limit)
    if plan is None:
        assert LIMITS.match(refusal), refusal
        reject()
    check(graph, random_pictures(rng, graph, 2), plan)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), config=st.sampled_from(PICTURE_CONFIGS))
def test_any_choice(seed, config):
    """Weights may lie wherever no tensor is, and come there when none is any more."""
    rng = np.random.default_rng(seed)
    graph = random_picture_network(rng)
    try:
        made = draft(graph, config)
    except UserError:
        reject()
    check(graph, random_pictures(rng, graph, 1), made.schedule(any_choice(rng, made)))


def deep_picture():
    """Three layers that leave less and less, and frames."""
    rng = np.random.default_rng(3)
    nodes = [Input(name="x", shape=(8, 8, 32), type=Binary())]
    for at in range(3):
        nodes += [Conv(name=f"sums{at}", inputs=(nodes[-1].name,), bits=1,
                       weights=rng.choice([-1, 1], (32, 3, 3, 32))),
                  Threshold(name=f"bits{at}", inputs=(f"sums{at}",),
                            levels=rng.integers(-9, 9, (32, 1)))]
    return Graph(tuple(nodes), name="deep"), rng.choice([-1, 1], (3, 8, 8, 32))


def planned(graph, config, limit):
    """A schedule, or else why there is none."""
    try:
        return schedule(graph, config, resident_limit=limit), ""
    except UserError as refusal:
        return None, str(refusal)


# What random networks may run into: all other refusals would be a network that must run.
LIMITS = re.compile(r"Node '\w+': the weights of a tile must have at most \d+ words, as they are "
                    r"used again, not \d+$"
                    r"|Node '\w+': \d+ channels that are made together must have at most \d+ "
                    r"levels, not \d+$"
                    r"|Node '\w+': a picture of bits with a border must have an even number of "
                    r"channels, not \d+$"
                    r"|Node '\w+' must make \d+ channels at once, as its octets are pooled, "
                    r"not \d+$"
                    r"|Tensors '\w+' and '\w+' must fit the activation memory of ")


def layers_of(rng, *sizes, bits=1):
    """Layers of the given sizes, all on the array but for a first one of more ``bits``."""
    nodes = [Input(name="x", shape=(sizes[0],), type=Binary())]
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weights = rng.choice([-1, 1], (channels, fan_in))
        nodes.append(Dense(name=f"sums{index}", inputs=(nodes[-1].name,), weights=weights,
                           bits=1 if index else bits))
        nodes.append(Threshold(name=f"bits{index}", inputs=(f"sums{index}",),
                               levels=rng.integers(-4, 5, (channels, 1))))
    return Graph(tuple(nodes), name="layers")


@pytest.mark.parametrize("channels", [1, 7, 8, 31, 33, 63, 65])
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_padding_never_counts(channels, bits, config):
    """Channels that fill a word up are read by the next layer, and must not change its sums."""
    rng = np.random.default_rng(channels)
    graph = layers_of(rng, 100, channels, 9, bits=bits)
    check(graph, rng.choice([-1, 1], (4, 100)), schedule(graph, config))


def test_weights_lie_beside_tensors():
    plan = schedule(layers_of(np.random.default_rng(0), 100, 65, 33, 9), CONFIGS[1])
    end = max(place.end for place in plan.places.values())
    stores = [packet for packet in plan.resident if packet.opcode is Opcode.STORE]
    assert stores
    assert min(packet.address for packet in stores) * plan.config.memory_width // 8 >= end
    assert stored_octets(plan) == 0


@pytest.mark.parametrize("limit", [0, 1, 5000, 9000, None])
def test_resident_weights(limit):
    """They fill what is allowed, but for less than a tile, and are spread over the frame."""
    graph = layers_of(np.random.default_rng(0), 512, 64, 64, 64)
    plan = schedule(graph, Config(), resident_limit=limit)
    total = plan.resident_octets + plan.streamed_octets
    tile = 16 * 32
    room = total if limit is None else min(limit, total)
    assert room - tile < plan.resident_octets <= room
    kinds = np.repeat(*zip(*[(packet.opcode is Opcode.RESIDENT, packet.count)
                             for packet in plan.program
                             if packet.opcode in (Opcode.RESIDENT, Opcode.WEIGHTS)],
                           strict=True))
    share = plan.resident_octets / total
    taken = np.cumsum(kinds) - share * np.arange(1, len(kinds) + 1)
    assert np.abs(taken).max() < 3 * 16  # words of a tile


def test_too_large():
    config = Config(memory_depth=64)
    graph = layers_of(np.random.default_rng(0), 4096, 8)
    with pytest.raises(UserError, match=r"^Tensors 'x' and 'bits0' must fit the activation memory "
                                        r"of 512 octets together, not 520$"):
        schedule(graph, config)


def picture(name, conv, pool=None, *, shape=(12, 12, 32), kind=None):
    """A convolution of bits, with a threshold of 0, and a pool behind it."""
    nodes = [Input(name="x", shape=shape, type=kind or Binary()),
             Conv(name="sums", inputs=("x",), bits=1, **conv),
             Threshold(name="bits", inputs=("sums",), levels=np.zeros((1, 1), int))]
    if pool:
        nodes.append(MaxPool(name="pool", inputs=("bits",), **pool))
    return Graph(tuple(nodes), name=name)


@pytest.mark.parametrize("config", PICTURE_CONFIGS[:4], ids=range(4))
@pytest.mark.parametrize("pool", [None, ((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 3)),
                                  ((5, 1), (3, 1))], ids=repr)
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2)], ids=repr)
def test_windows_that_are_pooled(config, pool, pads):
    rng = np.random.default_rng(len(str(pool)) + pads[0])
    conv = {"weights": rng.choice([-1, 1], (40, 3, 3, 32)), "pads": pads}
    graph = picture("pooled", conv, pool and dict(zip(("kernel", "stride"), pool, strict=True)))
    plan = schedule(graph, config)
    assert not plan.layers[0].fixed
    check(graph, rng.choice([-1, 1], (2, 12, 12, 32)), plan)


def test_pools_in_a_row():
    """Two pools are one with larger windows."""
    rng = np.random.default_rng(0)
    graph = picture("pools", {"weights": rng.choice([-1, 1], (8, 2, 2, 32))},
                    {"kernel": (3, 2), "stride": (2, 1)})
    again = MaxPool(name="again", inputs=("pool",), kernel=(2, 3), stride=(1, 2))
    graph = Graph((*graph.nodes, again), name="pools")
    check(graph, rng.choice([-1, 1], (2, 12, 12, 32)), schedule(graph, Config()))


def test_memory_is_used_again():
    """Only neighbours have places of their own, and all that is made is right as it is made."""
    graph, frames = deep_picture()
    plan = schedule(graph, Config(memory_depth=128))
    assert plan.places["x"].address == plan.places["bits1"].address
    check(graph, frames, plan)


def any_stores(graph, config):
    """A schedule that stores weights within a frame."""
    made = draft(graph, config)
    plans = (made.schedule(any_choice(np.random.default_rng(seed), made)) for seed in range(99))
    return next(plan for plan in plans if stored_octets(plan))


def test_stores_come_when_their_place_is_free():
    """And not a layer earlier, when what lies there is still read: that is seen."""
    graph, frames = deep_picture()
    plan = any_stores(graph, Config(memory_depth=256))
    check(graph, frames, plan)
    program = list(plan.program)
    stores = [packet for packet in program if packet.opcode is Opcode.STORE]
    rest = [packet for packet in program if packet.opcode is not Opcode.STORE]
    early = replace(plan, program=(*stores, *rest))
    with pytest.raises(AssertionError):
        check(graph, frames, early)
    lost = replace(plan, program=tuple(rest))
    with pytest.raises(AssertionError):
        check(graph, frames, lost)


@pytest.mark.parametrize("style", ["bits", "planes", "octets"])
@pytest.mark.parametrize("config", PICTURE_CONFIGS, ids=repr)
def test_networks_that_fork_and_join(config, style):
    rng = np.random.default_rng(0)
    found = 0
    while found < 3:
        graph = random_joined_network(rng, style)
        try:
            plan = schedule(graph, config)
        except UserError:  # too many weights for this configuration
            continue
        check(place_joins(graph), random_frames(rng, graph, 1), plan)
        found += 1


@pytest.mark.parametrize("seed", range(12))
def test_stores_where_joined_tensors_are_dead(seed):
    rng = np.random.default_rng(seed)
    config = Config(memory_depth=1024)
    while True:
        graph = random_joined_network(rng)
        try:
            made = draft(graph, config)
        except UserError:
            continue
        plan = made.schedule(any_choice(rng, made))
        if stored_octets(plan):
            break
    check(place_joins(graph), random_frames(rng, graph, 2), plan)


def fork(style="bits"):
    """A network whose first tensor is read by two layers, and joined to what the third reads."""
    joins = Joins(np.random.default_rng(0), style, (6, 6, 40))
    first = joins.layer("x", 40)
    second = joins.layer(joins.layer(first, 40), 40)
    joins.sums(joins.add(Concat(name="join"), first, second), 3)
    return joins.graph


def test_parts_lie_side_by_side():
    """A word further in every row, and no layer moves them."""
    plan = schedule(fork(), Config())
    first, second, whole = (plan.places[name] for name in ("made2", "made6", "join7"))
    assert not any(lowered.fixed for lowered in plan.layers[1:])
    assert (first.address, second.address) == (whole.address, whole.address
                                               + 2 * whole.layout.row)
    assert first.layout.line == second.layout.line == 4 * whole.layout.row
    assert whole.layout.parts == (40, 40)


@pytest.mark.parametrize("style", ["bits", "planes", "octets"])
def test_a_tensor_stays_until_its_last_reader(style):
    """And if it does not, that is seen."""
    graph = fork(style)
    frames = random_frames(np.random.default_rng(1), graph)
    plan = schedule(graph, Config())
    check(place_joins(graph), frames, plan)
    program = list(plan.program)
    at = next(at for at, packet in enumerate(program) if packet.name == plan.layers[2].task.name)
    place = plan.places["made2"]
    early = make.store(place.address // 8, bytes(place.octets // 8 * 8), octets=8)
    with pytest.raises(AssertionError):
        check(place_joins(graph), frames, replace(plan, program=(
            *program[:at + 1], *early, *program[at + 1:])))


def test_cnv():
    """A published network for CIFAR-10: every tensor, and with it the class that it names."""
    work = open_workload(str(shared("bnn-pynq/cifar10/cnvW1A1")))
    plan = schedule(work.graph, Config())
    assert [lowered.fixed for lowered in plan.layers] == [True] + [False] * 8
    assert stored_octets(plan) > 12_000
    check(work.graph, work.samples(1).x, plan)


def windows_pooled(rng):
    """A picture of octets, whose windows may be pixels, then layers of bits."""
    nodes = list(picture("windows", {"weights": rng.choice([-1, 1], (32, 3, 3, 3))},
                         {"kernel": (2, 2), "stride": (2, 2)}, shape=(12, 11, 3),
                         kind=Fixed(8, signed=False)).nodes)
    nodes += [Conv(name="next", inputs=("pool",), bits=1, pads=(1, 1, 1, 1),
                   weights=rng.choice([-1, 1], (32, 3, 3, 32))),
              Threshold(name="made", inputs=("next",), levels=rng.integers(-9, 9, (32, 1))),
              Conv(name="last", inputs=("made",), bits=1,
                   weights=rng.choice([-1, 1], (4, 1, 1, 32)))]
    return Graph(tuple(nodes), name="windows"), rng.integers(0, 256, (2, 12, 11, 3))


def told(plan):
    """Opcodes of a program, and whether each layer leaves bits by groups."""
    return ({packet.opcode for packet in plan.program},
            [lowered.signs for lowered in plan.layers])


def test_weights_stay_where_all_fit():
    graph, frames = windows_pooled(np.random.default_rng(0))
    plan = schedule(graph, SIGN_CONFIGS[0])
    assert [lowered.source.feed for lowered in plan.layers] == [Feed.PLANES, Feed.CHAIN, Feed.CHAIN]
    assert told(plan) == ({Opcode.LEVELS, Opcode.KEPT, Opcode.LAYER, Opcode.END},
                          [True, True, False])
    assert {packet.opcode for packet in plan.resident} == {Opcode.WEIGHTS, Opcode.SIGNS, Opcode.END}
    assert plan.streamed_octets == 0
    assert plan.resident_octets == sum(
        2 * len(packet.halves) for packet in plan.resident if packet.opcode is Opcode.WEIGHTS)
    check(graph, frames, plan)


@pytest.mark.parametrize("depth", [{"weight_depth": 32}, {"sign_depth": 7}], ids=repr)
def test_weights_that_do_not_all_fit(depth):
    """Then nothing stays, no bits leave by groups, and the results are the same."""
    graph, frames = windows_pooled(np.random.default_rng(0))
    plan = schedule(graph, replace(SIGN_CONFIGS[0], **depth))
    opcodes, signs = told(plan)
    assert not opcodes & {Opcode.KEPT, Opcode.SIGNS}
    assert not any(packet.opcode is Opcode.SIGNS for packet in plan.resident)
    assert signs == [False] * 3
    check(graph, frames, plan)


@pytest.mark.parametrize("spare", [0, -1])
def test_weights_that_just_fit(spare):
    """Or are one too many."""
    graph, frames = windows_pooled(np.random.default_rng(1))
    config = replace(SIGN_CONFIGS[0], level_depth=64)
    made = draft(graph, config)
    words = sum(len(tile.weights) for own in made.work for tile in own)
    groups = sum(len(tile.levels) for lowered, own in zip(made.layers, made.work, strict=True)
                 for tile in own if lowered.signs) // 8
    power = 1 << (words - 1).bit_length()
    assert draft(graph, replace(config, weight_depth=power, sign_depth=groups)).stays
    assert not draft(graph, replace(config, weight_depth=power // 2, sign_depth=groups)).stays
    plan = schedule(graph, replace(config, sign_depth=groups + spare))
    assert (Opcode.KEPT in told(plan)[0]) == (spare == 0)
    check(graph, frames, plan)


@pytest.mark.parametrize("config", SIGN_CONFIGS, ids=range(len(SIGN_CONFIGS)))
@pytest.mark.parametrize("pool", [None, ((2, 2), (2, 2)), ((3, 2), (1, 2)), ((1, 4), (2, 4)),
                                  ((2, 2), (2, 1)), ((2, 3), (2, 3))], ids=repr)
def test_windows_by_groups(config, pool):
    """Windows side by side, others one by one, and no windows."""
    rng = np.random.default_rng(len(str(pool)))
    conv = {"weights": rng.choice([-1, 1], (32, 3, 2, 32)), "pads": (1, 0, 2, 1)}
    graph = picture("pooled", conv, pool and dict(zip(("kernel", "stride"), pool, strict=True)),
                    shape=(6, 9, 32))
    # Bits of the last layer go to the host as octets, so another layer reads them.
    graph = Graph((*graph.nodes, Conv(
        name="last", inputs=(graph.nodes[-1].name,), bits=1,
        weights=rng.choice([-1, 1], (4, 1, 1, 32)))), name="pooled")
    check(graph, rng.choice([-1, 1], (2, 6, 9, 32)), schedule(graph, config))


@pytest.mark.parametrize("style", ["bits", "planes", "octets"])
@pytest.mark.parametrize("config", SIGN_CONFIGS, ids=range(len(SIGN_CONFIGS)))
def test_networks_that_fork_and_join_by_groups(config, style):
    rng = np.random.default_rng(5)
    graph = random_joined_network(rng, style)
    check(place_joins(graph), random_frames(rng, graph, 1), schedule(graph, config))


def test_meta_tells_the_host():
    x = Input(name="x", shape=(20,), type=Fixed(8))
    dense = Dense(name="sums", inputs=("x",), bits=8, weights=np.ones((3, 20), int))
    plan = schedule(Graph((x, dense), name="small"), Config())
    assert plan.image().meta == {
        "name": "small", "layers": ["sums"],
        "input": {"octets": 24, "parts": [[[0, 0, 24]]]}, "output": {"address": 24, "octets": 16},
    }
    assert (plan.input.name, plan.output.name) == ("x", "sums")

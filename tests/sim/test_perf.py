"""The performance model against the gateware: equal, cycle for cycle."""

from dataclasses import replace

import numpy as np
import pytest

from boards.catalogue import BOARDS
from compiler import datasets, golden
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Threshold,
)
from compiler.models import DEFAULT, held_back, network
from compiler.passes import to_integer
from compiler.perf import estimate
from compiler.schedule.fit import arrays, fit
from compiler.schedule.plan import draft, schedule
from hdl.config import Config
from hdl.isa import Cause, Opcode
from sim.forms import rtl
from sim.rtl import Rtl
from tests.compiler.codegen.networks import activations, weights
from tests.compiler.frontends.real_data import mnist_test, shared
from tests.compiler.schedule.choosing import any_choice, stored_octets
from tests.compiler.schedule.joins import Joins, random_joined_network
from tests.compiler.schedule.pictures import random_picture_network
from tests.sim.networks import random_frames, random_network
from tests.sim.tinbinn import tinbinn


CONFIGS = {
    "default": Config(),
    # Other shapes, queues that are often full, and the slowest flash.
    "other": Config(p=4, pe=16, simd=16, fixed_pe=8, memory_depth=2048, weight_depth=16,
                    flash_depth=16, flash_lines=2, flash_full_rate=False,
                    flash_continuous=False, binary_width=9),
    # Bits by groups, and weights that stay.
    "signs": Config(p=4, pe=16, simd=16, fixed_pe=8, memory_depth=2048, weight_depth=1024,
                    sign_depth=64, binary_width=13),
}
# Pixels that share weights have words of four octets and more; eight groups are the most.
BY_SIGNS = [Config(p=2, pe=8, simd=32, memory_depth=2048, weight_depth=1024, sign_depth=64,
                   binary_width=13),
            Config(p=1, pe=64, simd=64, fixed_pe=4, memory_depth=2048, weight_depth=256,
                   sign_depth=64, binary_width=14, fixed_width=24)]
WIDE = Config(p=16, pe=16, simd=16, fixed_pe=16, memory_depth=2048, binary_width=9)


def check(plan, x, form=rtl):
    """Run a batch: every tensor as in the golden model, every count as in the performance model.
    """
    board, expected = Rtl(plan, form=form), estimate(plan)
    made = board.trace(x)
    assert all(made[name] is not None for name in plan.left)
    for node, values in golden.trace(plan.placed, x):
        if made.get(node.name) is not None:
            np.testing.assert_array_equal(made[node.name], values, err_msg=node.name)
    assert board.counts == expected.counted
    assert board.counters == expected.counted
    assert board.frame_cycles == expected.frame
    assert board.accelerator.cycles() == expected.frame
    assert board.flash_cycles == expected.flash_busy
    assert board.complaints == []
    return expected


def check_random(config, seed, most=20_000):
    """Check a random network, of whose weights some are resident, all, or none."""
    rng = np.random.default_rng(seed)
    plan = None
    while plan is None or plan.streamed_octets > most:
        graph = random_network(rng)
        limit = [None, 0, int(rng.integers(most))][rng.integers(3)]
        plan = schedule(graph, config, resident_limit=limit)
    check(plan, random_frames(rng, graph, 1 + (seed % 4 == 0)))


@pytest.mark.parametrize("seed", range(20))
def test_random(seed):
    check_random(CONFIGS["default"], seed)


@pytest.mark.parametrize("seed", range(12))
def test_random_other_config(seed):
    check_random(CONFIGS["other"], seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many(name, seed):
    check_random(CONFIGS[name], seed, 200_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2020))
def test_wide(seed):
    check_random(WIDE, seed)
    check_pictures(WIDE, seed)


def check_pictures(config, seed):
    """Check a random network over pictures, unless the accelerator cannot run it."""
    rng = np.random.default_rng(seed)
    graph = random_picture_network(rng)
    try:
        plan = schedule(graph, config)
    except UserError as refusal:
        pytest.skip(str(refusal))
    check(plan, random_frames(rng, graph))


@pytest.mark.parametrize("seed", range(30))
def test_random_pictures(seed):
    check_pictures(CONFIGS["default"], seed)


@pytest.mark.parametrize("seed", range(8))
def test_random_pictures_other_config(seed):
    check_pictures(CONFIGS["other"], seed)


@pytest.mark.parametrize("seed", range(30))
def test_random_pictures_by_signs(seed):
    check_pictures(CONFIGS["signs"], seed)


@pytest.mark.parametrize("config", [
    pytest.param(config, marks=[pytest.mark.slow] if config.pe == 64 else [],
                 id=f"{config.p}x{config.pe}x{config.simd}") for config in BY_SIGNS])
@pytest.mark.parametrize("seed", range(4))
def test_random_by_signs(config, seed):
    check_random(config, seed)
    check_pictures(config, seed)


@pytest.mark.parametrize("config", [
    pytest.param(config, marks=[pytest.mark.slow] if at > 1 else [],
                 id=f"{config.p}x{config.pe}x{config.simd}")
    for at, config in enumerate(arrays(BOARDS["icebreaker"]))
    if config.hash != CONFIGS["default"].hash])
def test_arrays_that_fit(config):
    """Other arrays that `build --lanes` and `build --target-fps` may choose."""
    for seed in range(2):
        check_random(config, seed)
        check_pictures(config, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_pictures(name, seed):
    check_pictures(CONFIGS[name], seed)


def check_joins(config, seed):
    """Check a random network that forks and joins."""
    rng = np.random.default_rng(seed)
    while True:
        graph = random_joined_network(rng)
        try:
            plan = schedule(graph, config)
        except UserError:  # few words fit the weight queue of some configurations
            continue
        if plan.streamed_octets < 50_000:
            break
    check(plan, random_frames(rng, graph))


@pytest.mark.parametrize("seed", range(8))
def test_random_joins(seed):
    check_joins(CONFIGS["default"], seed)


@pytest.mark.parametrize("seed", range(3))
def test_random_joins_other_config(seed):
    check_joins(CONFIGS["other"], seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_joins(name, seed):
    check_joins(CONFIGS[name], seed)


def stored(config, seed):
    """A random network over pictures, with weights that are stored within a frame."""
    rng = np.random.default_rng(seed)
    while True:
        try:
            # What leaves bits by groups has no way to be stored.
            made = replace(draft(random_picture_network(rng), replace(config, sign_depth=0)),
                           config=config)
        except UserError:
            continue
        plan = made.schedule(any_choice(rng, made))
        if stored_octets(plan) and plan.streamed_octets < 50_000:
            return plan


def test_blocks_of_usual_size():
    """Bits: squeezed to 16 channels, expanded to 64, pooled, and added to what was there."""
    joins = Joins(np.random.default_rng(0), "bits", (16, 16, 3))
    first = joins.layer("x", 64, 3)
    squeezed = joins.layer(first, 16)
    wide = joins.add(Concat(name="join"), joins.layer(squeezed, 32),
                     joins.layer(squeezed, 32, 3))
    small = joins.add(MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)), wide)
    added = joins.add(Add(name="add"), joins.sums(joins.layer(small, 24), 64, 1), small)
    joins.sums(joins.add(Flatten(name="flat"), joins.made(added)), 10)
    plan = schedule(joins.graph, Config())
    check(plan, random_frames(joins.rng, plan.graph))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(8))
def test_stores_within_a_frame(name, seed):
    plan = stored(CONFIGS[name], seed)
    check(plan, random_frames(np.random.default_rng(seed), plan.graph, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_stores_within_a_frame(name, seed):
    plan = stored(CONFIGS[name], seed)
    check(plan, random_frames(np.random.default_rng(seed), plan.graph, 2))


def test_a_store_at_a_wrong_place_is_seen():
    """An address further, and a word of weights is another."""
    plan = stored(CONFIGS["default"], 0)
    moved = tuple(replace(packet, address=packet.address + 1)
                  if packet.opcode is Opcode.STORE else packet for packet in plan.program)
    with pytest.raises(AssertionError):
        check(replace(plan, program=moved), random_frames(np.random.default_rng(0), plan.graph, 2))


def test_more_layers_than_counters():
    rng = np.random.default_rng(0)
    nodes = [Input(name="x", shape=(9,), type=Binary())]
    for index in range(35):
        nodes.append(Dense(name=f"sums{index}", inputs=(nodes[-1].name,), bits=1,
                           weights=weights(rng, (9, 9), 1)))
        nodes.append(activations(rng, f"bits{index}", (Graph(tuple(nodes)), nodes[-1].name)))
    graph = Graph(tuple(nodes))
    expected = check(schedule(graph, Config()), random_frames(rng, graph))
    assert len(expected.layers) == 35
    assert len(expected.counted) == 32


def test_lfc():
    graph = load(shared("bnn-pynq/mnist/lfcW1A1"))
    expected = check(schedule(graph, Config()), mnist_test()[0][:1])
    assert expected.flash_busy > 0.999 * expected.frame


def test_windows_of_one_pass():
    """What is pooled is made at once, and its place must not be that of the next."""
    rng = np.random.default_rng(0)
    graph = Graph((
        Input(name="x", shape=(4, 7, 64), type=Binary()),
        Conv(name="sums", inputs=("x",), weights=weights(rng, (32, 3, 2, 64), 1), bits=1),
        Threshold(name="bits", inputs=("sums",), levels=np.zeros((1, 1), int)),
        MaxPool(name="pooled", inputs=("bits",), kernel=(1, 2), stride=(1, 2)),
        Flatten(name="flat", inputs=("pooled",)),
        Dense(name="last", inputs=("flat",), weights=weights(rng, (3, 192), 1), bits=1)))
    check(schedule(graph, Config()), random_frames(rng, graph))


def test_cnv():
    graph = to_integer(load(shared("bnn-pynq/cifar10/cnvW1A1")))
    plan = schedule(graph, Config())
    expected = check(plan, datasets.load(shared("cifar10/test20.bin")).x[:1])
    # Nine of ten cycles do work, wherever weights are there.
    for layer in expected.layers[1:4]:
        assert layer.causes[Cause.WORK] > 0.99 * layer.total


def test_tinbinn():
    """Integers of eight bits throughout, in bit planes; 60 ms at 27 MHz."""
    rng = np.random.default_rng(0)
    graph = tinbinn(rng)
    expected = check(schedule(graph, Config()), random_frames(rng, graph))
    assert expected.frame < 1_620_000


@pytest.mark.slow
def test_cnv_on_ulx3s():
    """3,052 frames a second are those of FINN on a Zynq-7020. The line is as fast as it can be, as
    61 kB go over it."""
    graph = to_integer(load(shared("bnn-pynq/cifar10/cnvW1A1")))
    config = fit(BOARDS["ulx3s"])
    plan = schedule(graph, replace(config, baud=config.clock_hz // 4))
    assert plan.streamed_octets == 0
    expected = check(plan, datasets.load(shared("cifar10/test20.bin")).x[:1])
    assert config.clock_hz / expected.frame > 3052


@pytest.mark.parametrize("board", [
    "icebreaker", "tangnano9k", pytest.param("orangecrab", marks=pytest.mark.slow)])
def test_default_network(board):
    graph = to_integer(load(network(DEFAULT)))
    check(schedule(graph, fit(BOARDS[board])), datasets.load(held_back(DEFAULT)).x[:3])


def test_tfc():
    graph = to_integer(load(shared("finn-tfc-w1a1/model.onnx")))
    check(schedule(graph, Config()), mnist_test()[0][:3])

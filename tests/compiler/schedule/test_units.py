import itertools

import numpy as np
import pytest

from compiler.errors import UserError
from compiler.ir import Binary, Concat, Conv, Fixed, Graph, Input, Threshold
from compiler.schedule.regions import regions_of
from compiler.schedule.tasks import tasks_of
from compiler.schedule.units import choose, expense
from compiler.stages import split
from hdl.config import Config
from hdl.isa import Target
from tests.compiler.schedule.pictures import random_picture_network
from tests.compiler.schedule.single import between, bits_conv, bits_dense, chain


@pytest.mark.parametrize(("task", "fixed"), [
    (bits_dense(count=1), False),
    (bits_conv(), False),
    (bits_conv((9, 9, 40), kind=Fixed(2, signed=False)), False),
    (bits_conv((9, 9, 3), kind=Fixed(8, signed=False)), True),   # 9 words, or 36 for a pixel
    (bits_conv((9, 9, 33), pads=(1, 1, 1, 1)), True),            # an odd number of lanes
    (bits_conv((9, 9, 40), count=None, kind=Fixed(2, signed=False)), True),  # sums of planes
], ids=["dense", "conv", "planes", "picture", "odd", "sums"])
def test_choices(task, fixed):
    lowered, = choose(*chain([task]), Config())
    assert lowered.fixed == fixed


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_cheaper(seed):
    """Of all ways to choose, which are few, none takes fewer cycles."""
    graph = random_picture_network(np.random.default_rng(seed))
    parts = split(graph)
    tasks = tasks_of(parts)
    regions = regions_of(parts, tasks)
    config = Config()

    def cycles(units):
        following = [*zip(tasks[1:], units[1:], strict=True), ()]
        layers = [between(task, units[at], config, *following[at], of_host=at == 0)
                  for at, task in enumerate(tasks)]
        return sum(expense(lowered, config) for lowered in layers)

    possible = []
    for units in itertools.product(*(task.units for task in tasks)):
        try:
            possible.append(cycles(units))
        except UserError:
            continue
    if not possible:
        with pytest.raises(UserError, match="^(Node|MaxPool) '"):
            choose(tasks, regions, config)
        return
    layers = choose(tasks, regions, config)
    assert sum(expense(lowered, config) for lowered in layers) == min(possible)


def test_neighbours_agree():
    """A tensor lies as the layer that reads it wants it."""
    first = bits_conv((9, 9, 32), channels=32, count=3)
    second = bits_conv(first.output_shape, kind=first.output_type, count=1)
    third = bits_conv(second.output_shape, bits=8, count=None)
    layers = choose(*chain([first, second, third]), Config())
    assert [lowered.fixed for lowered in layers] == [False, False, True]
    assert [lowered.target for lowered in layers] == [Target.PLANES, Target.OCTETS, Target.SUMS]
    for lowered, reader in zip(layers, layers[1:], strict=False):
        assert (lowered.output.blocks, lowered.output.border, lowered.output.feed) \
            == (reader.source.blocks, reader.source.border, reader.source.feed)


def test_a_layer_that_no_unit_can_run():
    with pytest.raises(UserError, match=r"^Node 'sums': the weights of a tile must have at most "
                                        r"256 words, as they are used again, not 275$"):
        choose(*chain([bits_conv((9, 9, 352), (5, 5))]), Config())


def forked(channels, *weight_bits, kernels=(3, 3)):
    """A layer of bits, whose result is read by layers of weights of so many bits."""
    rng = np.random.default_rng(0)
    nodes = [Input(name="x", shape=(5, 5, 8), type=Binary())]

    def layer(name, source, depth, outputs, bits=1, kernel=1):
        weights = rng.choice([-1, 1], (outputs, kernel, kernel, depth))
        nodes.extend([
            Conv(name=f"{name}s", inputs=(source,), weights=weights, bits=bits,
                 pads=(kernel // 2,) * 4),
            Threshold(name=name, inputs=(f"{name}s",), levels=np.zeros((1, 1), int))])

    layer("first", "x", 8, channels)
    names = [f"reader{at}" for at in range(len(weight_bits))]
    for name, bits, kernel in zip(names, weight_bits, kernels, strict=True):
        layer(name, "first", channels, 4, bits, kernel)
    nodes.append(Concat(name="join", inputs=tuple(names)))
    layer("last", "join", 4 * len(names), 4)
    parts = split(Graph(tuple(nodes), name="fork"))
    tasks = tasks_of(parts)
    return tasks, regions_of(parts, tasks)


@pytest.mark.parametrize(("weight_bits", "fixed"), [((1, 1), False), ((1, 2), True)])
def test_readers_of_one_tensor_agree(weight_bits, fixed):
    """What several layers read lies in one way, which may cost one of them the array."""
    layers = choose(*forked(32, *weight_bits), Config())
    assert [lowered.fixed for lowered in layers[1:3]] == [fixed, fixed]
    assert [lowered.output.whole for lowered in layers[1:3]] == [2, 2]
    assert layers[3].source.parts == (4, 4)


def test_readers_that_cannot_agree():
    """One has too many weights for the unit that the other needs."""
    choose(*forked(128, 1, 1), Config())
    choose(*forked(128, 1, 2, kernels=(1, 1)), Config())
    with pytest.raises(UserError, match=r"^Node 'reader0s': the weights of a tile must have at "
                                        r"most 256 words, as they are used again, not 576$"):
        choose(*forked(128, 1, 2, kernels=(3, 1)), Config())

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.ir import Binary, Dense, Fixed, Threshold, value_range
from compiler.schedule.lower import lower
from compiler.schedule.tiles import heap, kernel_words, tiles
from hdl.config import Config
from hdl.isa import Target
from tests.compiler.schedule import machine
from tests.compiler.schedule.single import bits_conv, levels_of, one_task, shaped_output


def walk(levels, value, bits):
    """Go down a heap with running sums, as the drain does."""
    node, total = 1, value
    for _ in range(bits):
        if node <= len(levels):
            total -= levels[node - 1]
        node = 2 * node + (total >= 0)
    return node - (1 << bits)


@pytest.mark.parametrize("bits", range(1, 9))
def test_heap_counts_levels(bits):
    """Walking the heap gives the number of levels that are passed, for any levels that rise."""
    rng = np.random.default_rng(bits)
    count = (1 << bits) - 1
    for spread in (1, count // 3 + 1, 4 * count):  # with equal levels, and without
        levels = np.sort(rng.integers(-spread, spread + 1, (3, count)), axis=1)
        found = heap(levels)
        assert found.shape == levels.shape
        for channel in range(3):
            for value in range(-spread - 2, spread + 3):
                assert walk(found[channel], value, bits) == (value >= levels[channel]).sum()


def plane_sums(lowered, config, plane):
    """What a unit makes of the octets of one plane of a dense layer's input: (made,)."""
    lanes = lowered.source.lanes
    octets = np.frombuffer(plane, np.uint8)[:lowered.words * config.simd // 8]
    given_ = octets.view(np.int8).astype(int) if lowered.fixed else 2 * np.unpackbits(
        octets, bitorder="little").astype(int) - 1
    sums = []
    for tile in tiles(lowered, config):
        places = config.fixed_pe if lowered.fixed else config.pe
        assert tile.weights.shape == (lowered.parts * lowered.words, places * config.simd // 8)
        assert tile.levels.shape == (lowered.parts * lowered.channels * lowered.stride,)
        numbers = tile.weights.view(np.int8).astype(int) if lowered.fixed else 2 * np.unpackbits(
            tile.weights, axis=1, bitorder="little").astype(int) - 1
        by_channel = numbers.reshape(lowered.parts, lowered.words, places, lanes)
        by_channel = by_channel.transpose(0, 2, 1, 3)[:, :lowered.channels]
        sums += (by_channel.reshape(lowered.parts * lowered.channels, -1) @ given_).tolist()
    return np.array(sums)


@st.composite
def layers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    fan_in, channels = draw(st.integers(1, 150)), draw(st.integers(1, 40))
    bits = draw(st.sampled_from([1, 1, 2, 8]))
    kind = draw(st.one_of(st.just(Binary()), st.builds(Fixed, st.integers(1, 8), st.booleans())))
    low, high = value_range(Binary() if bits == 1 else Fixed(bits))
    weights = rng.choice([-1, 1], (channels, fan_in)) if bits == 1 else rng.integers(
        low, high + 1, (channels, fan_in))
    bias = None
    if draw(st.booleans()):
        size = draw(st.sampled_from([1, channels]))
        bias = rng.integers(-100, 100, size).astype(draw(st.sampled_from([np.int8, np.int64])))
    count = draw(st.sampled_from([None, 1, 2, 3, 15, 16, 255]))
    graph, task = one_task(
        lambda **names: Dense(weights=weights, bits=bits, bias=bias, **names), (fan_in,), kind,
        activation=count and levels_of(rng, channels, count))
    low, high = value_range(kind)
    x = rng.choice([-1, 1], fan_in) if kind == Binary() else rng.integers(low, high + 1, fan_in)
    fixed = draw(st.sampled_from([unit for unit in task.units if count or unit
                                  or kind == Binary()]))
    return graph, task, fixed, x, draw(st.sampled_from([Target.BITS, Target.OCTETS]))


@given(drawn=layers(), config=st.sampled_from(
    [Config(), Config(simd=8, p=4), Config(pe=16, simd=8, p=4), Config(level_depth=512)]))
def test_tiles_make_the_sums_of_the_layer(drawn, config):
    """Also those of bit planes, which are twice the layer's, and so are their levels."""
    graph, task, fixed, x, target = drawn
    layer = task.layer
    if isinstance(layer.activation, Threshold) and layer.activation.count > 1:
        target = Target.OCTETS
    source = task.reads(fixed, config, of_host=True)
    lowered = lower(task, fixed, source, shaped_output(task, config, target), config)
    traced = {node.name: y[0] for node, y in golden.trace(graph, x[np.newaxis])}
    packed = source.pack(x)
    size = len(packed) // source.planes
    raw = np.zeros(lowered.made, int)
    for plane in reversed(range(source.planes)):
        raw = 2 * raw + plane_sums(lowered, config, packed[plane * size:(plane + 1) * size])
    levels = np.concatenate([tile.levels for tile in tiles(lowered, config)])
    levels = levels.reshape(lowered.made, lowered.stride)
    if source.planes > 1:
        levels[:, 0] = machine.by_planes(levels[:, 0], source.planes, config)
    assert len(raw) == lowered.made >= layer.sums.channels

    if layer.activation is None:
        assert (raw + levels[:, 0])[:layer.sums.channels].tolist() == traced["sums"].tolist()
    else:
        count = [walk(-levels[channel], raw[channel], lowered.bits)
                 for channel in range(lowered.made)]
        expected = (traced["sums"][:, np.newaxis] >= layer.activation.levels).sum(1)
        assert count[:layer.sums.channels] == expected.tolist()
        assert count[layer.sums.channels:] == [0] * (lowered.made - layer.sums.channels)


@pytest.mark.parametrize("width", [7, 8, 10, 15])
def test_levels_of_bits_by_groups(width):
    """Half a sum with its level is 0 or more where the sum reaches its own, for every sum and every
    level, also one that no sum reaches, or that all do; and never where there is no channel."""
    config = Config(p=1, simd=32, fixed_pe=1, binary_width=width, sign_depth=64)
    fan_in, wanted = 21, np.arange(-5000, 5000, 1 if width < 10 else 7)
    _, task = one_task(
        lambda **names: Dense(weights=np.ones((len(wanted), fan_in), int), bits=1, **names),
        (fan_in,), Binary(),
        activation=lambda **names: Threshold(levels=wanted[:, np.newaxis], **names))
    lowered = lower(task, False, task.reads(False, config, of_host=False),
                    shaped_output(task, config, Target.BITS), config)
    assert lowered.signs
    levels = np.concatenate([tile.levels for tile in tiles(lowered, config)])
    assert np.abs(levels).max() <= 1 << width - 1
    given_ = np.arange(-fan_in, fan_in + 1, 2)
    halves = (given_ + config.simd - fan_in) // 2  # lanes without a channel agree
    bits = halves[:, np.newaxis] + levels >= 0
    assert (bits[:, :len(wanted)] == (given_[:, np.newaxis] >= wanted)).all()
    assert not bits[:, len(wanted):].any()


@pytest.mark.parametrize("channels", [2, 30, 32, 34, 66])
def test_what_fills_a_word_up_adds_nothing_at_a_border(channels):
    """Half the lanes without a weight are +1, in every word: each can be left out."""
    config = Config()
    task = bits_conv((6, 6, channels), pads=(1, 1, 1, 1))
    source = task.reads(False, config, of_host=True)
    lowered = lower(task, False, source, task.leaves(config), config)
    words = kernel_words(lowered, config)
    lines, columns = lowered.kernel
    by_pixel = words.reshape(lowered.made, lines, lowered.depth, columns, -1)
    by_pixel = by_pixel.transpose(0, 1, 3, 2, 4)
    real = source.spread(np.ones(channels, bool))
    assert (by_pixel[:20][..., real] == task.layer.sums.weights).all()
    assert not np.where(real, 0, by_pixel).sum(-1).any()


def test_depthwise_weights_lie_on_the_diagonal():
    config = Config()
    task = bits_conv((6, 6, 8), channels=8, groups=8, count=3)
    source = task.reads(True, config, of_host=False)
    lowered = lower(task, True, source, shaped_output(task, config, Target.OCTETS), config)
    assert (lowered.diagonal, lowered.depth, lowered.words) == (True, 1, 9)
    words = kernel_words(lowered, config).reshape(8, 3, 3, 4)
    for channel in range(8):
        lanes = words[channel].transpose(2, 0, 1)
        assert (lanes[channel % 4] == task.layer.sums.weights[channel, ..., 0]).all()
        assert np.abs(lanes).sum() == 9

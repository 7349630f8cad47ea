import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.errors import UserError
from compiler.ir import Binary, Dense, Fixed, Graph, Input, Requantize, Threshold, value_range
from compiler.schedule.layout import Placement
from compiler.schedule.lower import heap, lower, tiles
from compiler.stages import split
from hdl.config import Config
from hdl.isa import Activation, Layer, Target


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


def one_layer(weights, bits, kind, *, bias=None, activation=None):
    """A layer as `split` makes it; ``activation`` is a function of its name and input."""
    nodes = [Input(name="x", shape=(weights.shape[1],), type=kind),
             Dense(name="sums", inputs=("x",), bits=bits, weights=weights, bias=bias)]
    if activation:
        nodes.append(activation(name="y", inputs=("sums",)))
    graph = Graph(tuple(nodes))
    return graph, split(graph).body[0]


def threshold(rng, channels, count, spread=40):
    levels = np.sort(rng.integers(-spread, spread, (channels, count)), axis=1)
    return lambda **names: Threshold(levels=levels, **names)


def unit_sums(lowered, config, x):
    """What the unit makes of an input for every channel that is made, from the tiles' words."""
    lanes = config.simd // 8 if lowered.fixed else config.simd
    padded = np.zeros(lowered.words * lanes, np.int64)
    if lowered.fixed:
        kept = x - 128 if value_range(lowered.layer.input_type)[1] > 127 else x
    else:
        padded, kept = padded - 1, x
    padded[:len(x)] = kept
    sums = []
    for tile in tiles(lowered, config):
        places = config.fixed_pe if lowered.fixed else config.pe
        assert tile.weights.shape == (lowered.words, places * config.simd // 8)
        assert tile.levels.shape[0] % lowered.stride == 0
        if lowered.fixed:
            numbers = tile.weights.view(np.int8).astype(np.int64)
        else:
            numbers = 2 * np.unpackbits(tile.weights, axis=1, bitorder="little").astype(int) - 1
        by_channel = numbers.reshape(lowered.words, places, lanes).transpose(1, 0, 2)
        sums += list((by_channel.reshape(places, -1) @ padded)[:lowered.channels])
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
    activation = draw(st.sampled_from([None, 1, 2, 3, 15, 16, 255]))
    act = activation and threshold(rng, channels, activation)
    graph, layer = one_layer(weights, bits, kind, bias=bias, activation=act)
    low, high = value_range(kind)
    x = rng.choice([-1, 1], fan_in) if kind == Binary() else rng.integers(low, high + 1, fan_in)
    return graph, layer, x, draw(st.sampled_from([Target.BITS, Target.OCTETS]))


@settings(max_examples=150, deadline=None)
@given(drawn=layers(), config=st.sampled_from(
    [Config(), Config(simd=8, group=4), Config(pe=16, simd=8, group=4), Config(level_depth=512)]))
def test_tiles_make_the_sums_of_the_layer(drawn, config):
    graph, layer, x, target = drawn
    if isinstance(layer.activation, Threshold) and layer.activation.count > 1:
        target = Target.OCTETS
    lowered = lower(layer, target, config)
    traced = {node.name: y[0] for node, y in golden.trace(graph, x[np.newaxis])}
    raw = unit_sums(lowered, config, x)
    levels = np.concatenate([tile.levels for tile in tiles(lowered, config)])
    levels = levels.reshape(lowered.made, lowered.stride)
    assert len(raw) == lowered.made >= layer.sums.channels

    if layer.activation is None:
        assert (raw + levels[:, 0])[:layer.sums.channels].tolist() == traced["sums"].tolist()
    else:
        count = [walk(-levels[channel], raw[channel], lowered.bits)
                 for channel in range(lowered.made)]
        expected = (traced["sums"][:, np.newaxis] >= layer.activation.levels).sum(1)
        assert count[:layer.sums.channels] == expected.tolist()
        assert count[layer.sums.channels:] == [0] * (lowered.made - layer.sums.channels)


def bits_layer(fan_in=40, channels=10, *, count=None, kind=None, bits=1, shift=None):
    rng = np.random.default_rng(0)
    act = None
    if count:
        act = threshold(rng, channels, count)
    if shift is not None:
        def act(**names):
            return Requantize(shift=shift, bits=8, **names)
    weights = rng.choice([-1, 1], (channels, fan_in))
    _, layer = one_layer(weights, bits, kind or Binary(), activation=act)
    return layer


@pytest.mark.parametrize(("layer", "target", "expected"), [
    (bits_layer(count=1), Target.BITS, (False, 8, 4, 2, 1, 1, Activation.THRESHOLD)),
    (bits_layer(count=1), Target.OCTETS, (False, 8, 2, 2, 1, 1, Activation.THRESHOLD)),
    (bits_layer(count=3), Target.OCTETS, (False, 8, 2, 2, 3, 2, Activation.THRESHOLD)),
    (bits_layer(count=4), Target.OCTETS, (False, 8, 2, 2, 7, 3, Activation.THRESHOLD)),
    (bits_layer(count=255), Target.OCTETS, (False, 1, 10, 2, 255, 8, Activation.THRESHOLD)),
    (bits_layer(count=63), Target.OCTETS, (False, 4, 3, 2, 63, 6, Activation.THRESHOLD)),
    (bits_layer(shift=4), Target.OCTETS, (False, 8, 2, 2, 1, 8, Activation.RESCALE)),
    (bits_layer(), Target.OCTETS, (False, 8, 2, 2, 1, 1, Activation.SUM)),
    (bits_layer(kind=Fixed(8)), Target.OCTETS, (True, 4, 3, 10, 1, 1, Activation.SUM)),
    (bits_layer(count=1, bits=2), Target.BITS, (True, 4, 8, 10, 1, 1, Activation.THRESHOLD)),
], ids=["bits", "octets", "two", "three", "eight", "six", "shift", "sums", "fixed", "wide"])
def test_shape(layer, target, expected):
    lowered = lower(layer, target, Config())
    assert (lowered.fixed, lowered.channels, lowered.tiles, lowered.words, lowered.stride,
            lowered.bits, lowered.activation) == expected
    assert lowered.target == (Target.SUMS if layer.activation is None else target)
    assert lowered.made == lowered.channels * lowered.tiles


def test_fields():
    layer = bits_layer(shift=9, kind=Fixed(8, signed=False))
    source = Placement("x", layer.input_type, 40, Target.OCTETS, 64, 40)
    output = Placement("y", Fixed(8, signed=False), 10, Target.OCTETS, 128, 16)
    fields = lower(layer, Target.OCTETS, Config()).fields(source, output, Config())
    assert fields == {
        "source": 8, "words": 10, "tiles": 3, "output": 128, "channels": 4, "stride": 1,
        "activation": Activation.RESCALE, "target": Target.OCTETS, "bits": 8, "shift": 9,
        "signed": 1, "flip": 1, "fixed": 1, "reserved": 0,
    }
    assert set(fields) == set(Layer.members)


@pytest.mark.parametrize(("layer", "config", "message"), [
    (bits_layer(40000, 2), Config(sum_width=16, simd=64),
     "its sums must span less than 15 bits, not -40000 to 40000"),
    (bits_layer(count=255), Config(level_depth=128),
     "a channel must have at most 128 levels, not 255"),
    (bits_layer(4096 * 8, 1), Config(simd=8, group=4),
     "the words of a sum must be at most 4095, not 4096"),
    (bits_layer(1, 8 * 4096), Config(), "its tiles of channels must be at most 4095, not 4096"),
    (bits_layer(shift=32), Config(), "the bits that are dropped must be at most 31, not 32"),
], ids=["sums", "levels", "words", "tiles", "shift"])
def test_impossible(layer, config, message):
    with pytest.raises(UserError, match=f"^Node 'sums': {message}$"):
        lower(layer, Target.OCTETS, config)

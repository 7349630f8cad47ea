"""Integer networks for the tests of the generated C."""

import numpy as np
from hypothesis import strategies as st

from compiler.ir import (
    Affine,
    ArgMax,
    Binary,
    Dense,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    Input,
    Requantize,
    Threshold,
    value_range,
)


__all__ = ["activations", "dense_graph", "frames", "networks", "weights"]

SIZES = (1, 2, 7, 8, 9, 31, 63, 64, 65, 72, 100, 128, 130, 200)  # around words, lanes and blocks
LEVELS = (1, 2, 3, 7, 15, 255)


def weights(rng, shape, bits, *, extreme=False):
    """Random weights of ``bits`` bits; the two ends of their range alone where ``extreme``."""
    low, high = value_range(Binary() if bits == 1 else Fixed(bits))
    if bits == 1 or extreme:
        return rng.choice([low, high], shape)
    return rng.integers(low, high + 1, shape)


def activations(rng, name, before, *, count=1, shared=False):
    """A Threshold whose levels lie among the sums of ``before``, a Dense of a graph."""
    graph, dense = before
    low, high = value_range(graph.type(dense))
    channels = 1 if shared else graph.shape(dense)[0]
    spread = max(int((high - low) ** 0.5), 2)
    centre = (low + high) // 2
    levels = np.sort(rng.integers(centre - spread, centre + spread + 1, (channels, count)), axis=1)
    return Threshold(name=name, inputs=(dense,), levels=levels)


def frames(rng, shape, kind, count):
    """Frames of an integer type: its lowest, its highest, and random ones."""
    low, high = value_range(kind)
    if isinstance(kind, Binary):
        random = rng.choice([-1, 1], (count, *shape))
    else:
        random = rng.integers(low, high + 1, (count, *shape))
    return np.concatenate([np.full((1, *shape), low), np.full((1, *shape), high), random])


def dense_graph(layer_weights, *, bits, kind, bias=None, name="net"):
    """One Dense alone: its logits are the result."""
    x = Input(name="x", shape=(layer_weights.shape[1],), type=kind)
    return Graph((x, Dense(name="dense", inputs=("x",), weights=layer_weights, bits=bits,
                           bias=bias)), name=name)


input_types = st.one_of(
    st.just(Binary()),
    st.builds(Fixed, st.integers(1, 8), st.booleans()),
)


@st.composite
def prefixes(draw, rng, size):
    """An Input, and what C runs ahead of the first layer."""
    kind = draw(input_types)
    nodes = [Input(name="x", shape=(size,), type=kind)]
    match draw(st.sampled_from(["none", "flatten", "threshold", "requantize"])):
        case "flatten":
            channels = next(n for n in (5, 4, 2, 1) if size % n == 0)
            nodes = [Input(name="x", shape=(size // channels, 1, channels), type=kind),
                     Flatten(name="flat", inputs=("x",))]
        case "threshold":
            low, high = value_range(kind)
            shape = draw(st.sampled_from([1, size])), draw(st.sampled_from([1, 1, 3]))
            levels = np.sort(rng.integers(2 * low - 1, 2 * high + 2, shape), axis=1) / 2
            nodes.append(Threshold(name="bits", inputs=("x",), levels=levels))
        case "requantize" if isinstance(kind, Fixed):
            nodes.append(Requantize(name="scaled", inputs=("x",), signed=draw(st.booleans()),
                                    shift=draw(st.integers(-3, 5)), bits=draw(st.integers(2, 8))))
    return nodes


@st.composite
def networks(draw):
    """An integer graph of 1 to 3 layers of any kind, and frames for it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=2, max_size=4))
    nodes = draw(prefixes(rng, sizes[0]))
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        bits = draw(st.sampled_from([1, 1, 2, 3, 4, 8]))
        bias = rng.integers(-500, 500, channels) if draw(st.booleans()) else None
        dense = Dense(name=f"dense{index}", inputs=(nodes[-1].name,), bits=bits, bias=bias,
                      weights=weights(rng, (channels, fan_in), bits, extreme=draw(st.booleans())))
        nodes.append(dense)
        last = index == len(sizes) - 2
        match draw(st.sampled_from(["threshold", "threshold", "requantize"] + ["sums"] * last)):
            case "threshold":
                nodes.append(activations(rng, f"out{index}", (Graph(tuple(nodes)), dense.name),
                                         count=draw(st.sampled_from(LEVELS)),
                                         shared=draw(st.booleans())))
            case "requantize":
                nodes.append(Requantize(name=f"out{index}", inputs=(dense.name,),
                                        shift=draw(st.integers(0, 12)),
                                        bits=draw(st.integers(1, 8)), signed=draw(st.booleans())))
    nodes += draw(suffixes(nodes[-1].name, sizes[-1], rng))
    graph = Graph(tuple(nodes), name="random")
    return graph, frames(rng, graph.input.shape, graph.input.type, 6)


@st.composite
def suffixes(draw, name, channels, rng):
    nodes = []
    if draw(st.booleans()):
        nodes.append(Affine(name="real", inputs=(name,), scale=rng.normal(size=channels),
                            offset=rng.normal(size=channels)))
        name = "real"
    end = draw(st.sampled_from([None, ArgMax, HighestBit]))
    return [*nodes, end(name="class", inputs=(name,))] if end else nodes

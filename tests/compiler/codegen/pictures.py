"""Integer networks of convolutions for the tests of the generated C."""

import numpy as np
from hypothesis import strategies as st

from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
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
from tests.compiler.codegen.networks import LEVELS, frames, input_types, weights


__all__ = ["conv_graph", "picture_networks"]

CHANNELS = (1, 2, 3, 5, 8, 9, 16, 17, 24, 32, 33, 48, 64, 65, 72, 128, 130)  # around words
MOST_WEIGHTS = 1 << 16


def conv_graph(layer_weights, *, shape, bits, kind, **options):
    """One Conv alone: its sums are the result."""
    channels = layer_weights.shape[3] * options.get("groups", 1)
    x = Input(name="x", shape=(*shape, channels), type=kind)
    return Graph((x, Conv(name="conv", inputs=("x",), weights=layer_weights, bits=bits,
                          **options)))


def levels_for(draw, rng, graph, name):
    """A Threshold whose levels lie among the likely sums of the last node."""
    last = graph.output
    low, high = value_range(graph.type(last.name))
    channels = draw(st.sampled_from([1, graph.shape(last.name)[-1]]))
    spread = max(int((high - low) ** 0.5), 2)
    centre = (low + high) // 2
    levels = rng.integers(centre - spread, centre + spread + 1,
                          (channels, draw(st.sampled_from([1, *LEVELS]))))
    return Threshold(name=name, inputs=(last.name,), levels=np.sort(levels, axis=1))


def activation(draw, rng, nodes, name):
    graph = Graph(tuple(nodes))
    if draw(st.booleans()) or draw(st.booleans()):
        return levels_for(draw, rng, graph, name)
    return Requantize(name=name, inputs=(nodes[-1].name,), shift=draw(st.integers(0, 10)),
                      bits=draw(st.integers(1, 8)), signed=draw(st.booleans()))


def same_size(rng, nodes, name, reads, outputs, bits):
    """A Conv that keeps the size of the picture ``reads``."""
    kernel = int(rng.choice([1, 3]))
    channels = Graph(tuple(nodes)).shape(reads)[2]
    return Conv(name=name, inputs=(reads,), bits=bits, pads=(kernel // 2,) * 4,
                weights=weights(rng, (outputs, kernel, kernel, channels), bits),
                bias=rng.integers(-100, 100, outputs))


def block(draw, rng, nodes, name):
    """Nodes that fork behind ``nodes`` and join again: sums that are added, or channels."""
    reads = nodes[-1].name
    channels = Graph(tuple(nodes)).shape(reads)[2]
    outputs = draw(st.sampled_from([n for n in CHANNELS if n * channels <= MOST_WEIGHTS // 9]))

    def add(node):
        nodes.append(node)
        return node.name

    def add_sums(what, reads, outputs):
        bits = draw(st.sampled_from([1, 1, 4]))
        return add(same_size(rng, nodes, f"{name}_{what}", reads, outputs, bits))

    match draw(st.sampled_from(["identity", "shortcut", "concat", "concat itself"])):
        case "identity":
            sums = add_sums("sums", reads, channels)
            add(Add(name=f"{name}_plus", inputs=(sums, reads)))
            add(activation(draw, rng, nodes, f"{name}_out"))
        case "shortcut":
            shortcut = add_sums("short", reads, outputs)
            inner = add_sums("inner", reads, 16)
            inner = add(Threshold(name=f"{name}_bits", inputs=(inner,), levels=np.array([[0]])))
            sums = add_sums("sums", inner, outputs)
            add(Add(name=f"{name}_plus", inputs=(shortcut, sums)))
            add(activation(draw, rng, nodes, f"{name}_out"))
        case how:
            made = []
            levels = np.sort(rng.integers(-50, 50, (1, draw(st.sampled_from([1, 3])))))
            for index, size in enumerate((channels, outputs)):
                sums = add_sums(f"sums{index}", reads, size)
                made.append(add(Threshold(name=f"{name}_out{index}", inputs=(sums,),
                                          levels=levels)))
            if how == "concat itself":
                made.append(made[0])
            add(Concat(name=f"{name}_all", inputs=tuple(made)))


def convolution(draw, rng, nodes, name):
    """A Conv that fits behind ``nodes``."""
    height, width, channels = Graph(tuple(nodes)).shape(nodes[-1].name)
    kernel = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    pads = draw(st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0), (4, 0, 0, 3)]))
    kernel = (min(kernel[0], height + pads[0] + pads[2]),
              min(kernel[1], width + pads[1] + pads[3]))
    groups = draw(st.sampled_from([n for n in (1, 1, 1, 2, 3, channels) if channels % n == 0]))
    outputs = groups * draw(st.sampled_from([n for n in CHANNELS if n == 1 or n * groups <= 130]))
    size = outputs * kernel[0] * kernel[1] * channels // groups
    if size > MOST_WEIGHTS:
        outputs, kernel = groups, (1, 1)
    bits = draw(st.sampled_from([1, 1, 2, 4, 8]))
    shape = (outputs, *kernel, channels // groups)
    return Conv(name=name, inputs=(nodes[-1].name,), stride=draw(st.sampled_from([
                    (1, 1), (2, 2), (1, 3), (2, 1)])),
                pads=pads, groups=groups, bits=bits,
                weights=weights(rng, shape, bits, extreme=draw(st.booleans())),
                bias=rng.integers(-100, 100, outputs) if draw(st.booleans()) else None)


def pool(draw, nodes, name, kind=MaxPool):
    """A pool that fits behind ``nodes``."""
    height, width, _ = Graph(tuple(nodes)).shape(nodes[-1].name)
    kernel = draw(st.sampled_from([(2, 2), (3, 3), (2, 1), (1, 3)]))
    stride = draw(st.sampled_from([kernel, (2, 2), (1, 1)]))
    pads = draw(st.sampled_from([(0, 0, 0, 0), (0, 0, 1, 1), (1, 1, 1, 1)]))
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
        pads = 0, 0, 0, 0
    if kernel[0] > height + pads[0] + pads[2] or kernel[1] > width + pads[1] + pads[3]:
        kernel = stride = 1, 1
        pads = 0, 0, 0, 0
    return kind(name=name, inputs=(nodes[-1].name,), kernel=kernel, stride=stride, pads=pads)


def prefix(draw, rng):
    """An Input, and what C runs ahead of the first layer."""
    shape = (draw(st.integers(3, 9)), draw(st.integers(3, 9)), draw(st.sampled_from(CHANNELS)))
    nodes = [Input(name="x", shape=shape, type=draw(input_types))]
    low, high = value_range(nodes[0].type)
    match draw(st.sampled_from(["none", "threshold", "requantize", "pool"])):
        case "threshold":
            size = draw(st.sampled_from([1, shape[2]])), draw(st.sampled_from([1, 3]))
            levels = np.sort(rng.integers(2 * low - 1, 2 * high + 2, size), axis=1) / 2
            nodes.append(Threshold(name="bits", inputs=("x",), levels=levels))
        case "requantize" if isinstance(nodes[0].type, Fixed):
            nodes.append(Requantize(name="scaled", inputs=("x",), shift=draw(st.integers(0, 3)),
                                    bits=draw(st.integers(1, 8)), signed=draw(st.booleans())))
        case "pool" if isinstance(nodes[0].type, Fixed):
            nodes.append(pool(draw, nodes, "before"))
            levels = rng.integers(low, high + 1, (shape[2], 1))
            nodes.append(Threshold(name="bits", inputs=("before",), levels=levels))
    return nodes


@st.composite
def picture_networks(draw):
    """An integer graph of 1 to 3 convolutions, and frames.

    Between them there may be forks that join again, and pools; a dense layer may follow.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = prefix(draw, rng)
    if draw(st.sampled_from([False] * 4 + [True])):
        block(draw, rng, nodes, "block")
    layers = draw(st.integers(1, 3))
    for index in range(layers):
        nodes.append(convolution(draw, rng, nodes, f"conv{index}"))
        if index == layers - 1 and draw(st.booleans()):
            break
        nodes.append(activation(draw, rng, nodes, f"out{index}"))
        if draw(st.sampled_from([False, False, True])):
            block(draw, rng, nodes, f"block{index}")
        for again in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
            nodes.append(pool(draw, nodes, f"pool{index}_{again}"))
    graph = Graph(tuple(nodes))
    small = isinstance(graph.type(nodes[-1].name), Binary | Fixed)
    if small and draw(st.booleans()):
        nodes.append(Flatten(name="flat", inputs=(nodes[-1].name,)))
        bits = draw(st.sampled_from([1, 8]))
        nodes.append(Dense(name="dense", inputs=("flat",), bits=bits,
                           weights=weights(rng, (10, Graph(tuple(nodes)).shape("flat")[0]), bits)))
    elif draw(st.booleans()):
        nodes.append(pool(draw, nodes, "mean", AveragePool))
        nodes.append(Affine(name="scores", inputs=("mean",), scale=0.5))
    if draw(st.booleans()):
        nodes.append(Flatten(name="scores_", inputs=(nodes[-1].name,)))
        nodes.append(ArgMax(name="class", inputs=("scores_",)))
    graph = Graph(tuple(nodes), name="picture")
    return graph, frames(rng, graph.input.shape, graph.input.type, 3)

"""Integer networks for the accelerator: small, and of every kind that it can run."""

from compiler.ir import Affine, ArgMax, Binary, Dense, Fixed, Graph, Input, Requantize, value_range
from tests.compiler.codegen.networks import activations, weights


__all__ = ["random_frames", "random_network"]

INPUTS = 1, 5, 31, 33, 64, 100, 257, 784, 1000
CHANNELS = 1, 3, 4, 8, 10, 17, 33, 64, 100
LEVELS = 1, 1, 1, 2, 3, 7, 15, 255


def random_network(rng):
    """A graph of 1 to 4 layers: array and fixed-point unit, thresholds, shifts and logits."""
    count = rng.integers(1, 5)
    sizes = [rng.choice(INPUTS), *rng.choice(CHANNELS, count)]
    kind = Binary() if rng.random() < 0.5 else Fixed(int(rng.integers(1, 9)),
                                                     bool(rng.integers(2)))
    nodes = [Input(name="x", shape=(int(sizes[0]),), type=kind)]
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        bits = int(rng.choice([1, 1, 1, 2, 5, 8]))
        bias = rng.integers(-500, 500, channels) if rng.random() < 0.5 else None
        dense = Dense(name=f"sums{index}", inputs=(nodes[-1].name,), bits=bits, bias=bias,
                      weights=weights(rng, (channels, fan_in), bits,
                                      extreme=rng.random() < 0.3))
        nodes.append(dense)
        if index + 1 < count or rng.random() < 0.6:
            nodes.append(activation(rng, Graph(tuple(nodes)), f"made{index}"))
    if rng.random() < 0.3:
        nodes.append(Affine(name="real", inputs=(nodes[-1].name,), scale=0.25))
        nodes.append(ArgMax(name="class", inputs=("real",)))
    return Graph(tuple(nodes), name="random")


def activation(rng, graph, name):
    """A Threshold or a Requantize that suits the last node of ``graph``, a Dense."""
    dense = graph.output.name
    if rng.random() < 0.7:
        return activations(rng, name, (graph, dense), count=int(rng.choice(LEVELS)),
                           shared=rng.random() < 0.2)
    low, high = graph.type(dense).low, graph.type(dense).high
    shift = min(max((high - low).bit_length() - int(rng.integers(4, 12)), 0), 31)
    return Requantize(name=name, inputs=(dense,), shift=shift, bits=int(rng.integers(2, 9)),
                      signed=bool(rng.integers(2)))


def random_frames(rng, graph, count=1):
    """A batch of ``count`` random frames for ``graph``."""
    low, high = value_range(graph.input.type)
    shape = count, *graph.input.shape
    if isinstance(graph.input.type, Binary):
        return rng.choice([low, high], shape)
    return rng.integers(low, high + 1, shape)

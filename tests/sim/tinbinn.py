"""The network of ten categories of TinBiNN (Lattice's iCE40 UltraPlus; CIFAR-10): six
convolutions of 3 x 3, three pools, three dense layers; weights of one bit, activations of eight."""

import math

from compiler.ir import Conv, Dense, Fixed, Flatten, Graph, Input, MaxPool, Requantize


__all__ = ["tinbinn"]

WIDTHS = 48, 96, 128  # channels of two convolutions each
DENSE = 256, 256, 10


def tinbinn(rng):
    """The integer graph, with random weights, and shifts that suit them."""
    nodes = [Input(name="x", shape=(32, 32, 3), type=Fixed(8, signed=False))]

    def add(kind, name, **facts):
        nodes.append(kind(name=name, inputs=(nodes[-1].name,), **facts))
        return Graph(tuple(nodes)).shape(name)

    def activation(name, fan_in):
        add(Requantize, name, shift=math.ceil(math.log2(1.5 * math.sqrt(fan_in))), bits=8,
            signed=False)

    depth = 3
    for at, width in enumerate(WIDTHS):
        for name in (f"conv{2 * at}", f"conv{2 * at + 1}"):
            add(Conv, name, weights=rng.choice([-1, 1], (width, 3, 3, depth)), bits=1,
                pads=(1, 1, 1, 1))
            activation(f"{name}_made", 9 * depth)
            depth = width
        add(MaxPool, f"pool{at}", kernel=(2, 2), stride=(2, 2))
    size, = add(Flatten, "flat")
    for at, width in enumerate(DENSE):
        add(Dense, f"dense{at}", weights=rng.choice([-1, 1], (width, size)), bits=1)
        if at + 1 < len(DENSE):
            activation(f"dense{at}_made", size)
        size = width
    return Graph(tuple(nodes), name="tinbinn")

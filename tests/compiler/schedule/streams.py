"""Networks whose pictures are larger than the memory."""

import numpy as np

from compiler.ir import Conv, Fixed, Graph, Input, MaxPool, Requantize, Threshold
from tests.compiler.codegen.networks import weights


__all__ = ["streamed_network"]


def streamed_network(rng, shape, *, channels=8, kernel=3, stride=1, pads=(0, 0, 0, 0), pool=None,
                     kind="bits", input_type=None):
    """A convolution, a pool of windows of ``pool`` pixels every other pixel if there is one, and a
    convolution of 1 x 1 over what both leave: bits, or integers of 4 bits. It leaves bits."""
    x = Input(name="x", shape=shape, type=input_type or Fixed(8, False))
    nodes = [x, Conv(name="conv", inputs=("x",), bits=8, stride=(stride, stride), pads=pads,
                     weights=weights(rng, (channels, kernel, kernel, shape[2]), 8))]
    low, high = (int(end.min()) for end in nodes[1].sum_range(x.type, True))
    middle = np.mean(nodes[1].sum_range(x.type, True), 0)
    spread = max(int((high - low) ** 0.5) * 16, 2)
    if kind == "bits":
        levels = middle.astype(int) + rng.integers(-spread, spread, channels)
        nodes.append(Threshold(name="made", inputs=("conv",), levels=levels[:, None]))
    else:
        shift = max((high - low).bit_length() - 7, 0)
        nodes.append(Requantize(name="made", inputs=("conv",), shift=shift, bits=4, signed=False))
    if pool:
        nodes.append(MaxPool(name="pooled", inputs=("made",), kernel=(pool, pool), stride=(2, 2)))
    bits = 1 if kind == "bits" else 4
    nodes.append(Conv(name="last", inputs=(nodes[-1].name,), bits=bits,
                      weights=weights(rng, (5, 1, 1, channels), bits)))
    nodes.append(Threshold(name="end", inputs=("last",), levels=np.zeros((1, 1), int)))
    return Graph(tuple(nodes), name="streamed")

"""What kinds of layers a network has."""

from collections.abc import Iterator

from compiler.ir import AveragePool, Binary, Conv, Fixed, Graph, Requantize, Threshold
from compiler.stages import split
from compiler.steps import Layer, Pooling


__all__ = ["KINDS", "kinds_of"]

KINDS = (
    "dense", "convolution", "convolution, strides", "convolution, border",
    "convolution, each channel alone", "convolution, groups",
    "W1A1", "W1A2", "W1A3", "W1A4", "W1A5", "W1A6", "W1A7", "W1A8", "weights of several bits",
    "first layer of 8 bits", "levels, several", "shift",
    "max-pool of bits", "max-pool of integers", "max-pool, overlapping", "average pool",
    "add", "concat", "last layer of sums",
)


def kinds_of(drawn: Graph, graph: Graph) -> set[str]:
    """Return the kinds in a network that was ``drawn``, and became the integer ``graph``."""
    body = split(graph).body
    found = {kind for step in body for kind in kinds_of_step(step)}
    if any(isinstance(node, AveragePool) for node in drawn.nodes):
        found.add("average pool")
    first, last = body[0], body[-1]
    if isinstance(first.input_type, Fixed) and first.input_type.bits == 8:
        found.add("first layer of 8 bits")
    if isinstance(last, Layer) and not last.activation:
        found.add("last layer of sums")
    return found


def kinds_of_step(step) -> Iterator[str]:
    match step:
        case Layer():
            yield from kinds_of_layer(step)
        case Pooling(pool=pool):
            bits = isinstance(step.input_type, Binary)
            yield "max-pool of bits" if bits else "max-pool of integers"
            if any(size > hop for size, hop in zip(pool.kernel, pool.stride, strict=True)):
                yield "max-pool, overlapping"
        case _:
            yield "concat"


def kinds_of_layer(layer: Layer) -> Iterator[str]:
    sums, kind = layer.sums, layer.input_type
    if isinstance(sums, Conv):
        yield "convolution"
        if sums.stride != (1, 1):
            yield "convolution, strides"
        if sums.padded:
            yield "convolution, border"
        if sums.groups > 1:
            alone = sums.groups == layer.input_shape[2]
            yield "convolution, each channel alone" if alone else "convolution, groups"
    else:
        yield "dense"
    yield (f"W1A{kind.bits if isinstance(kind, Fixed) else 1}" if sums.bits == 1 else
           "weights of several bits")
    if isinstance(layer.activation, Threshold) and layer.activation.count > 1:
        yield "levels, several"
    if isinstance(layer.activation, Requantize):
        yield "shift"
    if layer.add:
        yield "add"

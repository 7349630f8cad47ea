"""Folds what stands between integer inputs and the first layer into one integer operation."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    Binary,
    Flatten,
    Graph,
    Node,
    Requantize,
    TensorType,
    value_range,
)
from compiler.passes.chain import is_small, relink, segments
from compiler.passes.fold_activations import (
    fit_shift,
    is_folded,
    offset_of,
    ordinals,
    quantizers,
    threshold_of,
)
from compiler.passes.levels import Steps, measure
from compiler.stages import on_host


__all__ = ["fold_input"]

Array = np.ndarray[Any, Any]


def fold_input(graph: Graph) -> Graph:
    """Make one Threshold of all between an input of small integers and its last quantizer.

    Its levels are measured with the golden model on every value of the input. Nothing is left
    where the integers come through unchanged; where a channel falls, all stays as it is, since
    there are no weights to change the sign of.
    """
    before, *layers = segments(graph)
    ends = quantizers(graph, before)
    if not ends or not is_small(graph.input.type) or is_folded(before, ends[-1]):
        return graph
    chain, rest = tuple(before[1:ends[-1] + 1]), before[ends[-1] + 1:]
    made, steps = graph.type(chain[-1].name), steps_of(graph, chain)
    if (steps.turn < 0).any():
        return graph
    flattens = [node for node in chain if isinstance(node, Flatten)]
    nodes = folded(graph, chain[-1], made, steps)
    behind = (node for layer in layers for node in layer)
    return relink(graph, (*before[:1], *flattens, *nodes, *rest, *behind))


def steps_of(graph: Graph, chain: tuple[Node, ...]) -> Steps:
    """Measure what ``chain`` makes of each channel, or each value if it flattens, of the input."""
    kind = graph.type(chain[-1].name)
    flat = any(isinstance(node, Flatten) for node in chain)
    shape = graph.input.shape
    channels = math.prod(shape) if flat else shape[-1]

    def function(values: Array) -> Array:
        if flat:
            pictures = values.reshape(-1, *shape)
        else:
            pictures = values.reshape(-1, *[1] * (len(shape) - 1), channels)
        return ordinals(on_host(chain, pictures), kind).reshape(-1, channels)

    low, high = value_range(graph.input.type)
    return measure(function, np.full(channels, low), np.full(channels, high),
                   binary=isinstance(kind, Binary))


def folded(graph: Graph, last: Node, made: TensorType, steps: Steps) -> Iterator[Node]:
    """Yield what takes the place of the chain up to ``last``."""
    low, high = value_range(graph.input.type)
    if isinstance(graph.input.type, Binary):
        unchanged = isinstance(made, Binary) and (abs(steps.levels - 0.5) < 1).all()
    else:
        values = np.arange(low + 1, high + 1)
        unchanged = steps.levels.shape[1] == len(values) and (steps.levels == values).all()
    if unchanged:
        offset = 0 if isinstance(made, Binary) else steps.first - low
        if offset:
            yield Affine(name=last.name, offset=float(offset))
        return
    shifted = fit_shift(steps, last) if isinstance(last, Requantize) else None
    if shifted and not shifted[1].any():
        yield shifted[0]
        return
    yield replace(threshold_of(steps), name=last.name)
    yield from offset_of(graph, last, steps)

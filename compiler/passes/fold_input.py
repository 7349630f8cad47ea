"""Folds what stands between integer inputs and the first layer into one integer operation."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.ir import (
    Affine,
    AveragePool,
    Binary,
    Conv,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Requantize,
    TensorType,
    Weighted,
    value_range,
)
from compiler.passes.fold_activations import (
    directions,
    fit_shift,
    is_folded,
    offset_of,
    ordinals,
    quantizers,
    threshold_of,
)
from compiler.passes.levels import Steps, measure
from compiler.passes.rewriting import is_small, rewrite, run_behind
from compiler.stages import on_host


__all__ = ["fold_input"]

Array = np.ndarray[Any, Any]


def fold_input(graph: Graph) -> Graph:
    """Make one Threshold of all between an input of small integers and its last quantizer.

    Its levels are measured with the golden model on every value of the input. Nothing is left
    where the integers come through unchanged. Where a channel falls, all stays as it is, since
    there are no weights to change the sign of; so it does where integers that are not 0 for 0 would
    meet a border of zeros.
    """
    run = run_behind(graph, graph.input)
    ends = quantizers(graph, run)
    if not ends or not is_small(graph.input.type) or is_folded(run, ends[-1]):
        return graph
    chain = tuple(run[1:ends[-1] + 1])
    made, steps = graph.type(chain[-1].name), steps_of(graph, chain)
    if steps is None or (steps.turn < 0).any():
        return graph
    moved = [node for node in chain if isinstance(node, Flatten | MaxPool)]
    integers = list(folded(graph, chain[-1], made, steps))
    if meets_border(graph, chain[-1]) and any(
            isinstance(node, Affine) and np.any(node.offset) for node in integers):
        return graph
    changes: dict[str, list[Node]] = {node.name: [] for node in chain}
    changes[chain[-1].name] = [*moved, *integers]
    return rewrite(graph, changes)


def meets_border(graph: Graph, node: Node) -> bool:
    """Whether what ``node`` makes gets a border of zeros before the next weights."""
    return any(isinstance(user, Conv | AveragePool) and any(user.pads)
               or not isinstance(user, Weighted) and meets_border(graph, user)
               for user in graph.users(node))


def steps_of(graph: Graph, chain: tuple[Node, ...]) -> Steps | None:
    """Measure what ``chain`` makes of each channel, or each value if it flattens, of the input.

    Pools are left out, as they commute with what rises; None where a pool sees a channel fall.
    """
    kind = graph.type(chain[-1].name)
    flat = any(isinstance(node, Flatten) for node in chain)
    pools = [node for node in chain if isinstance(node, MaxPool)]
    shape = graph.shape(pools[-1].name) if pools else graph.input.shape
    channels = math.prod(shape) if flat else shape[-1]
    low, high = value_range(graph.input.type)
    colours = np.full(shape[-1], low), np.full(shape[-1], high)
    ahead = chain[:chain.index(pools[-1]) + 1] if pools else ()
    if (directions(ahead, *colours) < 0).any():
        return None
    pointwise = tuple(node for node in chain if not isinstance(node, MaxPool))

    def function(values: Array) -> Array:
        if flat:
            pictures = values.reshape(-1, *shape)
        else:
            pictures = values.reshape(-1, *[1] * (len(shape) - 1), channels)
        return ordinals(on_host(pointwise, pictures), kind).reshape(-1, channels)

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

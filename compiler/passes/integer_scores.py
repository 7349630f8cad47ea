"""Makes the scores of classes integers, where the classes stay the same."""

from typing import Any

import numpy as np

from compiler.ir import Affine, ArgMax, BatchNorm, Graph, Sum
from compiler.passes.lines import compose
from compiler.passes.rewriting import rewrite, run_ahead
from compiler.stages import on_host


__all__ = ["integer_scores"]

Array = np.ndarray[Any, Any]

FACTOR_BITS = 31  # of scales and offsets, with a sign
MOST = 1 << 22    # sums of all classes that are tried


def integer_scores(graph: Graph) -> Graph:
    """Make one Affine of integers of what lies between exact sums and the ArgMax at the end.

    BatchNorm and Affine give each class a scale and an offset of its own. Both are multiplied by a
    power of two, as large as 32 bits allow, and rounded. Then all sums of all classes are put in
    the order of their real scores, and the integers must rise wherever these do, and nowhere else:
    so the ArgMax chooses the same class for whatever sums. Where they do not, or where all classes
    have one scale and one offset, nothing changes.
    """
    last = graph.output
    chain = run_ahead(graph, last, Affine, BatchNorm)
    if not isinstance(last, ArgMax) or not chain:
        return graph
    source = chain[0].inputs[0]
    kind, channels = graph.type(source), graph.shape(source)[-1]
    if not isinstance(kind, Sum) or (kind.high - kind.low + 1) * channels > MOST:
        return graph
    sums = np.arange(kind.low, kind.high + 1)[:, None].repeat(channels, 1)
    real = on_host(tuple(chain), sums)
    line: tuple[Array | float, Array | float] = (1.0, 0.0)
    for node in chain:
        line = compose(node, line, graph.shape(source))
    scale, offset = (np.broadcast_to(value, channels) for value in line)
    largest = max(np.abs(scale).max(), np.abs(offset).max())
    if not 0 < largest < np.inf or (scale == scale[0]).all() and (offset == offset[0]).all():
        return graph
    shift = FACTOR_BITS - 1 - np.ceil(np.log2(largest))
    factors, added = (np.rint(np.ldexp(value, int(shift))).astype(np.int64)
                      for value in (scale, offset))
    if not same_order(real, sums * factors + added):
        return graph
    made = Affine(name=chain[-1].name, scale=factors, offset=added)
    return rewrite(graph, {node.name: [] for node in chain} | {made.name: [made]})


def same_order(first: Array, second: Array) -> bool:
    """Whether any two elements compare alike in both arrays."""
    order = first.reshape(-1).argsort()
    rises = [np.sign(np.diff(array.reshape(-1)[order])) for array in (first, second)]
    return bool((rises[0] == rises[1]).all())

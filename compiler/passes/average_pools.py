"""Makes means of small integers layers of the accelerator."""

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Affine,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Graph,
    Node,
    Requantize,
    Threshold,
    Weighted,
)
from compiler.passes.lines import Form, Forms
from compiler.passes.rewriting import (
    PassError,
    free_name,
    host_run,
    is_small,
    run_behind,
    with_weights,
)


__all__ = ["average_pools", "ones"]


def average_pools(graph: Graph) -> Graph:
    """Replace each AveragePool that the device must run by sums and a division.

    The sums are those of a convolution of each channel with ones. The quotient belongs to the next
    activation; where the next weights come first, sums of at most 8 bits go to them as they are,
    and a Dense takes all places of wider ones instead of their mean. Means ahead of the first
    weights, and behind the last activation, stay as they are, for the host.
    """
    forms = Forms(graph)
    for node in graph.nodes:
        if isinstance(node, AveragePool) and _on_device(graph, node):
            _replace(forms, node)
    return forms.rewritten()


def _on_device(graph: Graph, pool: Node) -> bool:
    behind = {pool.name}
    for node in graph.nodes:
        if behind.intersection(node.inputs):
            behind.add(node.name)
    return pool not in host_run(graph) and any(
        isinstance(graph[name], Weighted | Threshold | Requantize) for name in behind)


def _replace(forms: Forms, pool: AveragePool) -> None:
    graph = forms.graph
    form = forms.of(pool.inputs[0], pool)
    if form is None:
        raise PassError(f"AveragePool {pool.name!r} must read bits or integers of at most 8 bits, "
                        f"not real numbers: put a quantizer ahead of it")
    ahead: tuple[Node, ...] = ()
    first = form.tensor
    if any(pool.pads) and np.any(form.offset):
        ahead, form = forms.settle(form, pool)
    sums = ones(pool, graph.shape(pool.name)[-1])
    small: tuple[Node, ...] = ()
    if not any(is_small(graph.type(node.name)) for node in run_behind(graph, pool)):
        low, high = sums.sum_range(form.type, zero=sums.padded)
        signed = bool(low.min() < 0)
        bits = int(high.max()).bit_length() + signed
        if bits > 8:
            _into_dense(forms, pool)
            return
        small = Requantize(name=free_name(graph, pool.name, "small"), shift=0, signed=signed,
                           bits=max(bits, (-int(low.min()) - 1).bit_length() + signed)),
    forms.changes[pool.name] = [*ahead, sums, *small, *_mean(graph, pool, form)]
    forms.reads[forms.changes[pool.name][0].name] = (first,)


def ones(pool: AveragePool, channels: int) -> Conv:
    """Return the convolution that makes the sums whose mean ``pool`` makes."""
    return Conv(name=pool.name, weights=np.ones((channels, *pool.kernel, 1), np.int64), bits=2,
                stride=pool.stride, pads=pool.pads, groups=channels)


def _mean(graph: Graph, pool: AveragePool, form: Form) -> tuple[Node, ...]:
    """Return what makes means of real numbers of the sums of integers.

    A BatchNorm divides by the root of the variance, so that the quotient is exact to the last bit,
    as the mean is; it would not be as a product with the reciprocal.
    """
    channels, count = graph.shape(pool.name)[-1], pool.kernel[0] * pool.kernel[1]
    mean: tuple[Node, ...] = (BatchNorm(
        name=free_name(graph, pool.name, "mean"), gamma=np.ones(channels), beta=np.zeros(channels),
        mean=np.zeros(channels), variance=np.full(channels, float(count) ** 2), epsilon=0.0),)
    if form.plain:
        return mean
    return *mean, Affine(name=free_name(graph, pool.name, "values"), scale=form.scale,
                         offset=form.offset)


def _into_dense(forms: Forms, pool: AveragePool) -> None:
    """Let the Dense behind a pool read all places of the windows."""
    graph = forms.graph
    *between, last = run_behind(graph, pool)
    users = graph.users(last)
    dense = users[0] if len(users) == 1 else None
    # what is affine commutes with the mean, but for the zeros of a border
    fits = (isinstance(last, Flatten) and isinstance(dense, Dense) and dense.bits is not None
            and all(isinstance(node, Affine | BatchNorm) and not any(pool.pads)
                    for node in between[1:]))
    if not fits:
        raise PassError(f"AveragePool {pool.name!r} must have a quantizer behind it, or a window "
                        f"whose sums have at most 8 bits, not {pool.kernel}")
    assert isinstance(dense, Dense)
    height, width, channels = graph.shape(pool.inputs[0])
    rows, places, _ = graph.shape(pool.name)
    means = dense.weights.reshape(-1, rows, places, channels)
    weights = np.zeros((dense.channels, height, width, channels), np.int64)
    for row in range(rows):
        top = row * pool.stride[0] - pool.pads[0]
        for place in range(places):
            left = place * pool.stride[1] - pool.pads[1]
            weights[:, max(top, 0):top + pool.kernel[0], max(left, 0):left + pool.kernel[1]] += (
                means[:, row, place][:, None, None])
    made = with_weights(dense, weights.reshape(dense.channels, -1))
    forms.changes[pool.name] = []
    forms.changes[dense.name] = [replace(made, scale=dense.scale / (pool.kernel[0]
                                                                    * pool.kernel[1]))]



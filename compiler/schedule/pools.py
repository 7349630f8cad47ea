"""Max-pools whose windows overlap, made layers of their own where that takes fewer cycles.

What is pooled as it is made is made once for each window that it is in: in windows of 3 x 3 with a
stride of 2, more than twice. A layer that reads it from the memory instead takes a pass for a
window of bits, whose sum tells whether one of them is +1; and one for each value of other types.
It runs on the fixed-point unit, on octets. Where these would take too much of the memory, the
layer before is cut into parts of its channels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir import (
    Binary,
    Concat,
    Conv,
    Fixed,
    Graph,
    MaxPool,
    Node,
    Requantize,
    Threshold,
)
from compiler.passes.rewriting import free_name, repeated
from compiler.stages import places
from hdl.config import Config


__all__ = ["separate_pools"]

LATENCY = 8  # cycles of a pass at the least
SHARE = 2    # what is pooled, with what it is made of and becomes, takes this part of the memory


def separate_pools(graph: Graph, config: Config) -> Graph:
    """Return a graph that gives the same answers, in which layers pool what is worth it."""
    for node in places(graph, "integer")["body"]:
        if not isinstance(node, MaxPool):
            continue
        made = graph[node.inputs[0]]
        if not isinstance(made, Threshold | Requantize) or len(graph.users(made)) > 1:
            continue
        sums = graph[made.inputs[0]]
        if (isinstance(sums, Conv) and len(graph.users(sums)) == 1 and not any(node.pads)
                and pays(graph, sums, node, config)
                and (count := parts_of(graph, node, sums, config))):
            return separate_pools(separated(graph, node, made, sums, count), config)
    return graph


def pays(graph: Graph, conv: Conv, pool: MaxPool, config: Config) -> bool:
    """Whether a layer that pools takes fewer cycles than making values several times does."""
    kind, source = graph.type(pool.inputs[0]), graph.type(conv.inputs[0])
    (height, width, channels), windows = graph.shape(conv.name), graph.shape(pool.name)
    lines, columns = pool.kernel
    on_array = conv.bits == 1 and conv.groups == 1 and (
        isinstance(source, Binary) or isinstance(source, Fixed) and not source.signed)
    pixels = config.p if on_array and conv.stride[1] == 1 else 1
    lanes = config.simd if on_array else config.fixed_simd
    planes = source.bits if on_array and isinstance(source, Fixed) else 1
    taps = conv.kernel[0] * conv.kernel[1]
    words = taps * planes * -(-graph.shape(conv.inputs[0])[2] // conv.groups // lanes)
    tiles = -(-channels // (config.pe if on_array else config.fixed_pe))
    many = windows[0] * windows[1]
    again = many * lines * -(-columns // pixels) - height * -(-width // pixels)
    own = many * -(-channels // config.fixed_simd) * (
        max(lines * columns, LATENCY) if isinstance(kind, Binary) else LATENCY * lines * columns)
    return again * tiles * max(words, LATENCY) > own


def separated(graph: Graph, pool: MaxPool, made: Threshold | Requantize, conv: Conv,
              count: int) -> Graph:
    """Let layers pool what ``conv`` and ``made`` leave, in ``count`` parts of its channels."""
    size = conv.channels // count
    nodes: list[Node] = []
    names = []
    for part in range(count):
        own, name = slice(part * size, (part + 1) * size), f"part{part}"
        sums, small, last = conv, made, pool.name
        if count > 1:
            last = free_name(graph, pool.name, name)
            sums = replace(conv, name=free_name(graph, conv.name, name),
                           weights=conv.weights[own],
                           bias=None if conv.bias is None else conv.bias[own])
            small = replace(made, name=free_name(graph, made.name, name), inputs=(sums.name,))
            if isinstance(small, Threshold) and len(small.levels) > 1:
                small = replace(small, levels=small.levels[own])
        nodes += pooled(graph, pool, sums, small, last)
        names.append(last)
    if count > 1:
        nodes.append(Concat(name=pool.name, inputs=tuple(names)))
    gone = {conv.name, made.name, pool.name}
    at = graph.nodes.index(pool)
    kept = [node for node in graph.nodes[:at] if node.name not in gone]
    return Graph((*kept, *nodes, *graph.nodes[at + 1:]), graph.name, graph.meta)


def pooled(graph: Graph, pool: MaxPool, sums: Conv, small: Threshold | Requantize,
           last: str) -> list[Node]:
    """Return a layer, and one that pools what it leaves, whose last node is called ``last``.

    In place of bits of -1 and +1 there are -1 and 0: the drain makes those as fast as bits
    (`hdl.isa.Activation.RESCALE`). A window has a 0 if its sum is more than that of all -1.
    """
    name = free_name(graph, last, "of1")
    kind = graph.type(pool.inputs[0])
    if isinstance(small, Threshold) and isinstance(kind, Binary):
        levels = np.broadcast_to(small.levels[:, 0], sums.channels)
        bias = -levels if sums.bias is None else sums.bias - levels
        signs = free_name(graph, small.name, "less1")
        ones = np.ones((sums.channels, *pool.kernel, 1), np.int64)
        return [replace(sums, bias=bias),
                Requantize(name=signs, inputs=(sums.name,), shift=0, bits=1, signed=True),
                Conv(name=name, inputs=(signs,), weights=ones, bits=1, groups=sums.channels,
                     stride=pool.stride),
                Threshold(name=last, inputs=(name,),
                          levels=np.array([[1 - pool.kernel[0] * pool.kernel[1]]]))]
    assert isinstance(kind, Fixed)
    copy = free_name(graph, last, "of1.copy")
    return [sums, small,
            replace(repeated(name, np.ones(sums.channels, np.int64)), inputs=(small.name,)),
            Requantize(name=copy, inputs=(name,), shift=0, bits=kind.bits, signed=kind.signed),
            replace(pool, name=last, inputs=(copy,))]


def parts_of(graph: Graph, pool: MaxPool, conv: Conv, config: Config) -> int:
    """Return in how many parts of its channels a layer is made, so that they fit the memory; 0
    where they do not.

    A part has whole words of channels. The first layer is never cut, as it may run in stripes.
    """
    body = places(graph, "integer")["body"]
    if conv is body[0]:
        return 1
    (height, width, channels), after = graph.shape(conv.name), graph.shape(pool.name)
    before = graph.shape(conv.inputs[0])
    kind, source = graph.type(pool.inputs[0]), graph.type(conv.inputs[0])
    others = octets(before, source) + octets(after, kind)
    room = config.memory_depth * config.memory_width // 8 // SHARE
    whole = height * -(-width // config.p) * config.p * channels
    fitting = [count for count in range(1, channels + 1)
               if channels % count == 0 and (count == 1 or channels // count % config.simd == 0)
               and others + whole // count <= room]
    return fitting[0] if fitting else 0


def octets(shape: tuple[int, ...], kind: object) -> int:
    """Octets that a tensor takes as planes of bits, more or less."""
    count = shape[0] * shape[1] * shape[2]
    return count * (kind.bits if isinstance(kind, Fixed) else 1) // 8

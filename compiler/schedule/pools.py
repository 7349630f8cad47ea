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
                and pays(graph, sums, node, config)):
            return separate_pools(separated(graph, node, made, sums, config), config)
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
              config: Config) -> Graph:
    """Let layers pool what ``conv`` and ``made`` leave, for some channels at a time."""
    channels = conv.channels
    count = parts_of(graph, pool, conv, config)
    size = channels // count
    nodes: list[Node] = []
    for part in range(count):
        own = slice(part * size, (part + 1) * size)
        name = f"part{part}"
        sums, small = conv, made
        if count > 1:
            sums = replace(conv, name=free_name(graph, conv.name, name),
                           weights=conv.weights[own],
                           bias=None if conv.bias is None else conv.bias[own])
            small = replace(made, name=free_name(graph, made.name, name), inputs=(sums.name,))
            if isinstance(small, Threshold) and len(small.levels) > 1:
                small = replace(small, levels=small.levels[own])
        nodes += [sums, small]
        nodes += pooled(graph, pool, small, size, name if count > 1 else None)
    if count > 1:
        parts = tuple(node.name for node in nodes if node.name.startswith(f"{pool.name}.part")
                      and isinstance(node, Threshold | MaxPool))
        nodes.append(Concat(name=pool.name, inputs=parts))
    gone = {conv.name, made.name, pool.name}
    at = graph.nodes.index(pool)
    kept = [node for node in graph.nodes[:at] if node.name not in gone]
    return Graph((*kept, *nodes, *graph.nodes[at + 1:]), name=graph.name)


def pooled(graph: Graph, pool: MaxPool, source: Node, channels: int,
           part: str | None) -> list[Node]:
    """Return the layer that pools ``source``; the last node has the name of the pool, or of its
    part."""
    last = free_name(graph, pool.name, part) if part else pool.name
    name = free_name(graph, last, "of1")
    kind = graph.type(pool.inputs[0])
    if isinstance(kind, Binary):
        size = pool.kernel[0] * pool.kernel[1]
        ones = np.ones((channels, *pool.kernel, 1), np.int64)
        return [Conv(name=name, inputs=(source.name,), weights=ones, bits=1, groups=channels,
                     stride=pool.stride),
                Threshold(name=last, inputs=(name,), levels=np.array([[2 - size]]))]
    assert isinstance(kind, Fixed)
    copy = free_name(graph, last, "of1.copy")
    return [replace(repeated(name, np.ones(channels, np.int64)), inputs=(source.name,)),
            Requantize(name=copy, inputs=(name,), shift=0, bits=kind.bits, signed=kind.signed),
            replace(pool, name=last, inputs=(copy,))]


def parts_of(graph: Graph, pool: MaxPool, conv: Conv, config: Config) -> int:
    """Return in how many parts of its channels a layer is made, so that they fit the memory.

    A part has whole words of channels. What the host writes is never read twice.
    """
    (height, width, channels), after = graph.shape(conv.name), graph.shape(pool.name)
    before = graph.shape(conv.inputs[0])
    kind, source = graph.type(pool.inputs[0]), graph.type(conv.inputs[0])
    others = octets(before, source) + octets(after, kind)
    room = config.memory_depth * config.memory_width // 8 // SHARE
    whole = height * -(-width // config.p) * config.p * channels
    fitting = [count for count in range(1, channels + 1)
               if channels % count == 0 and channels // count % config.simd == 0
               and others + whole // count <= room]
    body = places(graph, "integer")["body"]
    return fitting[0] if fitting and conv is not body[0] else 1


def octets(shape: tuple[int, ...], kind: object) -> int:
    """Octets that a tensor takes as planes of bits, more or less."""
    count = shape[0] * shape[1] * shape[2]
    return count * (kind.bits if isinstance(kind, Fixed) else 1) // 8

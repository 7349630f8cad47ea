"""Writes each quantizer as one that makes integers, and the way back to real values."""

import math
from collections.abc import Iterator

from compiler.ir import Affine, Dense, Graph, Node, Quant, Requantize, Threshold
from compiler.passes.chain import PassError, free_name, relink


__all__ = ["expose_integers"]

MAX_BITS = 8


def expose_integers(graph: Graph) -> Graph:
    """Replace each Quant by Quant, Affine, Requantize (integers) and Affine (their values).

    The Quant stays in front, since its division and its limits are what must be kept to the last
    bit: behind it the integers are within a rounding error of themselves, so Requantize finds
    them exactly. It goes where it has nothing to add: a power of two for a scale, all values.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _exposed(graph, node) if isinstance(node, Quant) else [node]
    return relink(graph, nodes)


def _exposed(graph: Graph, node: Quant) -> Iterator[Node]:
    last = _last_quantizer(graph, node)
    if node.bits > MAX_BITS and not last:
        yield node
        return
    if node.bits > MAX_BITS:
        raise PassError(f"Quant {node.name!r} must leave at most {MAX_BITS} bits, "
                        f"not {node.bits}")
    mantissa, exponent = math.frexp(node.scale)
    exact = mantissa == 0.5
    if not exact or node.narrow:
        yield Quant(**{**vars(node), "name": free_name(graph, node.name, "real")})
    yield Affine(name=free_name(graph, node.name, "steps"), scale=1 / node.scale,
                 offset=node.zero_point)
    yield Requantize(name=node.name, shift=0, bits=node.bits, signed=node.signed,
                     fl=1 - exponent if exact else 0)
    yield Affine(name=free_name(graph, node.name, "centred"), offset=-node.zero_point)
    yield Affine(name=free_name(graph, node.name, "values"), scale=node.scale)


def _last_quantizer(graph: Graph, node: Quant) -> bool:
    """Whether no other quantizer follows before the next Dense layer or the end."""
    for follower in graph.nodes[graph.nodes.index(node) + 1:]:
        if isinstance(follower, Dense):
            return True
        if isinstance(follower, Quant | Threshold | Requantize):
            return False
    return True

"""Writes each quantizer as one that makes integers, and the way back to real values."""

import math
from collections.abc import Iterator

from compiler.ir import Affine, Graph, Node, Quant, Requantize, Threshold, Weighted
from compiler.passes.rewriting import PassError, free_name, rewrite


__all__ = ["expose_integers"]

MAX_BITS = 8


def expose_integers(graph: Graph) -> Graph:
    """Replace each Quant by Quant, Affine, Requantize (integers) and Affine (their values).

    The Quant stays in front, since its division and its limits are what must be kept to the last
    bit: behind it the integers are within a rounding error of themselves, so Requantize finds
    them exactly. It goes where it has nothing to add: a power of two for a scale, all values.
    """
    exposed = {node.name: list(_exposed(graph, node)) for node in graph.nodes
               if isinstance(node, Quant)}
    return rewrite(graph, {name: nodes for name, nodes in exposed.items() if nodes})


def _exposed(graph: Graph, node: Quant) -> Iterator[Node]:
    if node.bits > MAX_BITS:
        if not _last_quantizer(graph, node):
            return
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


def _last_quantizer(graph: Graph, node: Node) -> bool:
    """Whether a way leads from ``node`` to weights or to the end without another quantizer."""
    users = graph.users(node)
    return not users or any(
        isinstance(user, Weighted)
        or not isinstance(user, Quant | Threshold | Requantize) and _last_quantizer(graph, user)
        for user in users)

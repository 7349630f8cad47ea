"""What the passes share: building chains, cutting them, changing the sign of weights."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import Binary, Dense, Fixed, Graph, Node, TensorType


__all__ = ["PassError", "free_name", "is_small", "negate", "relink", "segments"]

Array = np.ndarray[Any, Any]


class PassError(UserError):
    """A network that has no exact form in integers."""


def relink(graph: Graph, nodes: Iterable[Node]) -> Graph:
    """Return ``graph`` with ``nodes`` instead of its own, each reading the one before it."""
    chain: list[Node] = []
    for node in nodes:
        inputs = (chain[-1].name,) if chain else ()
        chain.append(node if node.inputs == inputs else replace(node, inputs=inputs))
    return Graph(tuple(chain), graph.name, graph.meta)


def segments(graph: Graph) -> list[list[Node]]:
    """Cut the chain ahead of each Dense: the Input and what follows it, then the layers."""
    parts: list[list[Node]] = [[]]
    for node in graph.nodes:
        if isinstance(node, Dense):
            parts.append([])
        parts[-1].append(node)
    return parts


def free_name(graph: Graph, stem: str, what: str) -> str:
    """Return a name of no node of ``graph``, for what a pass adds to the node ``stem``."""
    taken = {node.name for node in graph.nodes}
    name = f"{stem}.{what}"
    number = 1
    while name in taken:
        number += 1
        name = f"{stem}.{what}{number}"
    return name


def is_small(kind: TensorType) -> bool:
    """Whether the accelerator can read it: bits, or integers of at most 8 bits."""
    return isinstance(kind, Binary) or isinstance(kind, Fixed) and kind.bits <= 8


def negate(dense: Dense, turn: Array) -> Dense:
    """Change the sign of weights (and bias) where ``turn`` is -1, a row or a column of them."""
    assert dense.bits is not None
    weights = dense.weights * turn
    bits = dense.bits
    if bits > 1 and weights.max() >= 1 << bits - 1:
        bits += 1
    if bits > 8:
        row, column = np.argwhere(weights >= 1 << bits - 2)[0]
        raise PassError(f"Dense {dense.name!r} must have no weight below -127 where its sign has "
                        f"to change, not {dense.weights[row, column]} in channel {row}")
    bias = dense.bias
    if bias is not None and turn.shape == (dense.channels, 1):
        bias = bias * turn[:, 0]
    return replace(dense, weights=weights, bits=bits, bias=bias)

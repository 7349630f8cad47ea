"""Writes a network in the format of another program: tinier-nn's ``model.def``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.frontends import tinier_nn
from compiler.ir import Binary, Dense, Graph, Node, Threshold
from compiler.stages import check_stage, spoken


__all__ = ["ExportError", "export"]

Array = np.ndarray[Any, Any]

FORMAT = "to be written as tinier-nn's model.def"


class ExportError(UserError):
    """A network that the format cannot hold."""


def export(graph: Graph, out: str | Path) -> None:
    """Write an integer graph to the file ``out``, as `compiler.frontends.tinier_nn` reads it.

    Raises ExportError, naming the node, for a network that is not of dense layers of bits whose
    sums give +1 where they are more than 0. A file that was read is written again to the byte.
    """
    out = Path(out)
    text = tinier_nn.text_of(_layers(graph))
    beside = out.with_name(f".{out.name}.part")
    try:
        beside.write_bytes(text)
        os.replace(beside, out)
    except OSError as error:
        raise UserError(f"'{out}' must be a file that can be written, but: "
                        f"{error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _layers(graph: Graph) -> list[Array]:
    """Return the weights of each layer, (outputs, inputs)."""
    check_stage(graph, "integer")
    if not isinstance(kind := graph.type(graph.input.name), Binary):
        raise ExportError(f"Input {graph.input.name!r} must be bits {FORMAT}, not {spoken(kind)}")
    sums, activations = graph.nodes[1::2], graph.nodes[2::2]
    layers = []
    for at, node in enumerate(sums):
        if not isinstance(node, Dense):
            raise _wrong(node, "be a Dense layer", type(node).__name__)
        if node.bits != 1:
            raise _wrong(node, "have weights of 1 bit", node.bits)
        if node.bias is not None and node.bias.any():
            raise _wrong(node, "have no bias", int(node.bias[node.bias != 0][0]))
        for count, what in zip(node.weights.shape, ("outputs", "inputs"), strict=True):
            if count % tinier_nn.WORD_BITS:
                raise _wrong(node, f"have {what} in multiples of {tinier_nn.WORD_BITS}", count)
        if at == len(activations):
            raise _wrong(node, "be followed by a Threshold", "by nothing")
        _check_levels(activations[at], node)
        layers.append(node.weights)
    return layers


def _check_levels(node: Node, sums: Dense) -> None:
    """Refuse what does not give +1 just where a sum is more than 0."""
    if not isinstance(node, Threshold) or node.count != 1:
        raise _wrong(node, "be a Threshold of one level",
                     f"of {node.count}" if isinstance(node, Threshold) else type(node).__name__)
    levels = node.levels[:, 0]
    others = np.flatnonzero(~np.isin(levels, tinier_nn.LEVELS))
    if others.size:
        raise _wrong(node, f"give +1 where a sum of {sums.name!r} is more than 0",
                     f"from {levels[others[0]]} on, as channel {others[0]} does")


def _wrong(node: Node, requirement: str, found: object) -> ExportError:
    return ExportError(f"{type(node).__name__} {node.name!r} must {requirement} {FORMAT}, "
                       f"not {found}")

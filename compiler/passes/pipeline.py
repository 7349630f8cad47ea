"""The passes in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.ir import Graph
from compiler.passes.average_pools import average_pools
from compiler.passes.drop_lengths import drop_lengths
from compiler.passes.drop_no_ops import drop_no_ops
from compiler.passes.expose_integers import expose_integers
from compiler.passes.expose_sums import expose_sums
from compiler.passes.fill_layers import fill_layers
from compiler.passes.find_integer_weights import find_integer_weights
from compiler.passes.fold_activations import fold_activations
from compiler.passes.fold_bias import fold_bias
from compiler.passes.fold_input import fold_input
from compiler.passes.integer_adds import integer_adds
from compiler.passes.integer_scores import integer_scores
from compiler.passes.lift_relu import lift_relu
from compiler.passes.match_types import match_types
from compiler.passes.push_affines import push_affines
from compiler.passes.quantize_floats import quantize_floats
from compiler.passes.sink_concats import sink_concats
from compiler.passes.split_forks import split_forks
from compiler.stages import check_stage


__all__ = ["PIPELINE", "to_integer"]

Array = np.ndarray[Any, Any]

Pass = Callable[[Graph], Graph]


def until_stable(*passes: Pass) -> Pass:
    """Return a pass that repeats ``passes`` until they leave all nodes as they are."""
    def repeated(graph: Graph) -> Graph:
        before: tuple[object, ...] = ()
        while graph.nodes != before:
            before = graph.nodes
            for rewrite in passes:
                graph = rewrite(graph)
        return graph

    return repeated


PIPELINE: tuple[Pass, ...] = (
    drop_no_ops,
    find_integer_weights,
    expose_integers,
    sink_concats,
    drop_lengths,
    split_forks,
    lift_relu,
    fold_input,
    average_pools,
    until_stable(  # a Threshold counts from 0, whatever its quantizer did: the next layer has it
        push_affines,
        expose_sums,
        integer_adds,
        fold_activations,
        fill_layers,
    ),
    match_types,
    fold_bias,
    drop_no_ops,
    integer_scores,
)


def to_integer(graph: Graph, calibration: Array | None = None, bits: int = 8) -> Graph:
    """Return the integer-only graph that gives the same answers (`compiler.stages`).

    A network without quantizers gets some, of ``bits`` bits, from the inputs ``calibration``
    (batch, ...), by `quantize_floats`; this alone changes answers. Raises a UserError of one
    sentence for what has no exact integer form.
    """
    check_stage(graph, "imported")
    graph = quantize_floats(graph, calibration, bits)
    for rewrite in PIPELINE:
        graph = rewrite(graph)
        check_stage(graph, "imported")
    check_stage(graph, "integer")
    return graph

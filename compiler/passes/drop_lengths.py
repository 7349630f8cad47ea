"""Drops the fractional lengths of integers that are joined."""

from dataclasses import replace

from compiler.ir import Concat, Graph, Node, Requantize, Weighted
from compiler.passes.rewriting import rewrite


__all__ = ["drop_lengths"]


def drop_lengths(graph: Graph) -> Graph:
    """Make all that a Concat joins plain integers, since what they stand for may differ.

    Their scales are nodes of their own by now, and go into the weights that read the Concat.
    """
    return rewrite(graph, {node.name: [replace(node, fl=0)] for node in graph.nodes
                           if isinstance(node, Requantize) and node.fl and _joined(graph, node)})


def _joined(graph: Graph, node: Node) -> bool:
    """Whether a Concat is behind ``node``, ahead of any weights."""
    return any(isinstance(user, Concat)
               or not isinstance(user, Weighted) and _joined(graph, user)
               for user in graph.users(node))

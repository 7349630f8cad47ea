"""Brings joins into the form that the accelerator has: tensors side by side in its memory."""

from __future__ import annotations

from dataclasses import replace

from compiler.ir import Concat, Conv, Flatten, Graph, MaxPool, Node, Requantize, Threshold
from compiler.passes.copies import copied
from compiler.passes.drop_lengths import drop_lengths
from compiler.passes.match_types import match_types
from compiler.passes.merge_adds import merge_adds
from compiler.passes.rewriting import free_name, rewrite
from compiler.stages import check_stage, places


__all__ = ["copy_parts", "place_joins", "sink_joins"]


def place_joins(graph: Graph) -> Graph:
    """Return an integer graph that gives the same answers, whose layers add nothing but products.

    Each tensor is a part of one Concat at most, and can lie there. Raises a UserError for a graph
    that has no such form.
    """
    check_stage(graph, "integer")
    for rewriting in (merge_adds, sink_joins, copy_parts, drop_lengths, match_types):
        graph = rewriting(graph)
    return graph


def sink_joins(graph: Graph) -> Graph:
    """Pool what a Concat joins rather than what it makes, if nothing else reads that."""
    for node in graph.nodes:
        join = graph[node.inputs[0]] if isinstance(node, MaxPool) else node
        if isinstance(node, MaxPool) and isinstance(join, Concat) and len(graph.users(join)) == 1:
            pools: list[Node] = [
                replace(node, name=free_name(graph, node.name, f"part{part}"), inputs=(source,))
                for part, source in enumerate(join.inputs)]
            reads = {pool.name: pool.inputs for pool in pools}
            reads[node.name] = tuple(pool.name for pool in pools)
            return sink_joins(rewrite(graph, {node.name: [
                *pools, Concat(name=node.name)]}, reads))
    return graph


def copy_parts(graph: Graph) -> Graph:
    """Give a Concat and a MaxPool a copy of what cannot be made for them alone.

    A layer leaves its results in one place: in that of the Concat, or pooled. So what is joined
    twice, or pooled and read by others, is made again by a layer; and so is what the host made, or
    what others read by windows of several lines, since these are further apart in a Concat, or
    what the host is to read.
    """
    body = places(graph, "integer")["body"]
    if isinstance(body[-1], Concat):
        layer, small = copied(graph, body[-1].name, "of1", body[-1].name)
        return copy_parts(rewrite(graph, {body[-1].name: [body[-1], layer, small]}))
    seen: set[str] = set()
    for node in body:
        if isinstance(node, MaxPool) and not _poolable(graph, body, node.inputs[0]):
            layer, small = copied(graph, node.name, "of1", node.inputs[0])
            return copy_parts(rewrite(graph, {node.name: [layer, small, node]}))
        for at, name in enumerate(node.inputs if isinstance(node, Concat) else ()):
            made = graph[name]
            if made not in body or isinstance(made, Flatten) or name in seen or _seen_by_lines(
                    graph, made):
                layer, small = copied(graph, node.name, f"of{at + 1}", name)
                names = (*node.inputs[:at], small.name, *node.inputs[at + 1:])
                return copy_parts(rewrite(
                    graph, {node.name: [layer, small, node]},
                    {layer.name: (name,), small.name: (layer.name,), node.name: names}))
            seen.add(name)
    return graph


def _poolable(graph: Graph, body: tuple[Node, ...], name: str) -> bool:
    """Whether a layer can pool a tensor as it makes it."""
    made = graph[name]
    return (made in body and isinstance(made, Threshold | Requantize | MaxPool)
            and len(graph.users(made)) == 1)


def _seen_by_lines(graph: Graph, node: Node) -> bool:
    """Whether a layer reads a tensor by windows of several lines."""
    lines = len(graph.shape(node.name)) == 3 and graph.shape(node.name)[0] > 1
    return any(isinstance(user, Conv) and user.kernel[0] > 1
               or isinstance(user, Flatten) and lines for user in graph.users(node))

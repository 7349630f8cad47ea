"""Gives each reader of real numbers, or of sums, a tensor of its own."""

from dataclasses import replace

from compiler.ir import Graph, Input, Node
from compiler.passes.rewriting import free_name, is_line


__all__ = ["split_forks"]


def split_forks(graph: Graph) -> Graph:
    """Repeat each node with several readers, unless small integers are what they share.

    An activation has no place but behind its own sums, so sums that two activations read are made
    twice. What is a scale and an offset of small integers may be shared: it goes into weights.
    """
    shared = {node.name for node in graph.nodes if is_line(graph, node)}
    made: list[Node] = []            # in reverse
    readers: dict[str, list[tuple[int, int]]] = {}  # by tensor, places in `made` and in its inputs
    taken: list[str] = []
    for node in reversed(graph.nodes):
        places = readers.get(node.name, [])
        single = node.name in shared or isinstance(node, Input) or len(places) < 2
        for at, group in enumerate([places] if single else [[place] for place in places]):
            name = node.name
            if at:
                name = _unused(free_name(graph, node.name, "again"), taken)
            for index, position in group:
                user = made[index]
                inputs = list(user.inputs)
                inputs[position] = name
                made[index] = replace(user, inputs=tuple(inputs))
            made.append(node if name == node.name else replace(node, name=name))
            for position, source in enumerate(node.inputs):
                readers.setdefault(source, []).append((len(made) - 1, position))
    if len(made) == len(graph.nodes):
        return graph
    return Graph(tuple(reversed(made)), graph.name, graph.meta)


def _unused(name: str, taken: list[str]) -> str:
    """Return ``name``, with a number if it is among those ``taken``, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.append(found)
    return found

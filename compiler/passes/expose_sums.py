"""Takes scales and real biases out of layers of integer weights."""

from dataclasses import replace

from compiler.ir import Affine, Graph, Node, Real, Weighted
from compiler.passes.rewriting import free_name, rewrite


__all__ = ["expose_sums"]


def expose_sums(graph: Graph) -> Graph:
    """Split each Dense or Conv that reads integers into its exact sums and an Affine of them."""
    changes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if not isinstance(node, Weighted) or node.bits is None:
            continue
        reads, makes = graph.type(node.inputs[0]), graph.type(node.name)
        if isinstance(reads, Real) or not isinstance(makes, Real):
            continue
        changes[node.name] = [
            replace(node, scale=1.0, bias=None),
            Affine(name=free_name(graph, node.name, "values"), scale=node.scale,
                   offset=0.0 if node.bias is None else node.bias)]
    return rewrite(graph, changes)

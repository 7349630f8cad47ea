"""Takes scales and real biases out of layers of integer weights."""

from dataclasses import replace

from compiler.ir import Affine, Dense, Graph, Node, Real
from compiler.passes.chain import free_name, relink


__all__ = ["expose_sums"]


def expose_sums(graph: Graph) -> Graph:
    """Split each Dense that reads integers into its exact sums and an Affine of them."""
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(node)
        if not isinstance(node, Dense) or node.bits is None:
            continue
        reads, makes = graph.type(node.inputs[0]), graph.type(node.name)
        if isinstance(reads, Real) or not isinstance(makes, Real):
            continue
        nodes[-1] = replace(node, scale=1.0, bias=None)
        nodes.append(Affine(name=free_name(graph, node.name, "values"), scale=node.scale,
                            offset=0.0 if node.bias is None else node.bias))
    return relink(graph, nodes)

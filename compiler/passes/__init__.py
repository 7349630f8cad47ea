"""Functions from graph to graph, one file each; `pipeline` lists them in their order.

The contract of a pass: it takes any graph, leaves what it does not know as it
is, keeps the names of the tensors that it keeps, and returns a graph that gives the same answers.
"""

from compiler.passes.pipeline import PIPELINE, to_integer


__all__ = ["PIPELINE", "to_integer"]

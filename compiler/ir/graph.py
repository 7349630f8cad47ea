"""Operations in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from compiler.ir.operations import Input, Node
from compiler.ir.types import GraphError, Result, TensorType


__all__ = ["Graph"]


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, one input, one output. Building one checks it.

    ``meta`` is for people and hosts: ``classes`` (names), ``picture`` (what a file of one must
    become: ``shape``, and the value of ``white``), ``votes`` (of bits: the class is what most of
    them say, 0 or 1), ``source``, ...
    """

    nodes: tuple[Node, ...]
    name: str = "net"
    meta: Mapping[str, Any] = field(default_factory=dict)
    _results: Mapping[str, Result] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise GraphError(f"Graph {self.name!r} must begin with an Input")
        made: dict[str, Result] = {}
        for node in self.nodes:
            if node.name in made:
                raise GraphError(f"Node {node.name!r} is defined twice")
            for name in node.inputs:
                if name not in made:
                    raise GraphError(
                        f"Node {node.name!r} reads {name!r}, which no earlier node makes"
                    )
            if isinstance(node, Input) != (node is self.nodes[0]):
                raise GraphError(f"Node {node.name!r} must be the only Input")
            made[node.name] = node.result(*(made[name] for name in node.inputs))
        object.__setattr__(self, "_results", made)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except KeyError:
            raise GraphError(f"Graph {self.name!r} has no node {name!r}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without the batch axis."""
        return self._results[name][0]

    def type(self, name: str) -> TensorType:
        """Type of a tensor."""
        return self._results[name][1]

    @property
    def input(self) -> Input:
        assert isinstance(self.nodes[0], Input)
        return self.nodes[0]

    @property
    def output(self) -> Node:
        return self.nodes[-1]

    def users(self, node: Node) -> list[Node]:
        return [user for user in self.nodes if node.name in user.inputs]

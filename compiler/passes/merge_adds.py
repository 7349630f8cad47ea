"""Makes of each Add the weights of one layer: sums of sums are sums over more channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.ir import (
    Add,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Graph,
    Node,
    Requantize,
    TensorType,
    Threshold,
)
from compiler.passes.copies import copied
from compiler.passes.rewriting import (
    MAX_BITS,
    PassError,
    free_name,
    is_small,
    rewrite,
    ungrouped,
    with_weights,
)
from compiler.stages import layer_of


__all__ = ["merge_adds"]

Array = np.ndarray[Any, Any]
Sides = tuple[int, int, int, int]

SIGNS = Fixed(2)  # holds bits among integers


@dataclass(frozen=True)
class Term:
    """What an Add sums: a convolution of ``source``, or ``source`` itself, by weights of 1."""

    source: str
    size: tuple[int, ...]  # of the picture; (1, 1) of a flat tensor
    weights: Array         # (outputs, lines, columns, inputs)
    bias: Array | None = None
    stride: tuple[int, int] = (1, 1)
    pads: Sides = (0, 0, 0, 0)

    @property
    def single(self) -> bool:
        """Whether it sees one place alone."""
        return self.weights.shape[1:3] == (1, 1) and not any(self.pads)


def merge_adds(graph: Graph) -> Graph:
    """Replace each Add of an integer graph by one layer.

    The sums of two convolutions are those of one over the channels of both inputs, and a tensor of
    small integers is a convolution of itself whose weights are 0 and 1. Where both read one tensor,
    weights are added; else the tensors are joined. Raises PassError where the two do not see places
    that lie alike.
    """
    changes: dict[str, list[Node]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        taken = [user for user in graph.users(node) if not isinstance(user, Add)]
        if isinstance(node, Add) and (taken or node is graph.output):
            changes[node.name] = _Merger(graph, node, reads).merged()
    return rewrite(graph, changes, reads)


def _terms(graph: Graph, node: Add) -> list[Term]:
    """Return all that is summed, through Adds of Adds."""
    found = []
    for name in node.inputs:
        made, shape = graph[name], graph.shape(name)
        if isinstance(made, Add):
            found += _terms(graph, made)
        elif is_small(graph.type(name)):
            weights = np.eye(shape[-1], dtype=np.int64)[:, None, None]
            found.append(Term(name, shape[:-1] or (1, 1), weights))
        elif isinstance(made, Conv):
            source, = made.inputs
            found.append(Term(source, graph.shape(source)[:-1],
                              ungrouped(made.weights, made.groups), made.bias, made.stride,
                              made.pads))
        elif isinstance(made, Dense):
            found.append(Term(made.inputs[0], (1, 1), made.weights[:, None, None], made.bias))
        else:
            raise PassError(f"Add {node.name!r} must add sums of a layer, or small integers, not "
                            f"{type(made).__name__} {name!r}")
    return found


class _Merger:
    """Makes the layer of an Add; ``reads`` is told what new nodes read."""

    def __init__(self, graph: Graph, node: Add, reads: dict[str, tuple[str, ...]]) -> None:
        self.graph = graph
        self.node = node
        self.reads = reads
        self.run: list[Node] = []
        self.kinds: dict[str, TensorType] = {}  # of tensors that are new

    def merged(self) -> list[Node]:
        """Return the nodes that make the sums, the layer last."""
        shape = self.graph.shape(self.node.name)
        terms = self._alike(_terms(self.graph, self.node))
        terms, pads = _in_one_window(terms, shape[:-1] or (1, 1))
        sources = list(dict.fromkeys(term.source for term in terms))
        weights = np.concatenate([
            np.sum([term.weights for term in terms if term.source == source], 0)
            for source in sources], -1)
        name = self._name()
        made: Dense | Conv = Dense(name=name, weights=weights[:, 0, 0], bits=1)
        if len(shape) > 1:
            made = Conv(name=name, weights=weights, bits=1, stride=terms[0].stride, pads=pads)
        biases = [term.bias for term in terms if term.bias is not None]
        made = replace(with_weights(made, made.weights),
                       bias=np.sum(biases, 0) if biases else None)
        if len(sources) > 1:
            join = Concat(name=free_name(self.graph, self.node.name, "parts"))
            self.reads[join.name] = tuple(self._of_one_kind(sources))
            self.run.append(join)
            sources = [join.name]
        self.reads[made.name] = tuple(sources)
        return [*self.run, made]

    def _name(self) -> str:
        """Name the layer as the one that adds, unless the sums are the result: as these then."""
        layer = layer_of(self.node, self.graph)
        assert layer is not None
        read = any(isinstance(user, Threshold | Requantize)
                   for user in self.graph.users(self.node))
        return layer.name if read else self.node.name

    def _alike(self, terms: Sequence[Term]) -> list[Term]:
        """Return ``terms`` that read pictures of one size, with one stride.

        Where one of them sees single places, every so many, a layer picks these out first.
        """
        out = self.graph.shape(self.node.name)[:-1]
        most = max(terms, key=lambda term: (not term.single,
                                            (term.size, term.stride) == (out, (1, 1))))
        found = []
        for term in terms:
            if (term.size, term.stride) != (most.size, most.stride):
                if not term.single or (most.size, most.stride) != (out, (1, 1)):
                    raise PassError(
                        f"Add {self.node.name!r} must add what is made of pictures of one size, "
                        f"with one stride, not of {_spoken(most)} and {_spoken(term)}")
                picked = self._copy(term.source, self._kind(term.source), term.stride)
                term = replace(term, source=picked, size=out, stride=(1, 1))
            found.append(term)
        return found

    def _of_one_kind(self, sources: Sequence[str]) -> list[str]:
        """Return the tensors, with bits made integers where they are joined to such."""
        kinds = [self._kind(name) for name in sources]
        if all(isinstance(kind, Binary) for kind in kinds):
            return list(sources)
        fixed = [kind if isinstance(kind, Fixed) else SIGNS for kind in kinds]
        signed = any(kind.signed for kind in fixed)
        bits = max(kind.bits + (signed and not kind.signed) for kind in fixed)
        if bits > MAX_BITS:
            raise PassError(f"Add {self.node.name!r} must add what is made of tensors that "
                            f"integers of {MAX_BITS} bits hold together, not {bits}")
        return [self._copy(name, SIGNS) if isinstance(kind, Binary) else name
                for name, kind in zip(sources, kinds, strict=True)]

    def _kind(self, name: str) -> TensorType:
        return self.kinds.get(name) or self.graph.type(name)

    def _copy(self, source: str, kind: TensorType, stride: tuple[int, int] = (1, 1)) -> str:
        """Add a layer that makes a tensor again; returns its name."""
        layer, made = copied(self.graph, self.node.name, f"of{len(self.run) + 1}", source, kind,
                             stride)
        self.reads[layer.name], self.reads[made.name] = (source,), (layer.name,)
        self.run += [layer, made]
        self.kinds[made.name] = kind
        return made.name


def _spoken(term: Term) -> str:
    return f"{term.size[0]} x {term.size[1]} with {term.stride}"


def _in_one_window(terms: Sequence[Term], out: tuple[int, ...]) -> tuple[list[Term], Sides]:
    """Bring the weights of all terms into windows of one size; returns its borders, too.

    At the end there is as much border as the last of ``out`` places needs: never so much that one
    more place would fit, since no term has one.
    """
    stride, size = terms[0].stride, terms[0].size
    before = [max(term.pads[axis] for term in terms) for axis in (0, 1)]
    window = [max(before[axis] - term.pads[axis] + term.weights.shape[1 + axis] for term in terms)
              for axis in (0, 1)]
    behind = [max((out[axis] - 1) * stride[axis] + window[axis] - size[axis] - before[axis], 0)
              for axis in (0, 1)]
    found = []
    for term in terms:
        sides = []
        for axis in (0, 1):
            first = before[axis] - term.pads[axis]
            sides.append((first, window[axis] - first - term.weights.shape[1 + axis]))
        found.append(replace(term, weights=np.pad(term.weights, [(0, 0), *sides, (0, 0)])))
    return found, (before[0], before[1], behind[0], behind[1])

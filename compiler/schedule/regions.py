"""Which tensors lie together: those that are joined lie side by side, so nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.errors import UserError
from compiler.schedule.layout import Layout
from compiler.schedule.tasks import Task
from compiler.stages import Joining, Parts


__all__ = ["Region", "regions_of"]

HOST = -1  # the layer that writes the input


@dataclass(frozen=True)
class Region:
    """A tensor with all that is joined to it, from when its first part is made until none is read.

    Attributes
    ----------
    name : str
        Of the tensor that all others are parts of.
    shape : tuple[int, ...]
        Of that tensor.
    parts : tuple[int, ...]
        Channels of each tensor that a layer leaves, in order.
    tensors : Mapping[str, range]
        The parts that each tensor consists of, ``name`` among them.
    first, last : int
        Numbers of the layers that write it first, and read it last. The host writes before layer 0
        and reads behind the last one.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[int, ...]
    tensors: Mapping[str, range]
    first: int
    last: int

    def lies(self, of: Layout) -> Layout:
        """Return how all of it lies where one of its tensors lies like ``of``."""
        if len(self.parts) == 1:
            return of
        return replace(of, shape=self.shape, parts=self.parts, made=0, whole=0)

    def part(self, name: str, layout: Layout) -> tuple[int, Layout]:
        """Return where a tensor begins, in octets, and how it lies where all lies in ``layout``."""
        own = self.tensors[name]
        if len(own) == len(self.parts):
            return 0, layout
        parts = self.parts[own.start:own.stop]
        before = sum(layout.words[:own.start])
        return before * (layout.row if len(self.shape) == 3 else layout.pixel), replace(
            layout, shape=(*self.shape[:-1], sum(parts)), parts=parts if len(parts) > 1 else (),
            whole=sum(layout.words))


def regions_of(parts: Parts, tasks: Sequence[Task]) -> tuple[Region, ...]:
    """Find the regions of a network, in the order in which they are first written.

    Raises UserError where tensors cannot lie side by side.
    """
    host = tasks[0].layer.input
    writers = {host: HOST} | {task.output: at for at, task in enumerate(tasks)}
    shapes = {host: tasks[0].layer.input_shape} | {
        task.output: task.output_shape for task in tasks}
    joins = {step.output: step for step in parts.body if isinstance(step, Joining)}
    check_joins(joins, writers, host)
    inner = {name for join in joins.values() for name in join.inputs}
    roots = [name for name in (*writers, *joins) if name not in inner]
    readers: dict[str, int] = {tasks[-1].output: len(tasks)}
    for at, task in enumerate(tasks):
        readers[task.layer.input] = at

    def region(name: str) -> Region:
        leaves = list(leaves_of(name, joins))
        tensors, first = {}, 0
        for tensor, count in spans_of(name, joins):
            tensors[tensor] = range(first, first + count)
            first += count if tensor not in joins else 0
        return Region(
            name, joins[name].output_shape if name in joins else shapes[name],
            tuple(shapes[leaf][-1] for leaf in leaves), tensors,
            min(writers[leaf] for leaf in leaves),
            max(readers.get(tensor, HOST) for tensor in tensors))

    return tuple(sorted(map(region, roots), key=lambda of: of.first))


def leaves_of(name: str, joins: Mapping[str, Joining]) -> Iterator[str]:
    """Yield the tensors that layers leave, of which a tensor consists."""
    if name not in joins:
        yield name
        return
    for part in joins[name].inputs:
        yield from leaves_of(part, joins)


def spans_of(name: str, joins: Mapping[str, Joining]) -> Iterator[tuple[str, int]]:
    """Yield a tensor and all that are parts of it, with the number of their leaves."""
    yield name, len(list(leaves_of(name, joins)))
    if name in joins:
        for part in joins[name].inputs:
            yield from spans_of(part, joins)


def check_joins(joins: Mapping[str, Joining], writers: Mapping[str, int], host: str) -> None:
    """Refuse what cannot lie where it is joined."""
    seen: set[str] = set()
    for join in joins.values():
        for name in join.inputs:
            if name == host or name not in writers and name not in joins:
                raise UserError(f"Concat {join.name!r} must join what layers leave, not {name!r}")
            if name in seen:
                raise UserError(f"Concat {join.name!r} must join tensors that are joined once, "
                                f"not {name!r} again")
            seen.add(name)

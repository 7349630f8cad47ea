"""Pictures that are larger than the memory: the first layers run stripe by stripe, while the host
writes what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from compiler.ir import Node
from compiler.schedule.layout import Layout, Placement
from compiler.schedule.lower import Lowered
from compiler.schedule.tasks import Task
from compiler.stages import Pooling


__all__ = ["Stream", "Stripe", "placements", "streams"]

N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class Stripe:
    """Some lines of what the first layers leave, and how each of these layers makes them.

    Attributes
    ----------
    layers : tuple[Lowered, ...]
    made : tuple[range, ...]
        Lines of each layer's output that it makes.
    lines : range
        Of the picture, that it reads.
    place : int
        Of the first of them in the ring.
    sent : range
        Those that the host writes for it.
    """

    layers: tuple[Lowered, ...]
    made: tuple[range, ...]
    lines: range
    place: int = 0
    sent: range = range(0)


@dataclass(frozen=True)
class Stream:
    """How a picture comes: in stripes, through a ring of ``lines`` lines.

    While a stripe runs, the host writes the lines of the next one, into places of those before.
    Lines that two stripes read are written once, unless the second begins at the ring's beginning
    again.

    What the first of two layers leaves lies in a buffer of ``kept`` lines. Where stripes share one
    line, each second stripe lies upside down, so that the line stays where it is.
    """

    stripes: tuple[Stripe, ...]
    lines: int
    kept: int

    @property
    def sent(self) -> int:
        """Lines that the host writes."""
        return sum(len(stripe.sent) for stripe in self.stripes)


def streams(layers: Sequence[Lowered], room: int) -> list[Stream]:
    """Return ways to run ``layers``, one or two, in stripes, with ``room`` octets for the ring and
    the buffer."""
    height = layers[-1].output.height
    line = layers[0].source.line
    found = []
    for rows in range(1, height):
        stripes, kept = cut(layers, rows)
        if not fits_mirrored(layers, stripes):
            continue
        left = room - (kept * layers[0].output.line if len(layers) > 1 else 0)
        if made := ring(stripes, kept, left // line):
            found.append(made)
    return found


def cut(layers: Sequence[Lowered], rows: int) -> tuple[list[Stripe], int]:
    """Cut layers into stripes of so many lines of the last one's output; returns the lines that the
    first one keeps, too."""
    height = layers[-1].output.height
    stripes, kept = [], 0
    done = range(0)
    for number, first in enumerate(range(0, height, rows)):
        own = range(first, min(first + rows, height))
        made, tasks = [own], [lines_of(layers[-1].task, own)]
        if len(layers) > 1:
            wanted = tasks[0][1]
            kept = max(kept, len(wanted))
            fresh = range(max(wanted.start, done.stop), wanted.stop)
            done = wanted
            made.insert(0, fresh)
            tasks.insert(0, lines_of(layers[0].task, fresh))
        upside_down = len(layers) > 1 and number % 2 == 1
        stripes.append(Stripe(tuple(
            replace(layer, task=task,
                    source=replace(layer.source, shape=task.layer.input_shape),
                    output=replace(layer.output, shape=task.output_shape, mirrored=upside_down))
            for layer, (task, _) in zip(layers, tasks, strict=True)), tuple(made), tasks[0][1]))
    return stripes, kept


def fits_mirrored(layers: Sequence[Lowered], stripes: Sequence[Stripe]) -> bool:
    """Whether the second of two layers can read each second stripe upside down."""
    if len(layers) == 1:
        return True
    conv = layers[1].task.conv
    assert conv is not None
    symmetric = bool((conv.weights == conv.weights[:, ::-1]).all()) and not any(conv.pads[::2])
    shares = all(1 + len(of.made[0]) == of.layers[1].source.height for of in stripes[1:])
    return symmetric and shares and all(
        len(after.made[0]) <= len(before.made[0])
        for before, after in zip(stripes, stripes[1:], strict=False))


def lines_of(task: Task, rows: range) -> tuple[Task, range]:
    """Return the task that makes some lines of a task's output, and the lines that it reads."""
    layer, conv, tag = task.layer, task.conv, span(rows)
    assert conv is not None
    sums = range(rows.start * task.hop[0], (rows.stop - 1) * task.hop[0] + task.window[0])
    top, left, _, right = conv.pads
    first = sums.start * conv.stride[0] - top
    last = (sums.stop - 1) * conv.stride[0] - top + conv.kernel[0]
    height = layer.input_shape[0]
    lines = range(max(first, 0), min(last, height))
    part = replace(
        layer, sums=replace(tagged(conv, tag), pads=(lines.start - first, left,
                                                     last - lines.stop, right)),
        activation=layer.activation and tagged(layer.activation, tag),
        input=layer.input + span(lines),
        input_shape=(len(lines), *layer.input_shape[1:]),
        output_shape=(len(sums), *layer.output_shape[1:]))
    pools, before = [], part.output_shape
    for step in task.pools:
        count = (before[0] - step.pool.kernel[0]) // step.pool.stride[0] + 1
        after = (count, *step.output_shape[1:])
        pools.append(Pooling(tagged(step.pool, tag), step.input + tag, before, step.input_type,
                             after))
        before = after
    return Task(part, tuple(pools), task.name), lines


def span(lines: range) -> str:
    return f"[{lines.start}:{lines.stop}]"


def tagged(node: N, tag: str) -> N:
    return replace(node, name=node.name + tag)


def ring(stripes: Sequence[Stripe], kept: int, most: int) -> Stream | None:
    """Find a ring of at most ``most`` lines through which the host writes as few as it can, as
    small as may be. None where there is none."""
    longest = max(len(stripe.lines) for stripe in stripes)

    def within(lines: int) -> Stream | None:
        made = through(stripes, kept, lines)
        if made is None and lines >= 2 * longest:  # at its beginning and in its middle, in turn
            made = Stream(tuple(
                replace(stripe, place=at % 2 * longest, sent=stripe.lines)
                for at, stripe in enumerate(stripes)), 2 * longest, kept)
        return made

    best = within(most)
    while best and best.lines > longest:
        smaller = within(best.lines - 1)
        if smaller is None or smaller.sent > best.sent:
            break
        best = smaller
    return best


def through(stripes: Sequence[Stripe], kept: int, lines: int) -> Stream | None:
    """Place stripes in a ring of ``lines`` lines, each behind the one before or at the beginning.

    While one is read, the next is written, and must not lie in its place.
    """
    placed: list[Stripe] = []
    for stripe in stripes:
        place, sent = 0, stripe.lines
        if placed:
            before = placed[-1]
            onto = before.place + stripe.lines.start - before.lines.start
            if onto + len(stripe.lines) <= lines:
                place, sent = onto, range(max(before.lines.stop, stripe.lines.start),
                                          stripe.lines.stop)
            elif len(stripe.lines) > before.place:
                return None
        if place + len(stripe.lines) > lines:
            return None
        placed.append(replace(stripe, place=place, sent=sent))
    end = max(stripe.place + len(stripe.lines) for stripe in placed)
    return Stream(tuple(placed), end, kept)


def placements(stream: Stream, picture: int, buffer: int, output: int) -> dict[str, Placement]:
    """Return where what stripes read and leave lies, by name, if the ring, the buffer and the
    output of the last layer begin at these octets."""
    found = {}

    def put(name: str, begin: int, layout: Layout, line: int) -> None:
        found[name] = Placement(name, begin + line * layout.line, layout)

    shared = 0  # line of the buffer that the stripe before has left
    for stripe in stream.stripes:
        first, last = stripe.layers[0], stripe.layers[-1]
        put(first.task.layer.input, picture, first.source, stripe.place)
        put(last.task.output, output, last.output, stripe.made[-1].start)
        if first is not last:
            count = last.source.height
            low = shared - count + 1 if last.output.mirrored else shared
            put(last.task.layer.input, buffer, last.source, low)
            fresh = count - len(stripe.made[0])  # lines that are there
            put(first.task.output, buffer, first.output,
                low if last.output.mirrored else low + fresh)
            shared = low if last.output.mirrored else low + count - 1
    return found

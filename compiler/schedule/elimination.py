"""The cheapest of all ways to choose, where costs hang on few choices each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf


__all__ = ["Cost", "cheapest"]


@dataclass(frozen=True)
class Cost:
    """What the values of some choices cost together; ways that are not there are impossible."""

    of: tuple[int, ...]  # numbers of choices
    table: Mapping[tuple[int, ...], float]


def cheapest(sizes: Sequence[int], costs: Sequence[Cost]) -> tuple[int, ...] | None:
    """Return a value below ``sizes[k]`` for each choice ``k``, so that ``costs`` sum to the least.

    None where no way is possible. Choices are eliminated from the last to the first (dynamic
    programming, also known as bucket elimination): each becomes a cost of those that it hangs
    together with. So the effort grows with the choices that hang together, not with all.
    """
    left, made = list(costs), []
    for last in reversed(range(len(sizes))):
        own = [cost for cost in left if last in cost.of]
        left = [cost for cost in left if last not in cost.of]
        others = tuple(sorted({of for cost in own for of in cost.of} - {last}))
        table: dict[tuple[int, ...], float] = {}
        best: dict[tuple[int, ...], int] = {}
        for values in product(*(range(sizes[of]) for of in others)):
            chosen = dict(zip(others, values, strict=True))
            for value in range(sizes[last]):
                chosen[last] = value
                cost = sum(of.table.get(tuple(chosen[at] for at in of.of), inf) for of in own)
                if cost < table.get(values, inf):
                    table[values], best[values] = cost, value
        left.append(Cost(others, table))
        made.append((last, others, best))
    if not all(cost.table for cost in left):
        return None
    found: dict[int, int] = {}
    for last, others, best in reversed(made):
        found[last] = best[tuple(found[of] for of in others)]
    return tuple(found[at] for at in range(len(sizes)))

import itertools

from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule.elimination import Cost, cheapest


@st.composite
def problems(draw):
    """Sizes of up to five choices, and costs of up to three of them each, some impossible."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    costs = []
    for _ in range(draw(st.integers(0, 5))):
        of = tuple(draw(st.sets(st.integers(0, len(sizes) - 1), min_size=1, max_size=3)))
        table = {values: draw(st.integers(0, 50)) for values in itertools.product(
            *(range(sizes[at]) for at in of)) if draw(st.integers(0, 3))}
        costs.append(Cost(of, table))
    return sizes, costs


@given(problems())
def test_no_other_way_is_cheaper(problem):
    sizes, costs = problem

    def price(ways):
        keys = [(cost, tuple(ways[at] for at in cost.of)) for cost in costs]
        if all(key in cost.table for cost, key in keys):
            return sum(cost.table[key] for cost, key in keys)
        return None

    prices = [price(ways) for ways in itertools.product(*map(range, sizes))]
    possible = [found for found in prices if found is not None]
    found = cheapest(sizes, costs)
    assert (found is None) == (not possible)
    if found is not None:
        assert price(found) == min(possible)


def test_the_first_of_equals():
    assert cheapest([2, 2], [Cost((0, 1), {(0, 1): 3, (1, 0): 3, (0, 0): 4})]) == (0, 1)
    assert cheapest([3], []) == (0,)

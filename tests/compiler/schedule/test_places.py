import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.schedule.places import Span, place, rooms
from hdl.config import Config


CONFIG = Config(memory_depth=64)  # of 8 octets
SIZE = 512


def chain(sizes):
    """Tensors of so many octets: the layer ``k`` reads tensor ``k``, and leaves the next."""
    return [Span(f"t{at}", octets, at - 1, at) for at, octets in enumerate(sizes)]


def octets(most):
    return st.integers(1, most // 8).map(lambda count: 8 * count)


@st.composite
def any_spans(draw, most=200):
    """Tensors of a network that forks: each is read by some later layer, or some more."""
    count = draw(st.integers(2, 7))
    return [Span(f"t{at}", draw(octets(most)), at - 1,
                 draw(st.integers(at, count - 1)) if at < count - 1 else at)
            for at in range(count)]


@given(st.lists(octets(300), min_size=2, max_size=7))
def test_neighbours_never_overlap(sizes):
    fits = max(map(sum, zip(sizes, sizes[1:], strict=False))) <= SIZE
    if not fits:
        with pytest.raises(UserError, match=r"^Tensors 't\d' and 't\d' must fit the activation "
                                            r"memory of 512 octets together, not \d+$"):
            place(chain(sizes), CONFIG)
        return
    places = place(chain(sizes), CONFIG)
    assert [of.name for of in places] == [of.name for of in chain(sizes)]
    for one, other in zip(places, places[1:], strict=False):
        assert one.end <= other.address or other.end <= one.address
    assert all(of.address >= 0 and of.end <= SIZE for of in places)


@given(any_spans())
def test_what_is_needed_together_never_overlaps(spans):
    try:
        places = place(spans, CONFIG)
    except UserError:
        return
    assert [(of.name, of.octets, of.first, of.last) for of in places] \
        == [(of.name, of.octets, of.first, of.last) for of in spans]
    assert all(of.address >= 0 and of.end <= SIZE for of in places)
    for at, one in enumerate(places):
        for other in places[at + 1:]:
            assert (one.end <= other.address or other.end <= one.address
                    or one.last < other.first or other.last < one.first)


@given(any_spans(50))
def test_small_tensors_have_room(spans):
    """Whatever needs less than the memory in all has places."""
    assert len(place(spans, CONFIG)) == len(spans)


@given(any_spans(), st.none() | st.integers(0, 600))
def test_rooms_are_what_tensors_leave(spans, limit):
    """From layer ``k`` on, what layers ``k`` and later read or leave is in use."""
    try:
        places = place(spans, CONFIG)
    except UserError:
        return
    found = rooms(places, CONFIG, limit)
    kept = np.zeros(len(places), int)
    for layer in range(len(places) - 1):
        free = np.ones(CONFIG.memory_depth, bool)
        for of in places:
            if of.last >= layer:
                free[of.address // 8:of.end // 8] = False
        for room in found:
            if room.layer <= layer:
                assert free[room.begin:room.end].all()
                free[room.begin:room.end] = False  # so that no two overlap
        kept[layer] = free.sum()
    assert [room.layer for room in found] == sorted(room.layer for room in found)
    assert all(room.begin < room.end and room.layer < len(places) - 1 for room in found)
    size = 8 * sum(room.end - room.begin for room in found)
    if limit is None:
        assert not kept[:-1].any()
    else:
        assert size <= limit
        assert size > limit - 8 or not kept[:-1].any()


def test_rooms_of_a_chain():
    """Tensors lie in turn at both ends of what the two largest neighbours need."""
    places = place(chain([200, 104, 200, 8, 16]), CONFIG)
    assert [(of.address, of.end) for of in places] == [(0, 200), (200, 304), (0, 200), (296, 304),
                                                       (0, 16)]
    found = [(room.layer, 8 * room.begin, 8 * room.end) for room in rooms(places, CONFIG)]
    assert found == [(0, 304, 512), (2, 200, 296), (3, 16, 200)]
    assert [(room.begin, room.end) for room in rooms(places, CONFIG, 219)] == [(38, 64), (25, 26)]


def test_a_tensor_that_is_read_later():
    """It keeps its place, so what comes meanwhile lies beside it."""
    spans = [Span("x", 80, -1, 2), Span("a", 40, 0, 1), Span("b", 80, 1, 2), Span("y", 8, 2, 3)]
    x, a, b, y = place(spans, CONFIG)
    assert (x.address, a.address) == (0, 160)
    assert b.address == 80
    assert y.address == 192
    with pytest.raises(UserError, match=r"^Tensors 'x', 'a' and 'b' must fit the activation memory "
                                        r"of 192 octets together, not 200$"):
        place(spans, Config(memory_depth=24))

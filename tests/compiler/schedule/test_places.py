import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Binary
from compiler.schedule.layout import Layout
from compiler.schedule.places import place, rooms
from hdl.config import Config
from hdl.isa import Target


CONFIG = Config(memory_depth=64)  # of 8 octets
SIZE = 512


def chain(sizes):
    """Tensors of so many octets, or the next multiple of 8."""
    return [(f"t{at}", Layout(type=Binary(), shape=(8 * octets,), target=Target.BITS, p=2,
                              simd=32)) for at, octets in enumerate(sizes)]


@given(st.lists(st.integers(1, 300), min_size=2, max_size=7))
def test_neighbours_never_overlap(sizes):
    tensors = chain(sizes)
    octets = [layout.octets for _, layout in tensors]
    fits = max(map(sum, zip(octets, octets[1:], strict=False))) <= SIZE
    if not fits:
        with pytest.raises(UserError, match=r"^Tensors 't\d' and 't\d' must fit the activation "
                                            r"memory of 512 octets together, not \d+$"):
            place(tensors, CONFIG)
        return
    places = place(tensors, CONFIG)
    assert [of.name for of in places] == [name for name, _ in tensors]
    for one, other in zip(places, places[1:], strict=False):
        assert one.end <= other.address or other.end <= one.address
    assert all(of.address >= 0 and of.end <= SIZE for of in places)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=7), st.none() | st.integers(0, 600))
def test_rooms_are_what_tensors_leave(sizes, limit):
    """From layer ``k`` on, the tensors that layers ``k`` and later read or leave are in use."""
    try:
        places = place(chain(sizes), CONFIG)
    except UserError:
        return
    found = rooms(places, CONFIG, limit)
    kept = np.zeros(len(places), int)
    for layer in range(len(places) - 1):
        free = np.ones(CONFIG.memory_depth, bool)
        for of in places[layer:]:
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

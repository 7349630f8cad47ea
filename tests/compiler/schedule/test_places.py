import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Binary
from compiler.schedule.layout import Layout
from compiler.schedule.places import place, surviving
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
    if sum(octets) <= SIZE:
        assert surviving(places) == tuple(of.name for of in places)
    assert places[-1].name in surviving(places)


def test_survivors_are_not_written_over():
    places = place(chain([200, 104, 200, 8, 16]), CONFIG)
    assert [(of.address, of.end) for of in places] == [(0, 200), (200, 304), (0, 200), (296, 304),
                                                       (0, 16)]
    assert surviving(places) == ("t3", "t4")

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.ir import Binary, Fixed, Sum, value_range
from compiler.schedule.layout import Placement, flipped
from hdl.isa import Target


KINDS = [Binary(), *[Fixed(bits, signed) for bits in range(1, 9) for signed in (True, False)]]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_flipped(kind):
    """Only 8 bits without a sign do not fit a signed octet."""
    assert flipped(kind) == (kind == Fixed(8, signed=False))


def placement(kind, channels, target, room=0):
    return Placement("x", kind, channels, target, 0,
                     Placement.octets_of(target, channels) + room)


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([*KINDS, Sum(-1 << 31, 1 << 30)]),
       channels=st.integers(1, 70), room=st.sampled_from([0, 4, 12]))
def test_round_trip(seed, kind, channels, room):
    rng = np.random.default_rng(seed)
    low, high = value_range(kind)
    x = (rng.choice([-1, 1], channels) if kind == Binary()
         else rng.integers(low, high, channels, endpoint=True))
    targets = {Binary: [Target.BITS, Target.OCTETS], Sum: [Target.SUMS]}
    for target in targets.get(type(kind), [Target.OCTETS]):
        place = placement(kind, channels, target, room)
        data = place.pack(x)
        assert len(data) == place.octets
        assert place.unpack(data).tolist() == x.tolist()
        assert data[place.octets - room:] == bytes(room)


@pytest.mark.parametrize(("kind", "target", "values", "octets"), [
    (Binary(), Target.BITS, [1, -1, 1, -1, -1, -1, -1, -1, 1], b"\x05\x01"),
    (Binary(), Target.OCTETS, [1, -1], b"\x01\xff"),
    (Fixed(8), Target.OCTETS, [-128, 127, -1], b"\x80\x7f\xff"),
    (Fixed(8, signed=False), Target.OCTETS, [0, 127, 128, 255], b"\x80\xff\x00\x7f"),
    (Fixed(4, signed=False), Target.OCTETS, [0, 15], b"\x00\x0f"),
    (Sum(-300, 300), Target.SUMS, [-2, 256], b"\xfe\xff\xff\xff\x00\x01\x00\x00"),
], ids=["bits", "signs", "signed", "flipped", "unsigned", "sums"])
def test_octets(kind, target, values, octets):
    place = placement(kind, len(values), target)
    assert place.pack(np.array(values)) == octets
    assert place.unpack(octets).tolist() == values

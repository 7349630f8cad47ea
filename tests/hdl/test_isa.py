import pytest

from hdl import isa
from hdl.isa import (
    HEADER,
    HEADER_HALVES,
    LAYER_HALVES,
    LOOPS,
    WALK_HALVES,
    Activation,
    Cause,
    Feed,
    Head,
    Layer,
    Loop,
    Opcode,
    Target,
    Walk,
)


def test_halfwords():
    """What travels as halfwords has whole ones."""
    assert Head.size == 16
    assert Layer.size == 16 * LAYER_HALVES
    assert Walk.size == 16 * WALK_HALVES
    assert 2 * (len(HEADER) + 1) == HEADER_HALVES  # and the CRC


def test_fields_hold_their_values():
    assert max(Opcode) < 1 << Head["opcode"].width
    assert max(Activation) < 1 << Layer["activation"].width
    assert max(Target) < 1 << Layer["target"].width
    assert max(Feed) < 1 << Layer["feed"].width
    assert max(Loop) == LOOPS
    assert Layer["bits"].width == (8).bit_length()
    assert (1 << Layer["stride"].width) - 1 == 255  # levels of 8 bits
    assert (1 << Layer["shift"].width) - 1 == 31


@pytest.mark.parametrize("kind", [Head, Layer, Walk])
def test_fields_lie_side_by_side(kind):
    at = 0
    for _, field in kind:
        assert field.offset == at
        at += field.width
    assert at == kind.size


def test_an_entry_of_a_walk_has_a_halfword_for_each():
    """The walker reads them one by one: turns, source, place in the picture, output."""
    assert {name: field.offset for name, field in Walk} == {
        "count": 0, "output_high": 12, "source": 16, "x": 32, "y": 40, "output": 48}


def test_magic_is_text():
    """An image can be told with a dump of the flash."""
    assert isa.MAGIC.to_bytes(4, "little") == b"XNLM"


def test_numbers_stay():
    """Images that exist mean what they meant; a change needs a new VERSION."""
    assert [opcode.name for opcode in Opcode] == [
        "END", "LAYER", "WEIGHTS", "FIXED", "RESIDENT", "RESIDENT_FIXED", "LEVELS", "LEVELS_WIDE",
        "STORE", "HOLD", "KEPT", "SIGNS"]
    assert [list(kind) for kind in (Opcode, Activation, Target, Feed, Cause)] == [
        list(range(12)), [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], list(range(6))]
    assert [loop.name for loop in Loop] == [
        "PART", "ACROSS", "DOWN", "COLUMN", "ROW", "TILE", "WORD", "BEGIN"]
    assert (Head["count"].offset, Head["opcode"].offset) == (0, 12)

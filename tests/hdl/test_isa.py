from hdl import isa
from hdl.isa import HEADER, HEADER_HALVES, Activation, Cause, Head, Layer, Opcode, Target


def test_halfwords():
    """What travels as halfwords has whole ones."""
    assert Head.size == 16
    assert Layer.size % 16 == 0
    assert 2 * (len(HEADER) + 1) == HEADER_HALVES  # and the CRC


def test_fields_hold_their_values():
    assert max(Opcode) < 1 << Head["opcode"].width
    assert max(Activation) < 1 << Layer["activation"].width
    assert max(Target) < 1 << Layer["target"].width
    assert Layer["bits"].width == (8).bit_length()
    assert (1 << Layer["stride"].width) - 1 == 255  # levels of 8 bits
    assert (1 << Layer["shift"].width) - 1 == 31


def test_fields_lie_side_by_side():
    at = 0
    for _, field in Layer:
        assert field.offset == at
        at += field.width
    assert at == Layer.size


def test_magic_is_text():
    """An image can be told with a dump of the flash."""
    assert isa.MAGIC.to_bytes(4, "little") == b"XNLM"


def test_numbers_stay():
    """Images that exist mean what they meant; a change needs a new VERSION."""
    assert [opcode.name for opcode in Opcode] == [
        "END", "LAYER", "WEIGHTS", "FIXED", "RESIDENT", "RESIDENT_FIXED", "LEVELS", "LEVELS_WIDE",
        "STORE"]
    assert [list(kind) for kind in (Opcode, Activation, Target, Cause)] == [
        list(range(9)), [0, 1, 2], [0, 1, 2], [0, 1, 2, 3, 4]]
    assert (Head["count"].offset, Head["opcode"].offset) == (0, 12)

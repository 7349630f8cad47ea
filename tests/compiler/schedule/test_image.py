import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.schedule.image import HEAD, Image, section
from hdl.isa import HEADER, HEADER_HALVES, MAGIC, VERSION


SMALL = Image(0x1234_5678, 0x10_0000, b"resident", b"program.", {"name": "small"})
HEAD_OCTETS = 2 * HEADER_HALVES
HEADER_CRC = zlib.crc32(SMALL.to_bytes()[:HEAD_OCTETS - 4])

halves = st.binary(max_size=40).filter(lambda data: len(data) % 2 == 0)
words = st.integers(0, (1 << 32) - 1)
facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3), max_leaves=6)
images = st.builds(Image, words, st.integers(0, 1 << 24), halves, halves,
                   st.dictionaries(st.text(max_size=5), facts, max_size=4))


@given(image=images, behind=st.binary(max_size=9))
def test_round_trip(image, behind):
    """Whatever lies behind an image, as in a dump of the flash, is no part of it."""
    data = image.to_bytes()
    assert Image.from_bytes(data) == image
    assert Image.from_bytes(data + behind) == image
    assert Image.from_bytes(data).to_bytes() == data


@given(image=images)
def test_header(image):
    """Sections lie one behind the other, and each ends in its CRC."""
    data = image.to_bytes()
    fields = dict(zip(HEADER, HEAD.unpack_from(data), strict=True))
    assert (fields["magic"], fields["version"], fields["config_hash"], fields["image_hash"]) \
        == (MAGIC, VERSION, image.config_hash, image.hash)
    assert struct.unpack_from("<I", data, HEAD_OCTETS - 4)[0] == zlib.crc32(data[:HEAD_OCTETS - 4])
    at = HEAD_OCTETS
    for name in ("resident", "program", "meta"):
        size = 2 * fields[f"{name}_halves"]
        assert fields[f"{name}_address"] == image.offset + at
        content, check = data[at:at + size - 4], data[at + size - 4:at + size]
        assert struct.unpack("<I", check)[0] == zlib.crc32(content)
        at += size
    assert at == len(data)


def test_hash_names_the_sections():
    others = [Image(0, 0, b"resident", b"program.", {"name": "small"}),
              Image(0, 0, b"resident", b"program!", {"name": "small"}),
              Image(0, 0, b"resideNt", b"program.", {"name": "small"}),
              Image(0, 0, b"resident", b"program.", {"name": "Small"})]
    assert others[0].hash == SMALL.hash
    assert len({other.hash for other in others}) == 4


def test_section_is_whole_halfwords():
    assert section(b"abc") == b"abc\0" + struct.pack("<I", zlib.crc32(b"abc\0"))
    assert section(b"") == bytes(4)


def test_every_flipped_bit_is_refused():
    data = SMALL.to_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError, match=r"^(An|The \w+ section of an) image must [^\n]*, "
                                            r"not \w+$"):
            Image.from_bytes(bytes(damaged))


def test_every_cut_is_refused():
    data = SMALL.to_bytes()
    for size in range(len(data)):
        with pytest.raises(UserError, match=r"^(An|The \w+ section of an) image must hold "
                                            r"(at least )?\d+ octets, not \d+$"):
            Image.from_bytes(data[:size])


def damaged(place, value):
    data = bytearray(SMALL.to_bytes())
    data[place:place + len(value)] = value
    return bytes(data)


def other_version():
    data = SMALL.to_bytes()
    fields = list(HEAD.unpack_from(data))
    fields[HEADER.index("version")] = VERSION + 1
    return section(HEAD.pack(*fields)) + data[HEAD_OCTETS:]


@pytest.mark.parametrize(("data", "message"), [
    (b"XNLM", f"An image must hold at least {HEAD_OCTETS} octets, not 4"),
    (damaged(0, b"ELF!"), "An image must begin with 0x4d4c4e58, not 0x21464c45"),
    (SMALL.to_bytes()[:-1], "The meta section of an image must hold 20 octets, not 19"),
    (damaged(HEAD_OCTETS, b"R"),
     "The resident section of an image must have the CRC 0x1d03da06, not 0xe475b850"),
    (damaged(HEAD_OCTETS - 4, b"????"),
     f"The header section of an image must have the CRC 0x3f3f3f3f, not {HEADER_CRC:#010x}"),
    (other_version(), f"An image must have version {VERSION}, not {VERSION + 1}"),
], ids=["short", "magic", "cut", "resident", "header", "version"])
def test_refusals(data, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        Image.from_bytes(data)

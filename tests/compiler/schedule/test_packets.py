import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule import packets as make
from compiler.schedule.walk import Descriptor
from hdl.isa import (
    LAYER_HALVES,
    WALK_HALVES,
    Activation,
    Feed,
    Head,
    Layer,
    Loop,
    Opcode,
    Target,
    Walk,
)


LAYER = dict.fromkeys(Layer.members, 0) | {
    "taps": 25, "channels": 8, "stride": 1, "bits": 1, "activation": Activation.THRESHOLD,
    "target": Target.BITS, "feed": Feed.GROUP}
WALK = tuple(dict.fromkeys(Walk.members, 0) | {"count": 1 + loop} for loop in Loop)


def head(halves, at=0):
    """Count, opcode and address of the packet at a place."""
    first = int(halves[at])
    return (first & (1 << Head["count"].width) - 1, Opcode(first >> Head["opcode"].offset),
            int(halves[at + 1]))


def any_fields(shape):
    """Any numbers that fit a layout; enumerations keep to their names."""
    names = {"activation": Activation, "target": Target, "feed": Feed}
    return st.fixed_dictionaries({
        name: st.sampled_from(names[name]).map(int) if name in names else
        st.integers(0, (1 << field.width) - 1) for name, field in shape})


@given(walk=st.tuples(*[any_fields(Walk)] * len(Loop)), layer=any_fields(Layer))
def test_layer(walk, layer):
    """Entries lie one behind the other, and their fields, the first lowest."""
    expected, at = 0, 0
    for shape, fields in [*((Walk, entry) for entry in walk), (Layer, layer)]:
        for name, field in shape:
            expected |= fields[name] << at
            at += field.width
    packet = make.layer("any", Descriptor(walk, layer))
    assert (packet.opcode, packet.count, packet.address) == (Opcode.LAYER, 0, 0)
    assert packet.halves.tobytes() == expected.to_bytes(at // 8, "little")


@given(st.lists(st.integers(-1 << 31, (1 << 31) - 1) | st.integers(-40000, 40000)
                | st.sampled_from([-32769, -32768, 32767, 32768]), min_size=1, max_size=20))
def test_levels(values):
    packet = make.levels(np.array(values))
    narrow = min(values) >= -32768 and max(values) <= 32767
    assert packet.opcode == (Opcode.LEVELS if narrow else Opcode.LEVELS_WIDE)
    assert packet.count == len(values)
    assert packet.halves.tobytes() == b"".join(
        value.to_bytes(2 if narrow else 4, "little", signed=True) for value in values)


@pytest.mark.parametrize("fixed", [False, True])
def test_weights(fixed):
    data = np.arange(4 * 32, dtype=np.uint8).reshape(4, 32)
    packet = make.weights(data, fixed=fixed)
    assert (packet.opcode, packet.count) == (Opcode.FIXED if fixed else Opcode.WEIGHTS, 4)
    assert packet.halves.tobytes() == data.tobytes()
    copy = make.resident(4, 99, fixed=fixed)
    assert (copy.opcode, copy.count, copy.address, len(copy)) \
        == (Opcode.RESIDENT_FIXED if fixed else Opcode.RESIDENT, 4, 99, 2)


def test_what_stays():
    told = make.kept(4095)
    assert (told.opcode, told.count, told.address, len(told)) == (Opcode.KEPT, 4095, 0, 2)
    packet = make.signs(np.array([-32768, 32767, -1]))
    assert (packet.opcode, packet.count) == (Opcode.SIGNS, 3)
    assert packet.halves.tobytes() == b"\x00\x80\xff\x7f\xff\xff"


@given(address=st.integers(0, 100), data=st.binary(max_size=40_000),
       octets=st.sampled_from([4, 8, 16]))
def test_store(address, data, octets):
    """Together, the packets write the data once; each begins at an address."""
    memory = bytearray(octets * (address + len(data) // octets + 2))
    for packet in make.store(address, data, octets=octets):
        assert packet.opcode is Opcode.STORE
        assert 0 < packet.count == len(packet.halves) <= make.MAX_COUNT
        begin = packet.address * octets
        memory[begin:begin + 2 * packet.count] = packet.halves.tobytes()
    assert memory == (bytes(address * octets) + data).ljust(len(memory), b"\0")


def program():
    return [make.levels(np.array([1, -2])),
            make.weights(np.zeros((3, 32), np.uint8), fixed=False),
            make.layer("hidden", Descriptor(WALK, LAYER)),
            make.resident(7, 500, fixed=True),
            *make.store(2, b"abcd", octets=8),
            make.end()]


def test_encode():
    packets = program()
    halves = make.encode(packets)
    assert halves.dtype == np.uint16
    at = 0
    for packet in packets:
        assert head(halves, at) == (packet.count, packet.opcode, packet.address)
        assert (halves[at + 2:at + len(packet)] == packet.halves).all()
        at += len(packet)
    assert at == len(halves)


def test_listing():
    size = len(Loop) * WALK_HALVES + LAYER_HALVES
    fields = " ".join(f"{name}={value}" for name, value in (
        LAYER | {"activation": "THRESHOLD", "target": "BITS", "feed": "GROUP"}).items())
    lines = make.listing(program()).splitlines()
    assert [line for line in lines if line[7] != " "] == [
        "       0  LEVELS         2",
        "       4  WEIGHTS        3",
        f"      54  LAYER          hidden {fields}",
        f"{56 + size:8}  RESIDENT_FIXED 7 at 500",
        f"{58 + size:8}  STORE          2 at 2",
        f"{62 + size:8}  END",
    ]
    assert lines[3] == ("          PART           "
                        "count=1 output_high=0 source=0 x=0 y=0 output=0")
    assert [line.split()[0] for line in lines[3:11]] == [loop.name for loop in Loop]


@pytest.mark.parametrize(("count", "address"), [(4096, 0), (-1, 0), (0, 65536), (0, -1)])
def test_what_does_not_fit_is_our_bug(count, address):
    with pytest.raises(AssertionError):
        make.Packet(Opcode.STORE, count, address)

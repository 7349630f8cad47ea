import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule import packets as make
from hdl.isa import Activation, Head, Layer, Opcode, Target


FIELDS = {name: 0 for name, _ in Layer} | {
    "source": 3, "words": 25, "tiles": 128, "output": 8, "channels": 8, "stride": 1, "bits": 1,
    "activation": Activation.THRESHOLD, "target": Target.BITS}


def head(halves, at=0):
    """Count, opcode and address of the packet at a place."""
    first = int(halves[at])
    return (first & (1 << Head["count"].width) - 1, Opcode(first >> Head["opcode"].offset),
            int(halves[at + 1]))


@given(st.fixed_dictionaries({
    name: st.integers(0, 2 if name in ("activation", "target") else (1 << field.width) - 1)
    for name, field in Layer}))
def test_descriptor(fields):
    """Fields lie one behind the other, the first lowest."""
    expected, at = 0, 0
    for name, field in Layer:
        expected |= fields[name] << at
        at += field.width
    assert make.descriptor(fields) == expected.to_bytes(Layer.size // 8, "little")


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
            make.layer("hidden", FIELDS),
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
    fields = ("source=3 words=25 tiles=128 output=8 channels=8 stride=1 activation=THRESHOLD "
              "target=BITS bits=1 shift=0 signed=0 flip=0 fixed=0 reserved=0")
    assert make.listing(program()).splitlines() == [
        "       0  LEVELS         2",
        "       4  WEIGHTS        3",
        f"      54  LAYER          hidden {fields}",
        f"{56 + Layer.size // 16:8}  RESIDENT_FIXED 7 at 500",
        f"{58 + Layer.size // 16:8}  STORE          2 at 2",
        f"{62 + Layer.size // 16:8}  END",
    ]


@pytest.mark.parametrize(("count", "address"), [(4096, 0), (-1, 0), (0, 65536), (0, -1)])
def test_what_does_not_fit_is_our_bug(count, address):
    with pytest.raises(AssertionError):
        make.Packet(Opcode.STORE, count, address)

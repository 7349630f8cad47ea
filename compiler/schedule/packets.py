"""The packets of a program: built, written as halfwords, and listed for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.schedule.walk import Descriptor
from hdl.isa import Activation, Feed, Head, Layer, Loop, Opcode, Target, Walk


__all__ = ["MAX_COUNT", "Packet", "encode", "end", "hold", "kept", "layer", "levels", "listing",
           "resident", "signs", "store", "weights"]

Array = np.ndarray[Any, Any]

MAX_COUNT = 4095  # of a packet
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Packet:
    """One packet of `hdl.isa`. ``halves`` is what follows its head, as uint16."""

    opcode: Opcode
    count: int = 0
    address: int = 0
    halves: Array = field(default_factory=lambda: np.empty(0, np.uint16))
    descriptor: Descriptor | None = None  # of a layer
    name: str = ""

    def __post_init__(self) -> None:
        assert 0 <= self.count <= MAX_COUNT, self
        assert 0 <= self.address < 1 << 16, self

    def __len__(self) -> int:
        """Halfwords, head included."""
        return 2 + len(self.halves)


def as_halves(data: bytes) -> Array:
    return np.frombuffer(data.ljust(-(-len(data) // 2) * 2, b"\0"), "<u2")


def layer(name: str, descriptor: Descriptor) -> Packet:
    """A layer: an entry for each loop, then what holds for all passes."""
    assert len(descriptor.walk) == len(Loop)
    parts = [(Walk, fields) for fields in descriptor.walk] + [(Layer, descriptor.layer)]
    data = b""
    for shape, fields in parts:
        assert set(fields) == set(shape.members)
        data += int(shape.const(fields).as_bits()).to_bytes(shape.size // 8, "little")
    return Packet(Opcode.LAYER, halves=as_halves(data), descriptor=descriptor, name=name)


def weights(data: Array, *, fixed: bool) -> Packet:
    """Weight words, as uint8 of shape (words, octets of a word)."""
    return Packet(Opcode.FIXED if fixed else Opcode.WEIGHTS, len(data),
                  halves=as_halves(data.tobytes()))


def resident(count: int, address: int, *, fixed: bool) -> Packet:
    """``count`` weight words from ``address`` of the activation memory on."""
    return Packet(Opcode.RESIDENT_FIXED if fixed else Opcode.RESIDENT, count, address)


def levels(values: Array) -> Packet:
    """Levels, in the narrower of the two forms that holds them."""
    if INT16.min <= values.min() and values.max() <= INT16.max:
        return Packet(Opcode.LEVELS, len(values), halves=as_halves(values.astype("<i2").tobytes()))
    return Packet(Opcode.LEVELS_WIDE, len(values), halves=as_halves(values.astype("<i4").tobytes()))


def store(address: int, data: bytes, *, octets: int) -> list[Packet]:
    """Put ``data`` into the activation memory, whose addresses hold ``octets`` each."""
    step = MAX_COUNT * 2 // octets * octets
    return [Packet(Opcode.STORE, len(halves), address + at // octets, halves)
            for at in range(0, len(data), step)
            for halves in [as_halves(data[at:at + step])]]


def hold(*, wants: bool) -> Packet:
    """Wait for what the host was wanted for; ``wants`` tells that it is wanted again."""
    return Packet(Opcode.HOLD, int(wants))


def kept(count: int) -> Packet:
    """``count`` weight words that are in the queue."""
    return Packet(Opcode.KEPT, count)


def signs(values: Array) -> Packet:
    """Levels of `hdl.signs`."""
    return Packet(Opcode.SIGNS, len(values), halves=as_halves(values.astype("<i2").tobytes()))


def end() -> Packet:
    return Packet(Opcode.END)


def encode(packets: Iterable[Packet]) -> Array:
    """Write packets as the halfwords of a section."""
    parts = []
    for packet in packets:
        head = int(Head.const({"count": packet.count, "opcode": packet.opcode}).as_bits())
        parts += [np.array([head, packet.address], "<u2"), packet.halves]
    return np.concatenate(parts).astype("<u2")


def listing(packets: Iterable[Packet]) -> str:
    """List packets, one a line; layers with all their fields, and a line for each loop."""
    lines = []
    place = 0
    for packet in packets:
        words = [f"{place:8d}  {packet.opcode.name:<14}"]
        loops = []
        if packet.descriptor is not None:
            words.append(packet.name)
            named: dict[str, object] = dict(packet.descriptor.layer)
            for field_, names in (("activation", Activation), ("target", Target), ("feed", Feed)):
                named[field_] = names(packet.descriptor.layer[field_]).name
            words += [f"{key}={value}" for key, value in named.items()]
            loops = [f"{'':10}{loop.name:<14} {spoken(fields)}" for loop, fields in
                     zip(Loop, packet.descriptor.walk, strict=True)]
        elif packet.opcode in (Opcode.RESIDENT, Opcode.RESIDENT_FIXED, Opcode.STORE):
            words.append(f"{packet.count} at {packet.address}")
        elif packet.opcode is not Opcode.END:
            words.append(str(packet.count))
        lines += [" ".join(words).rstrip(), *loops]
        place += len(packet)
    return "\n".join(lines) + "\n"


def spoken(fields: Mapping[str, int]) -> str:
    """List the fields of a loop."""
    return " ".join(f"{key}={value}" for key, value in fields.items())

"""The packets of a program: built, written as halfwords, and listed for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hdl.isa import Activation, Head, Layer, Opcode, Target


__all__ = ["MAX_COUNT", "Packet", "descriptor", "encode", "end", "layer", "levels", "listing",
           "resident", "store", "weights"]

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
    fields: Mapping[str, int] = field(default_factory=dict)  # of a descriptor
    name: str = ""

    def __post_init__(self) -> None:
        assert 0 <= self.count <= MAX_COUNT, self
        assert 0 <= self.address < 1 << 16, self

    def __len__(self) -> int:
        """Halfwords, head included."""
        return 2 + len(self.halves)


def as_halves(data: bytes) -> Array:
    return np.frombuffer(data.ljust(-(-len(data) // 2) * 2, b"\0"), "<u2")


def descriptor(fields: Mapping[str, int]) -> bytes:
    """Pack the fields of `hdl.isa.Layer`."""
    assert set(fields) == set(Layer.members)
    return int(Layer.const(fields).as_bits()).to_bytes(Layer.size // 8, "little")


def layer(name: str, fields: Mapping[str, int]) -> Packet:
    return Packet(Opcode.LAYER, halves=as_halves(descriptor(fields)), fields=fields, name=name)


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
    """List packets, one a line; descriptors with all their fields."""
    lines = []
    place = 0
    for packet in packets:
        words = [f"{place:8d}  {packet.opcode.name:<14}"]
        if packet.opcode is Opcode.LAYER:
            words.append(packet.name)
            named: dict[str, object] = dict(packet.fields)
            named["activation"] = Activation(packet.fields["activation"]).name
            named["target"] = Target(packet.fields["target"]).name
            words += [f"{key}={value}" for key, value in named.items()]
        elif packet.opcode in (Opcode.RESIDENT, Opcode.RESIDENT_FIXED, Opcode.STORE):
            words.append(f"{packet.count} at {packet.address}")
        elif packet.opcode is not Opcode.END:
            words.append(str(packet.count))
        lines.append(" ".join(words).rstrip())
        place += len(packet)
    return "\n".join(lines) + "\n"

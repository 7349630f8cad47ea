"""How tensors lie in the activation memory, and in what the host sends and receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir import Binary, TensorType, value_range
from hdl.isa import Target


__all__ = ["Placement", "flipped"]

Array = np.ndarray[Any, Any]


def flipped(kind: TensorType) -> bool:
    """Whether an octet of this type is kept with bit 7 inverted: 0 .. 255 as -128 .. 127."""
    return not isinstance(kind, Binary) and value_range(kind)[1] > 127


@dataclass(frozen=True)
class Placement:
    """A tensor in the activation memory.

    ``address`` counts octets. Bits lie eight to an octet, channel 0 lowest; sums are
    little-endian. ``octets`` is the room that the tensor takes, padding included.
    """

    name: str
    type: TensorType
    channels: int
    target: Target
    address: int
    octets: int

    def pack(self, x: Array) -> bytes:
        """Turn one tensor of shape (channels,) into its octets; padding is 0."""
        if self.target is Target.BITS:
            data = np.packbits(x > 0, bitorder="little").tobytes()
        elif self.target is Target.OCTETS:
            data = (x ^ 0x80 if flipped(self.type) else x).astype(np.int8).tobytes()
        else:
            data = x.astype("<i4").tobytes()
        return data.ljust(self.octets, b"\0")

    def unpack(self, data: bytes) -> Array:
        """Turn octets into the tensor, as int64 of shape (channels,)."""
        if self.target is Target.BITS:
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
            return 2 * bits[:self.channels].astype(np.int64) - 1
        if self.target is Target.SUMS:
            return np.frombuffer(data, "<i4")[:self.channels].astype(np.int64)
        octets = np.frombuffer(data, np.int8)[:self.channels].astype(np.int64)
        return octets + 128 if flipped(self.type) else octets

    @staticmethod
    def octets_of(target: Target, channels: int) -> int:
        """Octets that so many channels take."""
        return {Target.BITS: -(-channels // 8), Target.OCTETS: channels,
                Target.SUMS: 4 * channels}[target]



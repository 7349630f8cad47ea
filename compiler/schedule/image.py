"""The flash image: header, resident section, program, and a section for people and hosts."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.errors import UserError
from hdl.isa import HEADER, HEADER_HALVES, MAGIC, VERSION


__all__ = ["Image", "section"]

Array = np.ndarray[Any, Any]

HEAD = struct.Struct(f"<{len(HEADER)}I")


def section(data: bytes) -> bytes:
    """Append the CRC that the gateware checks; ``data`` is padded to whole halfwords."""
    data = data.ljust(-(-len(data) // 2) * 2, b"\0")
    return data + struct.pack("<I", zlib.crc32(data))


@dataclass(frozen=True)
class Image:
    """An image as its parts. The three sections are without their CRCs."""

    config_hash: int
    offset: int      # of the image in the flash
    resident: bytes
    program: bytes
    meta: Mapping[str, Any]

    @property
    def sections(self) -> tuple[bytes, bytes, bytes]:
        """Resident, program and meta section as they lie in the flash."""
        text = json.dumps(self.meta, separators=(",", ":"), sort_keys=True).encode()
        return section(self.resident), section(self.program), section(text)

    @property
    def hash(self) -> int:
        """32 bits that name the image: a CRC of the sections' CRCs.

        A CRC of whole sections would name nothing, since behind its own CRC each leaves the same.
        """
        return zlib.crc32(b"".join(part[-4:] for part in self.sections))

    def to_bytes(self) -> bytes:
        """The image, to be written at ``Config.image_offset`` of the flash."""
        table, at = [], self.offset + 2 * HEADER_HALVES
        for part in self.sections:
            table += [at, len(part) // 2]
            at += len(part)
        fields = dict(zip(HEADER, (MAGIC, VERSION, self.config_hash, self.hash, *table),
                          strict=True))
        return section(HEAD.pack(*fields.values())) + b"".join(self.sections)

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        """Read an image; `UserError` tells what is wrong with it."""
        head_size = 2 * HEADER_HALVES
        if len(data) < head_size:
            raise UserError(f"An image must hold at least {head_size} octets, not {len(data)}")
        fields = dict(zip(HEADER, HEAD.unpack_from(data), strict=True))
        if fields["magic"] != MAGIC:
            raise UserError(f"An image must begin with {MAGIC:#x}, not {fields['magic']:#x}")
        parts = {"header": data[:head_size]}
        at = head_size
        for name in ("resident", "program", "meta"):
            size = 2 * fields[f"{name}_halves"]
            parts[name] = data[at:at + size]
            if len(parts[name]) != size or size < 4:
                raise UserError(f"The {name} section of an image must hold {size} octets, "
                                f"not {len(parts[name])}")
            at += size
        for name, part in parts.items():
            stored, = struct.unpack("<I", part[-4:])
            if stored != zlib.crc32(part[:-4]):
                raise UserError(f"The {name} section of an image must have the CRC {stored:#010x}, "
                                f"not {zlib.crc32(part[:-4]):#010x}")
        if fields["version"] != VERSION:
            raise UserError(f"An image must have version {VERSION}, not {fields['version']}")
        return cls(fields["config_hash"], fields["resident_address"] - head_size,
                   parts["resident"][:-4], parts["program"][:-4],
                   json.loads(parts["meta"][:-4].rstrip(b"\0")))

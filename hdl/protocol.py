"""The host link, defined once: what travels, in which octets, and what it means.

A packet is, in octets::

    SYNC | command | sequence | length | payload (length octets) | CRC low | CRC high

The CRC covers everything between SYNC and itself. Integers in a payload are little-endian. Every
request is answered by one reply with the same sequence: its command with the bits ``REPLY`` set,
or with the bits ``REFUSAL`` set and an `Error` as its only payload octet. Of a command that is
none, the reply has the bits of ``COMMAND_MASK``.

========  =====================================  =========================================
command   payload of the request                 payload of the reply
========  =====================================  =========================================
IDENTIFY  none                                   ``IDENTITY``
WRITE     address (3), 1 to 252 octets of data   none
READ      address (3), count (1 to 255)          ``count`` octets
RUN       none                                   none
STATUS    none                                   ``STATE``
RELOAD    none                                   none
GRANT     none                                   none
========  =====================================  =========================================

A picture that is larger than the memory comes in parts. The first is written before the frame
runs. Wherever the program wants the next one, the status is WANTING: it may be written, into places
that are read no more, and GRANT tells that all of it is there. The status is RUNNING from then on,
until that part is in use.

A RUN or a GRANT that bears the sequence of the last accepted one of either is acknowledged and not
obeyed again, so that it can be repeated after its reply was lost. Sequence 0 names none.

The board takes a packet only when it starts right behind a good one, or after a silence of
``GAP_OCTETS`` octet times; anything else on the line is ignored up to the next such silence, and
so is what arrives before the board has answered. A silence inside a packet drops the packet.
"""

from binascii import crc_hqx
from enum import IntEnum
from typing import NamedTuple


__all__ = ["ADDRESS_OCTETS", "COMMAND_MASK", "COUNTERS", "CRC_INIT", "CRC_POLYNOMIAL",
           "GAP_OCTETS", "IDENTITY", "MAX_PAYLOAD", "MAX_READ", "MAX_WRITE", "REFUSAL", "REPLY",
           "STATE", "SYNC", "VERSION", "Command", "Error", "Packet", "Status", "address", "crc16",
           "pack", "pack_fields", "unpack", "unpack_fields"]


VERSION        = 3
SYNC           = 0xA5
REPLY          = 0x80     # set in the command of a reply
REFUSAL        = 0xC0     # set in the command of a reply that bears an error
COMMAND_MASK   = 0x07     # bits of the command of a reply that are those of the request
CRC_INIT       = 0xFFFF
CRC_POLYNOMIAL = 0x8408   # 0x1021 with its bits reversed
MAX_PAYLOAD    = 255
ADDRESS_OCTETS = 3
MAX_WRITE      = MAX_PAYLOAD - ADDRESS_OCTETS
MAX_READ       = MAX_PAYLOAD
COUNTERS       = 1 << 23  # address of the first counter; below lies the activation memory
GAP_OCTETS     = 256      # as long as a packet: USB adapters pause inside one, but not as long


class Command(IntEnum):
    """What the host asks for."""

    IDENTIFY = 1
    WRITE    = 2
    READ     = 3
    RUN      = 4
    STATUS   = 5
    RELOAD   = 6
    GRANT    = 7  # what a frame wants was written


class Error(IntEnum):
    """Why the board refuses a request; the first that applies, in this order."""

    BAD_CRC         = 1  # damaged on its way: send it again
    UNKNOWN_COMMAND = 2
    BAD_LENGTH      = 3
    BAD_ADDRESS     = 4  # not every octet exists; counters cannot be written
    BAD_SEQUENCE    = 5  # RUN or GRANT with sequence 0
    BUSY            = 6  # memory, counters and image are in use: starting or running
    NOT_READY       = 7  # RUN without a usable image, GRANT without a frame


class Status(IntEnum):
    """What the board does, or from 16 up why it refuses its image."""

    STARTING         = 0   # checking the image, loading what stays resident
    READY            = 1
    RUNNING          = 2
    WANTING          = 3   # running, and the next part of the input may be written
    NO_IMAGE         = 16  # no image begins where one should
    WRONG_VERSION    = 17  # made for another instruction set
    WRONG_CONFIG     = 18  # made for another configuration of the gateware
    CORRUPT_HEADER   = 19
    CORRUPT_RESIDENT = 20
    CORRUPT_PROGRAM  = 21
    CORRUPT_META     = 22


# Fields of a payload and their octets, in the order in which they travel

STATE = {"status": 1, "last_run": 1}
IDENTITY = STATE | {"protocol": 1, "isa": 1, "config_hash": 4, "image_hash": 4}


_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Packet(NamedTuple):
    """A packet without its SYNC and CRC."""

    command: int
    sequence: int
    payload: bytes


def crc16(octets):
    """Return the CRC-16 of ``octets`` (polynomial 0x1021, lowest bit first, as on the line)."""
    value = crc_hqx(octets.translate(_REVERSED), CRC_INIT)
    return _REVERSED[value & 0xFF] << 8 | _REVERSED[value >> 8]


def pack(command, sequence, payload=b""):
    """Return the octets of a packet."""
    if not 0 <= sequence < 256:
        raise ValueError(f"'sequence' must be between 0 and 255, not {sequence!r}")
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"'payload' must have at most {MAX_PAYLOAD} octets, not {len(payload)}")
    body = bytes((command, sequence, len(payload))) + payload
    return bytes((SYNC,)) + body + crc16(body).to_bytes(2, "little")


def unpack(octets):
    """Return the `Packet` in ``octets``, which must be exactly one packet and undamaged."""
    if len(octets) < 6 or len(octets) != octets[3] + 6:
        size = octets[3] + 6 if len(octets) > 3 else "at least 6"
        raise ValueError(f"A packet must have {size} octets, not {len(octets)}")
    if octets[0] != SYNC:
        raise ValueError(f"A packet must begin with {SYNC:#04x}, not {octets[0]:#04x}")
    check, expected = int.from_bytes(octets[-2:], "little"), crc16(octets[1:-2])
    if check != expected:
        raise ValueError(f"The CRC of the packet must be {expected:#06x}, not {check:#06x}")
    return Packet(octets[1], octets[2], bytes(octets[4:-2]))


def address(value):
    """Return the octets of an address."""
    return value.to_bytes(ADDRESS_OCTETS, "little")


def pack_fields(layout, values):
    """Return the octets of ``values``, a mapping with the names of ``layout``."""
    return b"".join(values[name].to_bytes(size, "little") for name, size in layout.items())


def unpack_fields(layout, octets):
    """Return the integers in ``octets`` by the names of ``layout``."""
    if len(octets) != sum(layout.values()):
        raise ValueError(f"'octets' must have length {sum(layout.values())}, not {len(octets)}")
    values, at = {}, 0
    for name, size in layout.items():
        values[name] = int.from_bytes(octets[at:at + size], "little")
        at += size
    return values

"""What the board tells of itself."""

from amaranth.lib import data

from hdl import protocol


__all__ = ["HASH_PLACE", "Fact", "identity"]


# Of the hash of the image, in the payload of the reply to IDENTIFY, whose octets count from 1
HASH_PLACE = 1 + sum(protocol.IDENTITY.values()) - protocol.IDENTITY["image_hash"]


class Fact(data.StructLayout):
    """Four bits of the hash of the image, the lowest at ``index`` 0."""

    def __init__(self):
        super().__init__({"index": 3, "nibble": 4})


def identity(*, config_hash, isa_version):
    """Return the octets of the reply to IDENTIFY, behind one that is no part of it; those that
    are not known before are 0.
    """
    known = {"protocol": protocol.VERSION, "isa": isa_version, "config_hash": config_hash}
    return bytes(1) + protocol.pack_fields(protocol.IDENTITY,
                                           dict.fromkeys(protocol.IDENTITY, 0) | known)

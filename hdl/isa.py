"""What the accelerator can be told: the flash image, its packets, and the layer descriptor.

The image is a header and three sections, each of them halfwords (16 bits, little-endian) that end
in a CRC-32. The resident section and the program are made of *packets*: a head of two halfwords,
``count`` and ``opcode`` in the first, an address in the second, and the halfwords that the opcode
promises. A frame is one pass over the program, in order.
"""

import enum

from amaranth import unsigned
from amaranth.lib import data


__all__ = ["HEADER", "HEADER_HALVES", "MAGIC", "VERSION", "Activation", "Cause", "Head", "Layer",
           "Opcode", "Target"]


VERSION = 1
MAGIC = 0x4D4C_4E58  # "XNLM" in the flash

# Fields of the header, each one word of 32 bits. An address counts octets from the beginning of
# the flash; a count is one of halfwords, those of the CRC included.
HEADER = ("magic", "version", "config_hash", "image_hash", "resident_address", "resident_halves",
          "program_address", "program_halves", "meta_address", "meta_halves")
HEADER_HALVES = 2 * len(HEADER) + 2  # and the CRC


class Opcode(enum.IntEnum):
    """What a packet is."""

    END      = 0  # the frame ends when every layer has; nothing follows
    LAYER    = 1  # a descriptor follows
    WEIGHTS  = 2  # ``count`` weight words of the array follow
    FIXED    = 3  # ``count`` weight words of the fixed-point unit follow
    RESIDENT = 4  # as WEIGHTS, but taken from the activation memory, from ``address`` on
    RESIDENT_FIXED = 5  # as FIXED, likewise
    LEVELS   = 6  # ``count`` levels of 16 bits follow
    LEVELS_WIDE = 7  # ``count`` levels of 32 bits follow
    STORE    = 8  # ``count`` halfwords follow, for the activation memory from ``address`` on


# First halfword of a packet. The second is an address, or 0.
Head = data.StructLayout({
    "count":  12,
    "opcode": 4,
})


class Activation(enum.IntEnum):
    """What the drain makes of a sum, to which the first level of its channel was added."""

    SUM       = 0  # the sum
    THRESHOLD = 1  # ``bits`` times: is it 0 or more? If not the last, add the next level
    RESCALE   = 2  # shifted right by ``shift``, rounded half to even, saturated to ``bits``


class Target(enum.IntEnum):
    """How the drain writes its results."""

    BITS   = 0  # one bit each, the channels of a tile side by side
    OCTETS = 1  # 8 bits each
    SUMS   = 2  # 32 bits each


# One dense layer. Sums are made for ``tiles`` times ``channels`` channels; each reads ``words``
# words from ``source`` on. Levels of a channel lie in heap order (the children of node i are 2i
# and 2i + 1), each less its parent's, so that adding the levels met on the way compares with each.
Layer = data.StructLayout({
    "source":     16,  # address in the activation memory
    "words":      12,  # words of one sum
    "tiles":      12,
    "output":     20,  # address in the activation memory, octets
    "channels":   7,   # of a tile that are made
    "stride":     8,   # levels of a channel
    "activation": unsigned(2),
    "target":     unsigned(2),
    "bits":       4,   # of a result
    "shift":      5,
    "signed":     1,   # saturate to a signed range
    "flip":       1,   # invert bit 7 of an octet: 0 .. 255 is kept as -128 .. 127
    "fixed":      1,   # made by the fixed-point unit, not by the array
    "reserved":   5,
})


class Cause(enum.IntEnum):
    """Where a cycle of a frame went. Every cycle has one cause."""

    WORK        = 0  # a word entered the array or the fixed-point unit
    WEIGHTS     = 1  # no weight word was there
    ACTIVATIONS = 2  # no activation word was there
    DRAIN       = 3  # waiting for sums to be read out
    PROGRAM     = 4  # no layer was there

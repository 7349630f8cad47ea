"""What the accelerator can be told: the flash image, its packets, and the layer descriptor.

The image is a header and three sections, each of them halfwords (16 bits, little-endian) that end
in a CRC-32. The resident section and the program are made of *packets*: a head of two halfwords,
``count`` and ``opcode`` in the first, an address in the second, and the halfwords that the opcode
promises. A frame is one pass over the program, in order.
"""

import enum

from amaranth import unsigned
from amaranth.lib import data


__all__ = ["GROUP", "HEADER", "HEADER_HALVES", "KEPT_BITS", "LAYER_HALVES", "LOOPS", "MAGIC",
           "SERIAL", "VERSION", "WALK_HALVES", "Activation", "Cause", "Feed", "Head", "Layer",
           "Loop", "Opcode", "Target", "Walk"]


VERSION = 4
MAGIC = 0x4D4C_4E58  # "XNLM" in the flash

# Fields of the header, each one word of 32 bits. An address counts octets from the beginning of
# the flash; a count is one of halfwords, those of the CRC included.
HEADER = ("magic", "version", "config_hash", "image_hash", "resident_address", "resident_halves",
          "program_address", "program_halves", "meta_address", "meta_halves")
HEADER_HALVES = 2 * len(HEADER) + 2  # and the CRC


class Opcode(enum.IntEnum):
    """What a packet is."""

    END      = 0  # the frame ends when every layer has; nothing follows
    LAYER    = 1  # a `Walk` for each `Loop` follows, then a `Layer`
    WEIGHTS  = 2  # ``count`` weight words of the array follow
    FIXED    = 3  # ``count`` weight words of the fixed-point unit follow
    RESIDENT = 4  # as WEIGHTS, but taken from the activation memory, from ``address`` on
    RESIDENT_FIXED = 5  # as FIXED, likewise
    LEVELS   = 6  # ``count`` levels of 16 bits follow
    LEVELS_WIDE = 7  # ``count`` levels of 32 bits follow
    STORE    = 8  # ``count`` halfwords follow, for the activation memory from ``address`` on
    HOLD     = 9  # wait until every layer has ended, and the host has granted what was wanted; then
                  # more is wanted if ``count`` is 1. Nothing follows
    KEPT     = 10 # the next ``count`` weight words are in their queue from the start: all of those
                  # before the first END stay, and each END goes back to the first
    SIGNS    = 11 # ``count`` levels of 16 bits follow, `GROUP` by `GROUP`, for `Activation.SIGN`;
                  # they stay likewise


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
    SIGN      = 3  # is the half sum with its own level 0 or more? For `GROUP` channels of all
                   # pixels at once, where the gateware has `hdl.signs`


class Target(enum.IntEnum):
    """How the drain writes its results."""

    BITS   = 0  # one bit each, the channels of a tile side by side
    OCTETS = 1  # 8 bits each
    SUMS   = 2  # 32 bits each
    PLANES = 3  # ``bits`` planes of one bit each, the lowest first, ``plane`` addresses apart, of
                # values of 0 or more


class Feed(enum.IntEnum):
    """How words of a row come from the activation memory, ``p`` of them at an address."""

    CHAIN = 0  # neighbouring pixels (or words of a dense layer): each word moves on to the pixel
               # before it, so a word of every pixel takes one new word
    WHOLE = 1  # the first word of each address, for one pixel
    GROUP = 2  # all words of an address in turn, for one pixel; then those ``p`` addresses further
               # on, as addresses overlap: each holds the ``p`` words from its own column on
    PLANES = 3 # as CHAIN; ``height`` counts bit planes, the highest first, of which a pass doubles
               # its sums from each to the next. Where the gateware has `hdl.signs`


class Loop(enum.IntEnum):
    """The loops around the words of a sum, innermost first. A turn of the innermost is a *pass*."""

    PART   = 0  # bit planes of the input, highest first; or tiles of the fixed-point unit that
                # make an octet together
    ACROSS = 1  # groups of pixels along x: of a row, or of a window that is pooled
    DOWN   = 2  # rows of a window that is pooled; or all rows, where nothing is
    COLUMN = 3  # windows along x
    ROW    = 4  # rows of windows
    TILE   = 5  # groups of channels that share activations
    WORD   = 6  # and those of them that begin a word
    BEGIN  = 7  # no loop: where the first pass begins


# What a turn of a loop changes, after the turns of the inner loops. ``source`` counts words, which
# lie ``p`` to an address; ``output`` counts octets. All are modulo their size. Places of inner
# loops are not taken back first, so these are differences from their last turn; in ``source``, and
# in ``y``, from the first word of the last row of their last pass.
#
# ``source`` names the first word of the window of pixel 0, and ``x`` its column in the picture, in
# which columns that a row has free in memory do not count. It may lie outside the picture, and
# outside the memory. With GROUP it is the first word of an address.
Walk = data.StructLayout({
    "count":       12,  # turns
    "output_high": 4,
    "source":      16,
    "x":           8,
    "y":           8,
    "output":      16,
})
WALK_HALVES = Walk.size // 16


# One layer. A pass sums the words of ``height`` x ``depth`` rows; a row has ``taps`` words from a
# place in memory on, and begins ``step`` addresses after the one before. Levels of a channel lie
# in heap order (the children of node i are 2i and 2i + 1), each less its parent's, so that adding
# the levels met on the way compares with each.
#
# In a layer of the array, PART are the bit planes of the input, and sums double from each to the
# next. The first level of a channel is added as they come: its `SERIAL` highest bits hold what
# would be its lowest, of which each plane behind the first takes one, the highest first; others are
# added to the first plane. In a layer of the fixed-point unit PART are tiles whose weights follow
# each other, and whose bits are gathered; with other targets there is one.
#
# Weights of a tile are used again in every pass, or group of parts; so all of them must fit the
# weight queue at once, unless there is but one.
#
# ``p`` pixels are made together only where ``channels`` is that of the array, and neighbouring
# windows are a column apart. Results of a pass are those of pixel 0, channel by channel, then those
# of pixel 1. Tap t of pixel i is in column x + i + t; it lies in the picture if column and line,
# modulo 256, are below ``columns`` and ``lines``.
#
# With SIGN, a window is ``pixels`` and 1 pixels wide, and those of a pass lie side by side in it:
# ACROSS turns once, and each pass ends some of them. Results are whole addresses, or aligned parts
# of one.
#
# What is pooled is written once, with the last pass of its window (of PART, ACROSS and DOWN). Of
# octets a window keeps the greatest as they are kept, with a sign; of planes, without. PART has the
# passes that make ``pe`` channels.
Layer = data.StructLayout({
    "taps":       11,  # words of a row
    "height":     4,   # rows of the kernel
    "depth":      7,   # words of a pixel
    "segment":    6,   # words of a pass after which sums are taken out and kept
    "step":       10,  # addresses from a row to the next
    "feed":       unsigned(2),
    "columns":    8,   # of the input; what lies outside is not summed if ``skip``, else is 0;
                       # 0 where nothing lies outside
    "lines":      8,
    "skip":       1,
    "fixed":      1,   # made by the fixed-point unit, not by the array
    "pixels":     4,   # of the last turn of ACROSS, less 1; others have ``p``
    "single":     1,   # but where this is set, they have 1
    "pool":       1,   # ACROSS and DOWN are a window, of whose results the greatest stays
    "pitch":      9,   # from a pixel to the next, in units of 4 octets: of OCTETS after the last
                       # result, of SUMS from it; BITS and PLANES of pixels are a word apart
    "channels":   7,   # of a tile that are made
    "stride":     8,   # levels of a channel
    "activation": unsigned(2),
    "target":     unsigned(2),
    "bits":       4,   # of a result
    "shift":      5,
    "signed":     1,   # saturate to a signed range
    "flip":       1,   # invert bit 7 of an octet: 0 .. 255 is kept as -128 .. 127
    "zero":       1,   # bit 7 of an octet outside the picture
    "plane":      8,   # addresses from a plane of the result to the next
})
LAYER_HALVES = Layer.size // 16
LOOPS = len(Loop) - 1


SERIAL = 7  # planes that there can be behind the first
KEPT_BITS = Head["count"].width  # of a number of weight words that stay
GROUP  = 8  # channels of which `Activation.SIGN` makes bits at once


class Cause(enum.IntEnum):
    """Where a cycle of a frame went. Every cycle has one cause."""

    WORK        = 0  # a word entered the array or the fixed-point unit
    WEIGHTS     = 1  # no weight word was there
    ACTIVATIONS = 2  # no activation word was there
    DRAIN       = 3  # waiting for sums to be read out
    PROGRAM     = 4  # no layer was there
    HOST        = 5  # nor one to come before the host grants more of the input

"""Checks the image in the flash, and reads the program from it for each frame."""

import enum

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from hdl.isa import HEADER, HEADER_HALVES, MAGIC, VERSION
from hdl.protocol import Status


__all__ = ["Loader", "Request"]


Request = data.StructLayout({
    "address": 24,  # bytes
    "halves":  24,
})

class Loader(wiring.Component):
    """Reads header, resident section, program and meta section, and checks their CRCs; then has
    the resident section carried out, and the program each time that a frame is wanted.

    Nothing of an image is carried out before all of it was found right. What is wrong with it is
    the ``status``, until ``reload``.

    Members
    -------
    awake : In(1)
        The flash can be read.
    requests : Out(stream.Signature(Request))
        What is read next.
    halves : In(stream.Signature(16))
        What was read.
    packets : Out(stream.Signature(16))
        The part of it that is carried out.
    done : In(1)
        The packets have ended.
    run : In(1)
        A frame is wanted; only while ``status`` is `Status.READY`.
    reload : In(1)
        Begin anew; not while a frame runs.
    clear : Out(1)
        A frame is about to run: counters must forget the last.
    cleared : In(1)
        They have.
    counting : Out(1)
        A frame runs.
    status : Out(8)
        A `Status`.
    image_hash : Out(32)
        From the header.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "awake":      In(1),
            "requests":   Out(stream.Signature(Request)),
            "halves":     In(stream.Signature(16)),
            "packets":    Out(stream.Signature(16)),
            "done":       In(1),
            "run":        In(1),
            "reload":     In(1),
            "clear":      Out(1),
            "cleared":    In(1),
            "counting":   Out(1),
            "status":     Out(8, init=Status.STARTING),
            "image_hash": Out(32),
        })

    def elaborate(self, platform):
        config, halves = self._config, self.halves
        m = Module()

        address = Signal(24)  # of the next halfword, once it is asked for
        left    = Signal(24)  # halfwords of this section
        part    = Signal(Part)
        m.d.comb += self.requests.payload.address.eq(address)
        m.d.comb += self.requests.payload.halves.eq(left)
        taken = halves.valid & halves.ready
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
            m.d.sync += address.eq(address + 2)

        # The CRC takes octets, the lower one of a halfword first.
        high = Signal()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        m.d.comb += crc.data.eq(halves.payload.word_select(high, 8))

        sizes = {Part.RESIDENT: Signal(24), Part.PROGRAM: Signal(24), Part.META: Signal(24)}
        right = {name: Signal(name=f"right_{name}") for name in ("magic", "version", "config_hash")}
        kept  = {"image_hash": self.image_hash, "resident_halves": sizes[Part.RESIDENT],
                 "program_halves": sizes[Part.PROGRAM], "meta_halves": sizes[Part.META]}
        wanted = {"magic": MAGIC, "version": VERSION, "config_hash": config.hash}
        program_address = Signal(24)

        def read(part_, size):
            m.d.sync += part.eq(part_)
            m.d.sync += left.eq(size)
            m.next = "ASK"

        with m.FSM(name="state") as state:
            with m.State("WAKE"):
                m.d.sync += self.status.eq(Status.STARTING)
                m.d.sync += address.eq(config.image_offset)
                m.d.sync += Cat(right.values()).eq(~0)
                with m.If(self.awake):
                    read(Part.HEADER, HEADER_HALVES)

            with m.State("ASK"):
                m.d.comb += self.requests.valid.eq(1)
                m.d.comb += crc.start.eq(1)
                m.d.sync += high.eq(0)
                with m.If(self.requests.ready):
                    m.next = "CHECK"
                    with m.If(part >= Part.LOAD):
                        m.next = "CARRY OUT"

            with m.State("CHECK"):
                m.d.comb += crc.valid.eq(halves.valid)
                m.d.comb += halves.ready.eq(high)
                m.d.sync += high.eq(high ^ halves.valid)
                with m.If(taken & (part == Part.HEADER)):
                    keep_header(m, left, halves.payload, wanted, right, kept)
                with m.If(taken & (left == 1)):
                    m.next = "JUDGE"

            with m.State("JUDGE"):
                with m.Switch(part):
                    with m.Case(Part.HEADER):
                        m.d.sync += self.status.eq(Status.CORRUPT_HEADER)
                        read(Part.RESIDENT, sizes[Part.RESIDENT])
                    with m.Case(Part.RESIDENT):
                        m.d.sync += self.status.eq(Status.CORRUPT_RESIDENT)
                        m.d.sync += program_address.eq(address)
                        read(Part.PROGRAM, sizes[Part.PROGRAM])
                    with m.Case(Part.PROGRAM):
                        m.d.sync += self.status.eq(Status.CORRUPT_PROGRAM)
                        read(Part.META, sizes[Part.META])
                    with m.Default():
                        m.d.sync += self.status.eq(Status.CORRUPT_META)
                        m.d.sync += address.eq(config.image_offset + 2 * HEADER_HALVES)
                        read(Part.LOAD, sizes[Part.RESIDENT])
                with m.If(~crc.match_detected):
                    m.next = "REFUSE"
                with m.Else():
                    m.d.sync += self.status.eq(Status.STARTING)
                with m.If(~right["config_hash"]):
                    m.d.sync += self.status.eq(Status.WRONG_CONFIG)
                    m.next = "REFUSE"
                with m.If(~right["version"]):
                    m.d.sync += self.status.eq(Status.WRONG_VERSION)
                    m.next = "REFUSE"
                with m.If((part == Part.HEADER) & ~crc.match_detected):
                    m.d.sync += self.status.eq(Status.CORRUPT_HEADER)
                with m.If(~right["magic"]):
                    m.d.sync += self.status.eq(Status.NO_IMAGE)
                    m.next = "REFUSE"

            with m.State("REFUSE"):
                with m.If(self.reload):
                    m.next = "WAKE"

            with m.State("READY"):
                m.d.sync += self.status.eq(Status.READY)
                with m.If(self.reload):
                    m.next = "WAKE"
                with m.Elif(self.run):
                    m.d.sync += self.status.eq(Status.RUNNING)
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += address.eq(program_address)
                    m.next = "CLEAR"

            with m.State("CLEAR"):
                with m.If(self.cleared):
                    read(Part.FRAME, sizes[Part.PROGRAM])

            with m.State("CARRY OUT"):
                m.d.comb += self.packets.valid.eq(halves.valid)
                m.d.comb += halves.ready.eq(self.packets.ready)
                with m.If(self.done):
                    m.next = "DROP"

            with m.State("DROP"):  # the CRC
                m.d.comb += halves.ready.eq(left != 0)
                with m.If(left == 0):
                    m.next = "READY"

        m.d.comb += self.packets.payload.eq(halves.payload)
        m.d.comb += self.counting.eq((part == Part.FRAME)
                                     & (state.ongoing("ASK") | state.ongoing("CARRY OUT")))
        return m


class Part(enum.IntEnum):
    """What is read: to be checked, or, from LOAD on, to be carried out."""

    HEADER   = 0
    RESIDENT = 1
    PROGRAM  = 2
    META     = 3
    LOAD     = 4
    FRAME    = 5


def keep_header(m, left, half, wanted, right, kept):
    """Take the next halfword of the header, of which ``left`` are left: compare it with what is
    ``wanted``, or put it where it is ``kept``."""
    for index, name in enumerate(HEADER):
        for shift in (0, 16):
            with m.If(left == HEADER_HALVES - 2 * index - shift // 16):
                if name in wanted:
                    with m.If(half != wanted[name] >> shift & 0xFFFF):
                        m.d.sync += right[name].eq(0)
                else:
                    m.d.sync += kept[name][shift:shift + 16].eq(half)

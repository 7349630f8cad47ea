"""Checks the image in the flash, and reads the program from it for each frame."""

import enum

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
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

        address = Signal(24)
        left    = Signal(24)  # halfwords of the section that have not come yet
        part    = Signal(Part)
        m.d.comb += self.requests.payload.address.eq(address)
        m.d.comb += self.requests.payload.halves.eq(left)
        taken = halves.valid & halves.ready
        with m.If(taken):
            m.d.sync += left.eq(left - 1)

        # The header is kept as it comes, at the numbers of halfwords that were left.
        m.submodules.header = header = Memory(
            shape=16, depth=32, init=[], attrs={"ram_style": "block", "no_rw_check": True})
        keep = header.write_port()
        fact = header.read_port()
        step = Signal(range(9))  # halfwords of the header that were asked for
        m.d.comb += keep.addr.eq(left)
        m.d.comb += keep.data.eq(halves.payload)
        with m.Switch(part):
            with m.Case(Part.HEADER):
                m.d.comb += fact.addr.eq(header_place("magic") - step)
            for section, name in SECTIONS.items():
                with m.Case(section):
                    m.d.comb += fact.addr.eq(header_place(f"{name}_address") - step)

        # The CRC takes octets, the lower one of a halfword first.
        high = Signal()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        m.d.comb += crc.data.eq(halves.payload.word_select(high, 8))

        verdict  = Signal(8)   # the status, once the image is refused
        wanted   = Signal(16)  # of the first fields of the header
        expected = zip(("magic", "version", "config_hash"), (MAGIC, VERSION, config.hash),
                       (Status.NO_IMAGE, Status.WRONG_VERSION, Status.WRONG_CONFIG), strict=True)

        with m.FSM(name="state") as state:
            with m.State("WAKE"):
                m.d.sync += self.status.eq(Status.STARTING)
                m.d.sync += part.eq(Part.HEADER)
                m.d.sync += address.eq(config.image_offset)
                m.d.sync += left.eq(HEADER_HALVES)
                with m.If(self.awake):
                    m.next = "ASK"

            with m.State("LOOK UP"):
                m.d.sync += step.eq(step + 1)
                with m.Switch(step):
                    with m.Case(1):
                        m.d.sync += address[:16].eq(fact.data)
                    with m.Case(2):
                        m.d.sync += address[16:].eq(fact.data)
                    with m.Case(3):
                        m.d.sync += left[:16].eq(fact.data)
                    with m.Case(4):
                        m.d.sync += left[16:].eq(fact.data)
                        m.next = "ASK"

            with m.State("ASK"):
                m.d.comb += self.requests.valid.eq(1)
                m.d.comb += crc.start.eq(1)
                m.d.sync += high.eq(0)
                m.d.sync += step.eq(0)
                with m.If(self.requests.ready):
                    m.next = "CHECK"
                    with m.If(part >= Part.LOAD):
                        m.next = "CARRY OUT"

            with m.State("CHECK"):
                m.d.comb += crc.valid.eq(halves.valid)
                m.d.comb += halves.ready.eq(high)
                m.d.sync += high.eq(high ^ halves.valid)
                m.d.comb += keep.en.eq(halves.valid & high & (part == Part.HEADER))
                with m.If(halves.valid & high & (left == 1)):
                    m.next = "JUDGE"

            with m.State("JUDGE"):
                m.d.sync += part.eq(part + 1)
                m.next = "LOOK UP"
                with m.If(part == Part.HEADER):
                    m.d.sync += part.eq(part)
                    m.next = "COMPARE"
                with m.Elif(~crc.match_detected):
                    m.d.sync += verdict.eq(Status.CORRUPT_HEADER + part)
                    m.next = "REFUSE"

            with m.State("COMPARE"):
                # The magic number comes before the CRC: where it is wrong, there is no header.
                m.d.sync += step.eq(step + 1)
                with m.Switch(step):
                    for index, (_, value, status) in enumerate(expected):
                        for high_half in (0, 1):
                            with m.Case(2 * index + high_half + 1):
                                m.d.comb += wanted.eq(value >> 16 * high_half & 0xFFFF)
                                m.d.sync += verdict.eq(status)
                    with m.Case(7):
                        m.d.sync += self.image_hash[:16].eq(fact.data)
                    with m.Case(8):
                        m.d.sync += self.image_hash[16:].eq(fact.data)
                        m.d.sync += step.eq(0)
                        m.d.sync += part.eq(Part.RESIDENT)
                        m.next = "LOOK UP"
                with m.If((step == 3) & ~crc.match_detected):
                    m.d.sync += verdict.eq(Status.CORRUPT_HEADER)
                    m.next = "REFUSE"
                with m.Elif((step >= 1) & (step <= 6) & (fact.data != wanted)):
                    m.next = "REFUSE"

            with m.State("REFUSE"):
                m.d.sync += self.status.eq(verdict)
                with m.If(self.reload):
                    m.next = "WAKE"

            with m.State("READY"):
                m.d.sync += self.status.eq(Status.READY)
                with m.If(self.reload):
                    m.next = "WAKE"
                with m.Elif(self.run):
                    m.d.sync += self.status.eq(Status.RUNNING)
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += part.eq(Part.FRAME)
                    m.next = "CLEAR"

            with m.State("CLEAR"):
                with m.If(self.cleared):
                    m.next = "LOOK UP"

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
    """What is read: to be checked, or, from LOAD on, to be carried out.

    Those that are checked are in the order of the statuses from `Status.CORRUPT_HEADER` on.
    """

    HEADER   = 0
    RESIDENT = 1
    PROGRAM  = 2
    META     = 3
    LOAD     = 4
    FRAME    = 5


SECTIONS = {Part.RESIDENT: "resident", Part.PROGRAM: "program", Part.META: "meta",
            Part.LOAD: "resident", Part.FRAME: "program"}


def header_place(name):
    """Return how many halfwords of the header are left when a field comes."""
    return HEADER_HALVES - 2 * HEADER.index(name)


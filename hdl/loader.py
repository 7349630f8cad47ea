"""Checks the image in the flash, and reads the program from it for each frame."""

import enum

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.crc32 import Crc32
from hdl.isa import HEADER, HEADER_HALVES, MAGIC, VERSION
from hdl.link_identity import Fact
from hdl.protocol import Status


__all__ = ["Loader"]


class Loader(wiring.Component):
    """Reads header, resident section, program and meta section, and checks their CRCs; then has
    the resident section carried out, and the program each time that a frame is wanted.

    Nothing of an image is carried out before all of it was found right. What is wrong with it is
    the ``status``, until ``reload``.

    Where a section lies is not kept: the two fields of the header that tell it are read again, and
    passed on, as they come, to be the request for the section.

    Members
    -------
    requests : Out(stream.Signature(16))
        What is read next, see `hdl.flash.FlashReader`.
    halves : In(stream.Signature(16))
        What was read.
    idle : In(1)
        All that was requested was taken.
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
        A frame runs: from the cycle in which its request is complete.
    status : Out(8)
        A `Status`.
    facts : Out(stream.Signature(Fact()))
        The hash of the image, whenever the header is checked.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "requests":   Out(stream.Signature(16)),
            "halves":     In(stream.Signature(16)),
            "idle":       In(1),
            "packets":    Out(stream.Signature(16)),
            "done":       In(1),
            "run":        In(1),
            "reload":     In(1),
            "clear":      Out(1),
            "cleared":    In(1),
            "counting":   Out(1),
            "status":     Out(8, init=Status.STARTING),
            "facts":      Out(stream.Signature(Fact())),
        })

    def elaborate(self, platform):
        halves, requests, facts = self.halves, self.requests, self.facts
        m = Module()

        part = Signal(Part, reset_less=True)
        # Nibbles of a section that were checked, or parts of a request that were made. It begins
        # anew behind the header.
        step = Signal(7)
        last = Signal()
        m.d.comb += last.eq(step[:2] == 3)

        m.submodules.crc = crc = Crc32()
        m.d.comb += crc.nibble.eq(halves.payload.word_select(step[:2], 4))

        # Fields of the header are looked at as they come, eight nibbles each. Kept is which of
        # the first three is the first that is not as it should be, from 3 downwards.
        wanted = Signal(4)
        flaw   = Signal(2, reset_less=True)
        with m.Switch(step[:5]):
            for index, nibble in enumerate(self._wanted()):
                with m.Case(index):
                    m.d.comb += wanted.eq(nibble)
        m.d.comb += facts.payload.index.eq(step[:3])
        m.d.comb += facts.payload.nibble.eq(crc.nibble)

        # The magic number comes before the CRC: where it is wrong, there is no header.
        refused = Signal()
        verdict = Signal(8)
        m.d.comb += refused.eq(~crc.match | (flaw != 0))
        m.d.comb += verdict.eq(Cat(~flaw, Const(Status.NO_IMAGE >> 2, 6)))
        with m.If(~crc.match & (flaw != 3)):
            with m.Switch(part):
                for section in range(Part.LOAD):
                    with m.Case(section):
                        m.d.comb += verdict.eq(Status.CORRUPT_HEADER + section)

        with m.FSM(name="state") as state:
            with m.State("START"):
                m.d.sync += self.status.eq(Status.STARTING)
                m.d.sync += part.eq(Part.HEADER)
                m.d.sync += flaw.eq(0)
                m.next = "ASK"

            with m.State("ASK"):
                m.d.comb += requests.valid.eq(self.cleared)
                m.d.comb += crc.start.eq(1)
                with m.If(requests.valid & requests.ready):
                    m.d.sync += step.eq(step + 1)
                    with m.If(last):
                        m.d.sync += step.eq(0)
                        m.next = "PASS"
                        with m.If(part == Part.HEADER):
                            m.next = "CHECK"

            with m.State("PASS"):
                m.d.comb += requests.valid.eq(halves.valid)
                m.d.comb += halves.ready.eq(requests.ready)
                with m.If(requests.valid & requests.ready):
                    m.d.sync += step.eq(step + 1)
                    with m.If(last):
                        m.d.sync += step.eq(0)
                        m.next = "CHECK"
                        with m.If(part >= Part.LOAD):
                            m.next = "CARRY OUT"

            with m.State("CHECK"):
                with m.If(part == Part.HEADER):
                    m.d.comb += facts.valid.eq(halves.valid & (step[3:] == 3))
                    with m.If(halves.valid & (step[5:] == 0) & (crc.nibble != wanted)
                              & (flaw == 0)):
                        m.d.sync += flaw.eq(~step[3:5])
                m.d.comb += crc.valid.eq(halves.valid & (facts.ready | ~facts.valid))
                m.d.comb += halves.ready.eq(crc.valid & last)
                with m.If(crc.valid):
                    m.d.sync += step.eq(step + 1)
                with m.If(self.idle):
                    m.d.sync += step.eq(0)
                    m.d.sync += part.eq(part + 1)
                    m.next = "ASK"
                    with m.If(refused):
                        m.d.sync += self.status.eq(verdict)
                        m.next = "REST"

            with m.State("CARRY OUT"):
                m.d.comb += self.packets.valid.eq(halves.valid)
                m.d.comb += halves.ready.eq(self.packets.ready)
                with m.If(self.done):
                    m.next = "DROP"

            with m.State("DROP"):  # the CRC
                m.d.comb += halves.ready.eq(1)
                with m.If(self.idle):
                    m.d.sync += self.status.eq(Status.READY)
                    m.next = "REST"

            with m.State("REST"):
                with m.If(self.reload):
                    m.next = "START"
                with m.Elif(self.run & (self.status == Status.READY)):
                    m.d.sync += self.status.eq(Status.RUNNING)
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += part.eq(Part.FRAME)
                    m.next = "ASK"

        m.d.comb += requests.payload.eq(halves.payload)
        with m.If(state.ongoing("ASK")):
            with m.Switch(Cat(step[:2], part)):
                for asked in Part:
                    for index, half in enumerate(self._request(asked)):
                        with m.Case(index + 4 * asked):
                            m.d.comb += requests.payload.eq(half)
        m.d.comb += self.packets.payload.eq(halves.payload)
        m.d.comb += self.counting.eq((part == Part.FRAME) & (
            (state.ongoing("PASS") & last) | state.ongoing("CARRY OUT")))
        return m

    def _wanted(self):
        """Return the nibbles with which the header must begin."""
        for value in (MAGIC, VERSION, self._config.hash):
            yield from (value >> 4 * index & 15 for index in range(8))

    def _request(self, part):
        """Return the halfwords that ask for the header, or for its fields of a section."""
        address, halves = self._config.image_offset, HEADER_HALVES
        if part in SECTIONS:
            address += 4 * HEADER.index(f"{SECTIONS[part]}_address")
            halves = 4
        return address & 0xFFFF, address >> 16, halves, 0


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

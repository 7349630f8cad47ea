"""The board's end of the host link."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import protocol
from hdl.link_identity import HASH_PLACE, Fact, identity
from hdl.link_line import Line
from hdl.link_verdict import Request, Verdict
from hdl.protocol import Command
from hdl.uart import divisor


__all__ = ["Access", "Link"]


class Access(data.StructLayout):
    """One octet to write or to read; the highest bit of ``address`` selects the counters."""
    def __init__(self):
        super().__init__({"address": 8 * protocol.ADDRESS_OCTETS, "write": 1, "data": 8})


class Link(wiring.Component):
    """Answers the requests of `hdl.protocol` that arrive on a serial line.

    A WRITE takes effect after its checksum was found right, at one octet in three cycles while
    ``accesses`` is ready. A READ asks for an octet when the one before it is on its way to the
    host. Nothing is taken from the line between the end of a request and the end of its reply.

    Parameters
    ----------
    config : Config
        The configuration, whose hash the link tells.
    isa_version : int
        Version of the instruction set, 8 bits.
    counter_bytes : int
        Octets of counters at address `protocol.COUNTERS`.
    gap_octets : int
        Silence after which a packet may start, see `hdl.link_line.Line`.

    Members
    -------
    rx : In(1)
        Line from the host, asynchronous.
    tx : Out(1)
        Line to the host.
    accesses : Out(stream.Signature(Access()))
        Octets to write or to read, in order of address.
    octets : In(stream.Signature(8))
        One for each access that reads, in order.
    run : Out(1)
        High for one cycle when a run is accepted; ``status`` must be RUNNING within 64 cycles.
    reload : Out(1)
        High for one cycle to check the image again; ``status`` must be STARTING within 64 cycles.
    status : In(8)
        A `protocol.Status`.
    facts : In(stream.Signature(Fact()))
        The hash of the image, in parts; it must be complete while ``status`` is READY.
    """
    def __init__(self, config, isa_version, *, counter_bytes=64,
                 gap_octets=protocol.GAP_OCTETS):
        if not 0 <= isa_version < 256:
            raise ValueError(f"'isa_version' must be between 0 and 255, not {isa_version!r}")
        memory_bytes = config.memory_depth * config.memory_width // 8
        self._line     = Line(divisor=divisor(config.clock_hz, config.baud), gap_octets=gap_octets)
        self._verdict  = Verdict(memory_bytes=memory_bytes, counter_bytes=counter_bytes)
        self._identity = identity(config_hash=config.hash, isa_version=isa_version)

        self._request  = Signal(Request())
        self._last_run = Signal(8)  # sequence of the last accepted RUN
        self._error    = Signal(3)  # of the reply
        self._sending  = Signal()   # a reply goes out, or will
        self._storing  = Signal()   # a WRITE is carried out
        self._writing  = Signal()
        self._reading  = Signal()
        self._aligned  = Signal()   # the next octet may begin a packet
        self._index    = Signal(8)  # octets of the payload so far
        self._heading  = Signal()   # the present one belongs to the address
        self._place    = Signal.like(self._verdict.last)
        self._keep     = Signal()   # the octet that passes
        self._told     = Signal(8)  # the present one of the reply to IDENTIFY

        super().__init__({
            "rx":         In(1, init=1),
            "tx":         Out(1, init=1),
            "accesses":   Out(stream.Signature(Access())),
            "octets":     In(stream.Signature(8)),
            "run":        Out(1),
            "reload":     Out(1),
            "status":     In(8),
            "facts":      In(stream.Signature(Fact())),
        })

    def elaborate(self, platform):
        m = Module()

        self._connect(m)
        self._locate(m)
        # One walk through the parts of a packet, first as it comes, then as its reply goes.
        with m.FSM():
            self._add_header(m)
            self._add_payload(m)
            self._add_check(m)
            self._add_obedience(m)

        return m

    def _connect(self, m):
        m.submodules.line     = line     = self._line
        m.submodules.verdict  = verdict  = self._verdict
        request = self._request

        m.d.comb += line.rx.eq(self.rx)
        m.d.comb += self.tx.eq(line.tx)
        m.d.comb += line.sending.eq(self._sending)
        with m.If(line.silent):
            m.d.sync += self._aligned.eq(1)
        with m.If(line.lost):
            m.d.sync += self._aligned.eq(0)

        m.d.comb += verdict.request.eq(request)
        m.d.comb += verdict.last.eq(self._place)
        m.d.comb += verdict.damaged.eq(line.check != 0)
        m.d.comb += verdict.repeated.eq(request.sequence == self._last_run)
        m.d.comb += verdict.status.eq(self.status)


    def _locate(self, m):
        request, index, place = self._request, self._index, self._place
        write, offset = Signal(), Signal(8)
        m.d.comb += write.eq(request.command == Command.WRITE)
        m.d.comb += self._writing.eq(write & (self._error == 0))
        m.d.comb += self._reading.eq((request.command == Command.READ) & (self._error == 0))

        # The octet at hand or, once a request has arrived, the last that it asks for.
        m.d.comb += self._heading.eq(index < protocol.ADDRESS_OCTETS + 1)
        m.d.comb += offset.eq(index - Mux(write, protocol.ADDRESS_OCTETS + 1, 1))
        m.d.sync += place.eq(request.address[:len(place) - 1] + offset)

        # Octets are kept at their place in a payload: those of a request in the lower half, those
        # of the reply to IDENTIFY in the upper, four bits at a time, while nothing else is kept.
        m.submodules.buffer = buffer = Memory(
            shape=16, depth=256, init=[octet << 8 for octet in self._identity],
            attrs={"ram_style": "block", "no_rw_check": True})
        store, stored = buffer.write_port(granularity=4), buffer.read_port()
        facts = self.facts
        m.d.comb += facts.ready.eq(~self._keep)
        m.d.comb += store.data.eq(Cat(self._line.octets.payload, facts.payload.nibble.replicate(2)))
        m.d.comb += stored.addr.eq(index)
        with m.If(self._keep):
            m.d.comb += store.addr.eq(index)
            m.d.comb += store.en.eq(0b0011)
        with m.Else():
            m.d.comb += store.addr.eq(HASH_PLACE + facts.payload.index[1:])
            m.d.comb += store.en[2].eq(facts.valid & ~facts.payload.index[0])
            m.d.comb += store.en[3].eq(facts.valid & facts.payload.index[0])

        m.d.comb += self._told.eq(stored.data[8:])
        with m.Switch(index):
            with m.Case(1):
                m.d.comb += self._told.eq(self.status)
            with m.Case(2):
                m.d.comb += self._told.eq(self._last_run)

        access = self.accesses.p
        m.d.comb += access.address.eq(Cat(place[:-1], Const(0, len(access.address) - len(place)),
                                          request.address[-1]))
        m.d.comb += access.write.eq(write)
        m.d.comb += access.data.eq(stored.data[:8])

    def _pass(self, m, then, reply):
        """Let one octet pass, either way; ``reply`` is the one to send."""
        line = self._line
        m.d.comb += line.replies.valid.eq(1)
        m.d.comb += line.replies.payload.eq(reply)
        with m.If(line.octets.valid):
            m.next = then
        with m.Elif(line.silent & ~self._sending):
            m.next = "SYNC"

    def _add_header(self, m):
        line, request, octet = self._line, self._request, self._line.octets.payload
        error = self._error
        keep  = line.octets.valid & ~self._sending

        with m.State("SYNC"):
            m.d.comb += line.start.eq(1)
            m.d.comb += line.replies.valid.eq(1)
            m.d.comb += line.replies.payload.eq(protocol.SYNC)
            begins = (octet == protocol.SYNC) & (self._aligned | self._sending)
            with m.If(line.octets.valid & begins):
                m.next = "COMMAND"
            with m.Elif(line.octets.valid):
                m.d.sync += self._aligned.eq(0)

        with m.State("COMMAND"):
            mark = Mux(error == 0, protocol.REPLY, protocol.REFUSAL)
            self._pass(m, "SEQUENCE", request.command | mark)
            with m.If(keep):
                m.d.sync += request.command.eq(octet)

        with m.State("SEQUENCE"):
            self._pass(m, "LENGTH", request.sequence)
            with m.If(keep):
                m.d.sync += request.sequence.eq(octet)

        with m.State("LENGTH"):
            length = Signal(8)
            with m.Switch(request.command):
                with m.Case(Command.IDENTIFY):
                    m.d.comb += length.eq(sum(protocol.IDENTITY.values()))
                with m.Case(Command.STATUS):
                    m.d.comb += length.eq(sum(protocol.STATE.values()))
                with m.Case(Command.READ):
                    m.d.comb += length.eq(request.count)
            self._pass(m, "NEXT", Mux(error == 0, length, 1))
            with m.If(line.octets.valid):
                m.d.sync += request.length.eq(octet)
                m.d.sync += self._index.eq(0)

    def _add_payload(self, m):
        line, request, index = self._line, self._request, self._index
        error, sending, storing, reading = self._error, self._sending, self._storing, self._reading

        with m.State("NEXT"):
            with m.If(index != request.length):
                m.d.sync += index.eq(index + 1)
                m.next = "PAYLOAD"
                with m.If(storing | (sending & reading)):
                    m.next = "FETCH"
            with m.Else():
                m.d.sync += storing.eq(0)
                m.next = "CRC_HIGH"
                with m.If(storing):
                    m.next = "SYNC"

        with m.State("FETCH"):
            m.next = "ACCESS"
            with m.If(storing & self._heading):
                m.next = "NEXT"

        with m.State("ACCESS"):
            m.d.comb += self.accesses.valid.eq(1)
            with m.If(self.accesses.ready):
                m.next = "PAYLOAD"
                with m.If(storing):
                    m.next = "NEXT"

        with m.State("PAYLOAD"):
            data = Mux(reading, self.octets.payload, self._told)
            self._pass(m, "NEXT", Mux(error == 0, data, error))
            m.d.comb += line.replies.valid.eq(~reading | self.octets.valid)
            m.d.comb += self.octets.ready.eq(reading & line.replies.ready)
            with m.If(line.octets.valid & ~sending):
                m.d.comb += self._keep.eq(1)
                m.d.sync += request.count.eq(line.octets.payload)
                with m.If(self._heading):
                    m.d.sync += request.address.eq(Cat(request.address[8:], line.octets.payload))

    def _add_check(self, m):
        line = self._line
        with m.State("CRC_HIGH"):
            self._pass(m, "CRC_LOW", line.check[8:])

        with m.State("CRC_LOW"):
            self._pass(m, "LOCATE", line.check[8:])
            with m.If(line.octets.valid & (self._request.command == Command.READ)):
                m.d.sync += self._index.eq(self._request.count)
            with m.If(line.octets.valid & self._sending):
                m.d.sync += self._sending.eq(0)
                m.d.sync += self._error.eq(0)
                m.next = "SYNC"

    def _add_obedience(self, m):
        with m.State("LOCATE"):
            m.next = "JUDGE"

        with m.State("JUDGE"):
            m.d.sync += self._error.eq(self._verdict.error)
            m.d.sync += self._sending.eq(1)
            with m.If(self._verdict.damaged):
                m.d.sync += self._aligned.eq(0)
            m.next = "OBEY"

        with m.State("OBEY"):
            m.d.sync += self._index.eq(0)
            m.next = "SYNC"
            with m.If(self._writing):
                m.d.sync += self._storing.eq(1)
                m.next = "NEXT"
            with m.If((self._error == 0) & (self._request.command == Command.RELOAD)):
                m.d.comb += self.reload.eq(1)
            with m.If((self._error == 0) & (self._request.command == Command.RUN)):
                m.d.comb += self.run.eq(self._request.sequence != self._last_run)
                m.d.sync += self._last_run.eq(self._request.sequence)

"""The board's end of the host link."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl import protocol
from hdl.link_address import Address
from hdl.link_identity import HASH_PLACE, Fact, identity
from hdl.link_line import Line
from hdl.link_verdict import Request, Verdict
from hdl.protocol import ADDRESS_OCTETS, Command
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
    grant : Out(1)
        High for one cycle when what a frame wants is there; ``status`` must not be WANTING in the
        next one.
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
        self._address  = Address(memory_bytes=memory_bytes, counter_bytes=counter_bytes)
        self._verdict  = Verdict()
        self._identity = identity(config_hash=config.hash, isa_version=isa_version)

        # The request, and what it is now: after it has arrived it is *tried*, which finds out
        # whether all of its octets exist, then judged, then obeyed, then answered.
        self._request  = Signal(Request(), reset_less=True)
        self._last_run = Signal(8)  # sequence of the last accepted RUN or GRANT
        self._error    = Signal(3)  # of the reply
        self._sending  = Signal()   # it has arrived
        self._trying   = Signal(reset_less=True)
        self._storing  = Signal()   # a WRITE is carried out
        self._reading  = Signal()
        self._writing  = Signal()
        self._aligned  = Signal()   # the next octet may begin a packet

        # Octets of the payload so far. The sequence is kept in the place before the first.
        self._index    = Signal(8, reset_less=True)
        self._ended    = Signal()
        self._stored   = Signal(8)  # of the request, at ``index`` of the cycle before
        self._told     = Signal(8)  # of the reply to IDENTIFY or STATUS, likewise
        self._keep     = Signal()   # what passes, at ``index``

        super().__init__({
            "rx":       In(1, init=1),
            "tx":       Out(1, init=1),
            "accesses": Out(stream.Signature(Access())),
            "octets":   In(stream.Signature(8)),
            "run":      Out(1),
            "reload":   Out(1),
            "grant":    Out(1),
            "status":   In(8),
            "facts":    In(stream.Signature(Fact())),
        })

    def elaborate(self, platform):
        m = Module()

        self._connect(m)
        self._add_buffer(m)
        # One walk through the parts of a packet, first as it comes, then as its reply goes.
        with m.FSM():
            self._add_header(m)
            self._add_payload(m)
            self._add_check(m)
            self._add_trial(m)
            self._add_obedience(m)

        return m

    def _connect(self, m):
        m.submodules.line    = line    = self._line
        m.submodules.address = address = self._address
        m.submodules.verdict = verdict = self._verdict
        request, access = self._request, self.accesses.p

        m.d.comb += line.rx.eq(self.rx)
        m.d.comb += self.tx.eq(line.tx)
        m.d.comb += line.sending.eq(self._sending)
        with m.If(line.silent):
            m.d.sync += self._aligned.eq(1)
        with m.If(line.lost):
            m.d.sync += self._aligned.eq(0)

        m.d.comb += verdict.request.eq(request)
        m.d.comb += verdict.request.damaged.eq(line.damaged)
        m.d.comb += verdict.status.eq(self.status)
        m.d.comb += self._writing.eq((request.command == Command.WRITE) & (self._error == 0))
        m.d.comb += self._reading.eq((request.command == Command.READ) & (self._error == 0))
        m.d.comb += self._ended.eq(self._index == request.length)

        m.d.comb += address.octet.eq(self._stored)
        m.d.comb += address.write.eq(request.command == Command.WRITE)
        m.d.comb += access.address.eq(address.address)
        m.d.comb += access.write.eq(address.write)
        m.d.comb += access.data.eq(self._stored)

    def _add_buffer(self, m):
        # Octets are kept at their place in a payload: those of a request in the lower half, those
        # of the reply to IDENTIFY in the upper, four bits at a time, while nothing else is kept.
        m.submodules.buffer = buffer = Memory(
            shape=16, depth=256, init=[octet << 8 for octet in self._identity],
            attrs={"ram_style": "block", "no_rw_check": True})
        store, stored = buffer.write_port(granularity=4), buffer.read_port()
        index, facts, part = self._index, self.facts, self.facts.payload
        m.d.comb += facts.ready.eq(~self._keep)
        m.d.comb += store.data.eq(Cat(self._line.octet, part.nibble, part.nibble))
        with m.If(self._keep):
            m.d.comb += store.addr.eq(index)
            m.d.comb += store.en.eq(0b0011)
        with m.Else():
            m.d.comb += store.addr.eq(HASH_PLACE + part.index[1:])
            m.d.comb += store.en[2:].eq(facts.valid << part.index[0])

        m.d.comb += stored.addr.eq(index)
        m.d.comb += self._stored.eq(stored.data[:8])
        m.d.comb += self._told.eq(stored.data[8:])
        with m.Switch(index[:bits_for(sum(protocol.IDENTITY.values()))]):
            with m.Case(1):
                m.d.comb += self._told.eq(self.status)
            with m.Case(2):
                m.d.comb += self._told.eq(self._last_run)

    def _pass(self, m, then, reply):
        """Let one octet pass, either way; ``reply`` is the one to send."""
        line = self._line
        m.d.comb += line.replies.valid.eq(1)
        m.d.comb += line.replies.payload.eq(reply)
        with m.If(line.passed):
            m.next = then
        with m.Elif(line.silent & ~self._sending):
            m.next = "SYNC"

    def _add_header(self, m):
        line, request, octet = self._line, self._request, self._line.octet
        error, last_run = self._error, self._last_run
        comes, small, tiny = Signal(), Signal(), Signal()
        m.d.comb += comes.eq(line.passed & ~self._sending)
        m.d.comb += small.eq((octet & ~protocol.COMMAND_MASK) == 0)
        m.d.comb += tiny.eq(small & (octet[:2] == 0))  # 0, or ADDRESS_OCTETS + 1

        with m.State("SYNC"):
            m.d.comb += line.start.eq(1)
            m.d.comb += line.replies.valid.eq(1)
            m.d.comb += line.replies.payload.eq(protocol.SYNC)
            m.d.sync += self._index.eq(0)
            with m.If(line.passed):
                with m.If((octet == protocol.SYNC) & (self._aligned | self._sending)):
                    m.next = "COMMAND"
                with m.Else():
                    m.d.sync += self._aligned.eq(0)

        with m.State("COMMAND"):
            mark = Mux(error == 0, protocol.REPLY, protocol.REFUSAL)
            self._pass(m, "SEQUENCE", request.command | mark)
            with m.If(comes):
                m.d.sync += request.command.eq(octet)
                m.d.sync += request.strange.eq(~small)

        with m.State("SEQUENCE"):
            self._pass(m, "LENGTH", self._stored)
            m.d.comb += self._keep.eq(comes)
            with m.If(comes):
                m.d.sync += request.null.eq(tiny & ~octet[2])
                m.d.sync += request.repeated.eq(octet == last_run)
            with m.Elif(line.passed & (error == 0) & ((request.command == Command.RUN)
                                                      | (request.command == Command.GRANT))):
                m.d.sync += last_run.eq(octet)

        with m.State("LENGTH"):
            length = Signal(8)
            with m.Switch(request.command):
                with m.Case(Command.IDENTIFY):
                    m.d.comb += length.eq(sum(protocol.IDENTITY.values()))
                with m.Case(Command.STATUS):
                    m.d.comb += length.eq(sum(protocol.STATE.values()))
                with m.Case(Command.READ):
                    m.d.comb += length.eq(request.length)
            self._pass(m, "NEXT", Mux(error == 0, length, 1))
            with m.If(line.passed):
                m.d.sync += request.length.eq(octet)
                m.d.sync += request.measured.eq(tiny & octet[2])

    def _add_payload(self, m):
        line, request, index = self._line, self._request, self._index
        error, sending, storing, reading = self._error, self._sending, self._storing, self._reading

        with m.State("NEXT"):
            with m.If(~self._ended):
                m.d.sync += index.eq(index + 1)
                m.next = "PAYLOAD"
                with m.If(storing | (sending & reading)):
                    m.next = "FETCH"
                with m.If(self._trying):
                    m.d.comb += self._address.step.eq(1)
                    m.next = "NEXT"
                    with m.If(~self._address.exists):
                        m.d.sync += request.beyond.eq(1)
            with m.Else():
                m.d.sync += storing.eq(0)
                m.next = "CRC LOW"
                with m.If(storing):
                    m.next = "SYNC"
                with m.If(self._trying):
                    m.next = "JUDGE"

        with m.State("FETCH"):
            m.next = "ACCESS"

        with m.State("ACCESS"):
            m.d.comb += self.accesses.valid.eq(1)
            with m.If(self.accesses.ready):
                m.d.comb += self._address.step.eq(1)
                m.next = "PAYLOAD"
                with m.If(storing):
                    m.next = "NEXT"

        with m.State("PAYLOAD"):
            given = Mux(reading, self.octets.payload, self._told)
            self._pass(m, "NEXT", Mux(error == 0, given, error))
            m.d.comb += line.replies.valid.eq(~reading | self.octets.valid)
            m.d.comb += self.octets.ready.eq(reading & sending & line.passed)
            with m.If(line.passed & ~sending):
                m.d.comb += self._keep.eq(1)
                with m.If(self._ended & reading & request.measured):
                    m.d.sync += request.length.eq(line.octet)
                    m.next = "CRC LOW"

    def _add_check(self, m):
        line = self._line
        for state, following in (("CRC LOW", "CRC HIGH"), ("CRC HIGH", "ADDRESS")):
            with m.State(state):
                self._pass(m, following, 0)
                m.d.comb += line.checking.eq(1)
                if following == "ADDRESS":
                    with m.If(line.passed):
                        m.d.sync += self._index.eq(0)
                        m.d.sync += self._sending.eq(~self._sending)
                        m.d.sync += self._trying.eq(~self._sending)
                        m.d.sync += self._request.beyond.eq(0)
                        m.d.sync += self._error.eq(0)
                        with m.If(self._sending):
                            m.next = "SYNC"

    def _add_trial(self, m):
        address, index = self._address, self._index
        # Octets of the payload go through, of which the last three are the address.
        with m.State("ADDRESS"):
            m.d.comb += address.shift.eq(1)
            m.d.sync += index.eq(index + 1)
            with m.If(index == ADDRESS_OCTETS):
                m.d.sync += index.eq(index)
                m.next = "LAST"

        with m.State("LAST"):
            m.d.comb += address.shift.eq(1)
            with m.If(self._request.command != Command.WRITE):
                m.d.sync += index.eq(0)
            m.next = "NEXT"
            with m.If(~self._trying & ~self._storing):
                m.next = "SYNC"

    def _add_obedience(self, m):
        error, request = self._error, self._request
        with m.State("JUDGE"):
            m.d.sync += error.eq(self._verdict.error)
            m.d.sync += self._trying.eq(0)
            m.d.sync += self._index.eq(0)
            with m.If(self._line.damaged):
                m.d.sync += self._aligned.eq(0)
            m.next = "OBEY"

        with m.State("OBEY"):
            m.d.sync += self._storing.eq(self._writing)
            m.next = "SYNC"
            with m.If(self._writing | self._reading):
                m.next = "ADDRESS"
            m.d.comb += self.reload.eq((error == 0) & (request.command == Command.RELOAD))
            m.d.comb += self.run.eq((error == 0) & (request.command == Command.RUN)
                                    & ~request.repeated)
            m.d.comb += self.grant.eq((error == 0) & (request.command == Command.GRANT)
                                      & ~request.repeated)

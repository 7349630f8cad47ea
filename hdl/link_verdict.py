"""What may be asked of the board, and when."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hdl import protocol
from hdl.protocol import ADDRESS_OCTETS, Command, Error, Status


__all__ = ["Request", "Verdict"]


class Request(data.StructLayout):
    """What is kept of a request."""
    def __init__(self):
        super().__init__({
            "command":  bits_for(protocol.COMMAND_MASK),
            "strange":  1,  # the command has other bits
            "null":     1,  # the sequence is 0
            "repeated": 1,  # the sequence is that of the last accepted RUN or GRANT
            "measured": 1,  # the payload has the length of that of READ
            "length":   8,  # of the payload or, once that of READ has arrived, the octets to read
            "beyond":   1,  # not all octets exist
            "damaged":  1,  # the checksum is wrong
        })


class Verdict(wiring.Component):
    """Tells the first thing that is wrong with a request, in the order of `protocol.Error`.

    Combinational.

    Members
    -------
    request : In(Request())
        A request that has arrived.
    status : In(n)
        A `protocol.Status`.
    error : Out(3)
        A `protocol.Error`, or 0.
    """

    request: In(Request())
    status:  In(bits_for(max(Status)))
    error:   Out(3)

    def elaborate(self, platform):
        m = Module()

        request = self.request
        unknown, malformed, busy, touches = Signal(), Signal(), Signal(), Signal()
        running, wanting = Signal(), Signal()

        reads  = request.command == Command.READ
        writes = request.command == Command.WRITE
        grants = request.command == Command.GRANT
        known  = Cat(request.command == command for command in Command).any()
        m.d.comb += touches.eq(reads | writes)
        m.d.comb += unknown.eq(request.strange | ~known)
        m.d.comb += malformed.eq(request.length != 0)
        with m.If(reads):
            m.d.comb += malformed.eq(~request.measured | (request.length == 0))
        with m.If(writes):
            m.d.comb += malformed.eq(~request.length[exact_log2(ADDRESS_OCTETS + 1):].any())
        m.d.comb += wanting.eq(self.status == Status.WANTING)
        m.d.comb += running.eq((self.status == Status.RUNNING) | wanting)
        m.d.comb += busy.eq((self.status == Status.STARTING) | (running & ~(wanting & writes)))

        with m.If(request.damaged):
            m.d.comb += self.error.eq(Error.BAD_CRC)
        with m.Elif(unknown):
            m.d.comb += self.error.eq(Error.UNKNOWN_COMMAND)
        with m.Elif(malformed):
            m.d.comb += self.error.eq(Error.BAD_LENGTH)
        with m.Elif(touches & request.beyond):
            m.d.comb += self.error.eq(Error.BAD_ADDRESS)
        with m.Elif((request.command == Command.RUN) | grants):
            with m.If(request.null):
                m.d.comb += self.error.eq(Error.BAD_SEQUENCE)
            with m.Elif(~request.repeated
                        & ~Mux(grants, wanting, self.status == Status.READY)):
                m.d.comb += self.error.eq(Mux(running, Error.BUSY, Error.NOT_READY))
        with m.Elif(touches | (request.command == Command.RELOAD)):
            m.d.comb += self.error.eq(Mux(busy, Error.BUSY, 0))

        return m

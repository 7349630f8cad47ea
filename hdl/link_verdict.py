"""What may be asked of the board, and when."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl import protocol
from hdl.protocol import Command, Error, Status


__all__ = ["Request", "Verdict"]


class Request(data.StructLayout):
    """A request without its data; ``count`` is the last octet of its payload."""
    def __init__(self):
        super().__init__({
            "command":  8,
            "sequence": 8,
            "length":   8,
            "address":  8 * protocol.ADDRESS_OCTETS,
            "count":    8,
        })


class Verdict(wiring.Component):
    """Tells the first thing that is wrong with a request, in the order of `protocol.Error`.

    Combinational.

    Parameters
    ----------
    memory_bytes, counter_bytes : int
        Octets that exist from address 0, and from address `protocol.COUNTERS`.

    Members
    -------
    request : In(Request())
        A request that has arrived.
    last : In(n)
        Address of the last octet asked for, without bits that ``request.address`` has; ``n`` is
        one more than the bits of an address of the memory, for the carry.
    damaged : In(1)
        The checksum was wrong.
    repeated : In(1)
        The sequence is that of the last accepted RUN.
    status : In(n)
        A `protocol.Status`.
    error : Out(3)
        A `protocol.Error`, or 0.
    """
    def __init__(self, *, memory_bytes, counter_bytes):
        if not 0 < counter_bytes <= memory_bytes <= protocol.COUNTERS:
            raise ValueError(f"'counter_bytes' must be between 1 and 'memory_bytes', and that at "
                             f"most {protocol.COUNTERS}, not {counter_bytes!r}, {memory_bytes!r}")
        self._memory_bytes = memory_bytes
        self._counter_bytes = counter_bytes

        super().__init__({
            "request":  In(Request()),
            "last":     In(bits_for(memory_bytes - 1) + 1),
            "damaged":  In(1),
            "repeated": In(1),
            "status":   In(bits_for(max(Status))),
            "error":    Out(3),
        })

    def elaborate(self, platform):
        m = Module()

        request = self.request
        unknown, malformed, beyond, busy = Signal(), Signal(), Signal(), Signal()

        reads    = request.command == Command.READ
        writes   = request.command == Command.WRITE
        counters = request.address[-1]
        excess   = request.address[len(self.last) - 1:-1]
        no_read  = (request.length != protocol.ADDRESS_OCTETS + 1) | (request.count == 0)
        no_write = request.length < protocol.ADDRESS_OCTETS + 1
        outside  = Mux(counters, writes | (self.last >= self._counter_bytes),
                       self.last >= self._memory_bytes)
        m.d.comb += unknown.eq(~Cat(request.command == command for command in Command).any())
        m.d.comb += malformed.eq(Mux(reads, no_read, Mux(writes, no_write, request.length != 0)))
        m.d.comb += beyond.eq((reads | writes) & (excess.any() | outside))
        m.d.comb += busy.eq((self.status == Status.STARTING) | (self.status == Status.RUNNING))

        with m.If(self.damaged):
            m.d.comb += self.error.eq(Error.BAD_CRC)
        with m.Elif(unknown):
            m.d.comb += self.error.eq(Error.UNKNOWN_COMMAND)
        with m.Elif(malformed):
            m.d.comb += self.error.eq(Error.BAD_LENGTH)
        with m.Elif(beyond):
            m.d.comb += self.error.eq(Error.BAD_ADDRESS)
        with m.Elif(request.command == Command.RUN):
            with m.If(request.sequence == 0):
                m.d.comb += self.error.eq(Error.BAD_SEQUENCE)
            with m.Elif(~self.repeated & (self.status != Status.READY)):
                m.d.comb += self.error.eq(Mux(self.status == Status.RUNNING, Error.BUSY,
                                              Error.NOT_READY))
        with m.Elif(reads | writes | (request.command == Command.RELOAD)):
            m.d.comb += self.error.eq(Mux(busy, Error.BUSY, 0))

        return m

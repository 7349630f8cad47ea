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
        malformed, beyond, busy = Signal(), Signal(), Signal()
        refusal = Signal.like(self.error)

        counters = request.address[-1]
        excess   = request.address[len(self.last) - 1:-1]
        written  = request.command == Command.WRITE
        outside  = Mux(counters, written | (self.last >= self._counter_bytes),
                       self.last >= self._memory_bytes)
        m.d.comb += beyond.eq(excess.any() | outside)
        m.d.comb += busy.eq((self.status == Status.STARTING) | (self.status == Status.RUNNING))

        m.d.comb += malformed.eq(request.length != 0)
        with m.Switch(request.command):
            with m.Case(Command.IDENTIFY, Command.STATUS):
                pass
            with m.Case(Command.WRITE, Command.READ):
                with m.If(request.command == Command.READ):
                    m.d.comb += malformed.eq((request.length != protocol.ADDRESS_OCTETS + 1)
                                             | (request.count == 0))
                with m.Else():
                    m.d.comb += malformed.eq(request.length < protocol.ADDRESS_OCTETS + 1)
                with m.If(beyond):
                    m.d.comb += refusal.eq(Error.BAD_ADDRESS)
                with m.Elif(busy):
                    m.d.comb += refusal.eq(Error.BUSY)
            with m.Case(Command.RUN):
                with m.If(request.sequence == 0):
                    m.d.comb += refusal.eq(Error.BAD_SEQUENCE)
                with m.Elif(~self.repeated & (self.status == Status.RUNNING)):
                    m.d.comb += refusal.eq(Error.BUSY)
                with m.Elif(~self.repeated & (self.status != Status.READY)):
                    m.d.comb += refusal.eq(Error.NOT_READY)
            with m.Case(Command.RELOAD):
                m.d.comb += refusal.eq(Mux(busy, Error.BUSY, 0))
            with m.Default():
                m.d.comb += malformed.eq(0)
                m.d.comb += refusal.eq(Error.UNKNOWN_COMMAND)

        with m.If(self.damaged):
            m.d.comb += self.error.eq(Error.BAD_CRC)
        with m.Elif(malformed):
            m.d.comb += self.error.eq(Error.BAD_LENGTH)
        with m.Else():
            m.d.comb += self.error.eq(refusal)

        return m

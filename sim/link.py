"""The software twin of `hdl.link`: a board that answers the host, without gateware."""

from collections.abc import Callable

from hdl import protocol
from hdl.protocol import Command, Error, Status


__all__ = ["LinkModel"]

BUSY = Status.STARTING, Status.RUNNING, Status.WANTING


class LinkModel:
    """Answers requests as `hdl.link.Link` does, octet for octet.

    The attributes ``status``, ``image_hash``, ``memory`` and ``counters`` are the core's
    side, free to change; ``on_run``, ``on_reload`` and ``on_grant`` are called where the link
    strobes ``run``, ``reload`` and ``grant``.
    """

    def __init__(self, *, memory_bytes: int, counter_bytes: int = 64, config_hash: int = 0,
                 isa_version: int = 1) -> None:
        self.memory = bytearray(memory_bytes)
        self.counters = bytearray(counter_bytes)
        self.status: int = Status.READY
        self.image_hash = 0
        self.last_run = 0
        self.on_run: Callable[[], None] = lambda: None
        self.on_reload: Callable[[], None] = lambda: None
        self.on_grant: Callable[[], None] = lambda: None
        self._config_hash = config_hash
        self._isa_version = isa_version
        self._aligned = False
        self._packet = bytearray()

    def silence(self) -> None:
        """The line was idle for as long as separates packets."""
        self._aligned = True
        self._packet.clear()

    def receive(self, octets: bytes) -> bytes:
        """Take octets that follow each other closely, and return the reply, if there is one.

        What follows a request comes while the board is busy with it, and is lost.
        """
        for place, octet in enumerate(octets):
            if not self._packet and not (self._aligned and octet == protocol.SYNC):
                self._aligned = False
                continue
            self._packet.append(octet)
            if len(self._packet) >= 6 and len(self._packet) == self._packet[3] + 6:
                reply = self._answer(bytes(self._packet))
                self._packet.clear()
                if place < len(octets) - 1:
                    self._aligned = False
                return reply
        return b""

    def _answer(self, packet: bytes) -> bytes:
        request = protocol.Packet(packet[1], packet[2], packet[4:-2])
        if protocol.crc16(packet[1:]) != 0:
            self._aligned = False
            error = Error.BAD_CRC
        else:
            error = self._judge(request)
        if error:
            return protocol.pack(request.command & protocol.COMMAND_MASK | protocol.REFUSAL,
                                 request.sequence, bytes((error,)))
        return protocol.pack(request.command | protocol.REPLY, request.sequence,
                             self._obey(request))

    def _judge(self, request: protocol.Packet) -> int:
        command, size = request.command, len(request.payload)
        if command not in tuple(Command):
            return Error.UNKNOWN_COMMAND
        if command == Command.WRITE:
            well_formed = size > protocol.ADDRESS_OCTETS
        elif command == Command.READ:
            well_formed = size == protocol.ADDRESS_OCTETS + 1 and request.payload[-1] > 0
        else:
            well_formed = size == 0
        if not well_formed:
            return Error.BAD_LENGTH
        if command in (Command.READ, Command.WRITE) and not self._exists(request):
            return Error.BAD_ADDRESS
        if command in (Command.RUN, Command.GRANT):
            return self._judge_once(
                request.sequence, Status.READY if command == Command.RUN else Status.WANTING)
        if command in (Command.STATUS, Command.IDENTIFY):
            return 0
        if self.status == Status.WANTING and command == Command.WRITE:
            return 0
        return Error.BUSY if self.status in BUSY else 0

    def _judge_once(self, sequence: int, wanted: Status) -> int:
        if sequence == 0:
            return Error.BAD_SEQUENCE
        if sequence == self.last_run or self.status == wanted:
            return 0
        return (Error.BUSY if self.status in (Status.RUNNING, Status.WANTING) else
                Error.NOT_READY)

    def _exists(self, request: protocol.Packet) -> bool:
        space, start, count = self._span(request)
        return (start + count <= len(space)
                and not (space is self.counters and request.command == Command.WRITE))

    def _span(self, request: protocol.Packet) -> tuple[bytearray, int, int]:
        where = int.from_bytes(request.payload[:protocol.ADDRESS_OCTETS], "little")
        data = request.payload[protocol.ADDRESS_OCTETS:]
        count = len(data) if request.command == Command.WRITE else data[0]
        if where >= protocol.COUNTERS:
            return self.counters, where - protocol.COUNTERS, count
        return self.memory, where, count

    def _obey(self, request: protocol.Packet) -> bytes:
        facts = {"protocol": protocol.VERSION, "isa": self._isa_version, "status": self.status,
                 "config_hash": self._config_hash, "image_hash": self.image_hash,
                 "last_run": self.last_run}
        match request.command:
            case Command.IDENTIFY:
                return protocol.pack_fields(protocol.IDENTITY, facts)
            case Command.STATUS:
                return protocol.pack_fields(protocol.STATE, facts)
            case Command.READ:
                space, start, count = self._span(request)
                return bytes(space[start:start + count])
            case Command.WRITE:
                space, start, count = self._span(request)
                space[start:start + count] = request.payload[protocol.ADDRESS_OCTETS:]
            case Command.RUN if request.sequence != self.last_run:
                self.last_run = request.sequence
                self.on_run()
            case Command.GRANT if request.sequence != self.last_run:
                self.last_run = request.sequence
                self.on_grant()
            case Command.RELOAD:
                self.on_reload()
        return b""

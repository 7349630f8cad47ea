"""Drives a board over its serial line, and lets nothing wrong pass."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from compiler.errors import UserError
from hdl import protocol
from hdl.counters import CAUSES, LAYERS
from hdl.protocol import Command, Error, Status


__all__ = [
    "Accelerator",
    "HostError",
    "Identity",
    "LinkError",
    "NoAnswerError",
    "Piece",
    "RefusedError",
    "State",
    "Transport",
]

Piece = tuple[int, bytes]  # octets, and where in the activation memory they are written


class HostError(UserError):
    """The board cannot do what was asked of it."""


class RefusedError(HostError):
    """The board works, and says no."""


class LinkError(HostError):
    """What comes from the board is no protocol of ours, or too often damaged."""

    exit_status = 2


class NoAnswerError(HostError):
    """Nothing comes from the board."""

    exit_status = 3


class Transport(Protocol):
    """A serial line, or something that behaves like one."""

    def write(self, octets: bytes, /) -> None:
        """Send all of ``octets``, in one piece."""

    def read(self, max_bytes: int, timeout: float, /) -> bytes:
        """Return between 1 and ``max_bytes`` octets, or none where ``timeout`` seconds bring none.
        """


@dataclass(frozen=True, kw_only=True)
class State:
    """What the board is doing."""

    status: Status
    last_run: int


@dataclass(frozen=True, kw_only=True)
class Identity(State):
    """What the board is."""

    protocol: int
    isa: int
    config_hash: int
    image_hash: int


BABBLE = 1000  # reads that may find something before the line counts as noisy
STALE  = 8     # late replies to other requests that may come before the reply

REWRITE = "write the image to the flash again, then reload"
REBUILD = "build the image for this gateware, write it to the flash, then reload"
REASONS = {
    Status.NO_IMAGE:         f"there is none in its flash; {REWRITE}",
    Status.WRONG_VERSION:    f"it was made for another instruction set; {REBUILD}",
    Status.WRONG_CONFIG:     f"it was made for another configuration; {REBUILD}",
    Status.CORRUPT_HEADER:   f"its header is corrupt; {REWRITE}",
    Status.CORRUPT_RESIDENT: f"its resident section is corrupt; {REWRITE}",
    Status.CORRUPT_PROGRAM:  f"its program section is corrupt; {REWRITE}",
    Status.CORRUPT_META:     f"its meta section is corrupt; {REWRITE}",
}


class Accelerator:
    """A board at the other end of ``transport``.

    A request that is not answered within ``timeout`` seconds, or whose request or reply was
    damaged, is repeated ``retries`` times; repeating never changes what the board does. Before
    it is repeated the line must be quiet for ``quiet`` seconds, which must be longer than the
    silence that the board waits for (two times `hdl.protocol.GAP_OCTETS` octets) and than the
    transport keeps octets back. A frame or a check of the image may take ``patience`` seconds.

    Every method raises `NoAnswerError` where the board is silent, `LinkError` where it cannot be
    understood, and `RefusedError` where it refuses what the method asks.
    """

    def __init__(self, transport: Transport, timeout: float = 0.25, retries: int = 4, *,
                 quiet: float = 0.1, patience: float = 30.0) -> None:
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._quiet = quiet
        self._patience = patience
        self._sequence = 0
        self._last_run: int | None = None  # unknown
        self._in_step = False  # nothing but the next reply is on the line
        self._heard = False    # something came since the request was first sent

    # What a board can do

    def identify(self) -> Identity:
        """Ask the board what it is."""
        reply = self._obtain(Command.IDENTIFY, size=sum(protocol.IDENTITY.values()))
        values = protocol.unpack_fields(protocol.IDENTITY, reply)
        if values["protocol"] != protocol.VERSION:
            raise LinkError(f"The board must speak version {protocol.VERSION} of the link, "
                            f"not {values['protocol']}; build its bitstream again")
        return Identity(**values | {"status": _status(values["status"])})

    def status(self) -> State:
        """Ask the board what it is doing."""
        reply = self._obtain(Command.STATUS, size=sum(protocol.STATE.values()))
        values = protocol.unpack_fields(protocol.STATE, reply)
        return State(**values | {"status": _status(values["status"])})

    def write(self, address: int, data: bytes) -> None:
        """Write ``data`` to the activation memory, once no frame runs that another has begun."""
        _check_range(address, len(data))
        if self._last_run is None:
            self._last_run = self._settle().last_run
        self._put(address, data)

    def _put(self, address: int, data: bytes) -> None:
        for at in range(0, len(data), protocol.MAX_WRITE):
            self._obtain(Command.WRITE, protocol.address(address + at)
                         + data[at:at + protocol.MAX_WRITE])

    def read(self, address: int, count: int) -> bytes:
        """Return ``count`` octets of the activation memory, or of the counters."""
        _check_range(address, count)
        data = b""
        while len(data) < count:
            size = min(count - len(data), protocol.MAX_READ)
            data += self._obtain(Command.READ, protocol.address(address + len(data))
                                 + bytes((size,)), size)
        return data

    def run(self, parts: Iterable[Iterable[Piece]] = ()) -> State:
        """Run one frame, and return the state at its end.

        ``parts`` are what the program wants of its input while it runs, in order: all but the
        first part, which is written before.
        """
        if self._last_run is None:
            self._last_run = self._settle().last_run
        sequence = self._last_run % 255 + 1
        self._last_run = None
        self._obtain(Command.RUN, sequence=sequence)
        for part in parts:
            if self._state_after(sequence).status != Status.WANTING:
                raise HostError("The board must want every part of the input, and has ended a "
                                "frame before; use the image that the parts were made for")
            for address, data in part:
                self._put(address, data)
            sequence = sequence % 255 + 1
            self._obtain(Command.GRANT, sequence=sequence)
        state = self._state_after(sequence)
        if state.status == Status.WANTING:
            raise HostError("The board must be given every part of the input that its program "
                            "wants, and wants one more")
        self._last_run = sequence
        return _usable(state)

    def reload(self) -> State:
        """Let the board check its image again, and return the state after that."""
        self._obtain(Command.RELOAD)
        return _usable(self._settle())

    def counters(self, count: int) -> list[int]:
        """Return the first ``count`` counters as the last frame left them."""
        data = self.read(protocol.COUNTERS, 4 * count)
        return [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]

    def cycles(self) -> int:
        """Return how many cycles the last frame took: all counters together."""
        return sum(self.counters(LAYERS * CAUSES))

    # Requests

    def _obtain(self, command: Command, payload: bytes = b"", size: int = 0, *,
                sequence: int | None = None) -> bytes:
        """Return the payload of the reply, of ``size`` octets, once the board is ready to."""
        deadline = time.monotonic() + self._patience
        reply = self._request(command, payload, sequence)
        while reply in (Error.BUSY, Error.NOT_READY) and time.monotonic() < deadline:
            state = self._settle()
            if reply == Error.NOT_READY:
                _usable(state)
            reply = self._request(command, payload, sequence)
        if isinstance(reply, Error):
            raise RefusedError(f"The board refuses {command.name} of {len(payload)} octets as "
                               f"{reply.name}")
        if len(reply) != size:
            raise LinkError(f"A reply to {command.name} must have {size} octets, "
                            f"not {len(reply)}")
        return reply

    def _settle(self) -> State:
        """Wait until the board is neither starting nor running; a frame that nobody gives what it
        wants goes on without."""
        while (state := self._wait(Status.STARTING, Status.RUNNING)).status == Status.WANTING:
            self._request(Command.GRANT, b"", state.last_run % 255 + 1)
        return state

    def _state_after(self, sequence: int) -> State:
        """Return the state when the board no longer runs what the request ``sequence`` began."""
        state = self._wait(Status.RUNNING)
        if state.last_run != sequence:
            raise HostError("The board must not be reset while a frame is running; run it again")
        return state

    def _wait(self, *busy: Status) -> State:
        """Wait while the board is ``busy``."""
        deadline = time.monotonic() + self._patience
        while (state := self.status()).status in busy:
            if time.monotonic() >= deadline:
                raise HostError(f"The board must be done within {self._patience:g} seconds, not "
                                f"still {state.status.name}; reset it")
        return state

    def _request(self, command: Command, payload: bytes, sequence: int | None) -> bytes | Error:
        """Return the payload of the reply, or why the board refuses."""
        if sequence is None:
            self._sequence = sequence = (self._sequence + 1) % 256
        packet = protocol.pack(command, sequence, payload)
        self._heard = False
        try:
            for _ in range(1 + self._retries):
                if not self._in_step:
                    self._resynchronise()
                self._in_step = False
                self._transport.write(packet)
                reply = self._reply(command, sequence)
                if reply is not None:
                    self._in_step = True
                    return reply
        except OSError as error:
            raise NoAnswerError(f"The serial line has failed: {error}") from error
        if self._heard:
            raise LinkError(f"The board must answer {command.name} with a packet, not with "
                            f"damaged ones {1 + self._retries} times; check baud rate and cable")
        raise NoAnswerError(f"The board must answer {command.name}, and did not "
                            f"{1 + self._retries} times; check port, power and bitstream")

    def _resynchronise(self) -> None:
        """Wait until what is under way has arrived and the board expects a new packet."""
        for _ in range(BABBLE):
            if not self._transport.read(protocol.MAX_PAYLOAD, self._quiet):
                return
        raise LinkError("The serial line must be quiet between packets, not full of noise; "
                        "check baud rate and cable")

    def _reply(self, command: Command, sequence: int) -> bytes | Error | None:
        """Return what answers this request, or None where it must be repeated."""
        for _ in range(STALE):
            octets = self._take(4)
            if len(octets) < 4 or octets[0] != protocol.SYNC:
                return None
            octets += self._take(octets[3] + 2)
            try:
                packet = protocol.unpack(octets)
            except ValueError:
                return None
            if (packet.command, packet.sequence) == (command | protocol.REPLY, sequence):
                return bytes(packet.payload)
            error = _error(packet)
            if error == Error.BAD_CRC:
                return None
            if (packet.command, packet.sequence) == (command | protocol.REFUSAL, sequence):
                return error
        return None

    def _take(self, count: int) -> bytes:
        """Return the next ``count`` octets, or fewer where the line falls silent."""
        octets = b""
        while len(octets) < count:
            part = self._transport.read(count - len(octets), self._timeout)
            if not part:
                break
            self._heard = True
            octets += part
        return octets


def _error(packet: protocol.Packet) -> Error | None:
    """Return the error that a refusal bears; None of another packet."""
    if packet.command & protocol.REFUSAL != protocol.REFUSAL:
        return None
    if len(packet.payload) != 1 or packet.payload[0] not in tuple(Error):
        raise LinkError(f"A refusal must bear one known error, not {packet.payload.hex()!r}")
    return Error(packet.payload[0])


def _status(value: int) -> Status:
    if value not in tuple(Status):
        raise LinkError(f"The status of the board must be a known one, not {value}")
    return Status(value)


def _usable(state: State) -> State:
    """Return ``state``, or raise `RefusedError` where the board cannot run its image."""
    if state.status in REASONS:
        raise RefusedError(f"The board refuses its image: {REASONS[state.status]}")
    return state


def _check_range(address: int, count: int) -> None:
    if address < 0 or count < 0 or address + count > 1 << 8 * protocol.ADDRESS_OCTETS:
        raise HostError(f"Octets must lie between address 0 and "
                        f"{(1 << 8 * protocol.ADDRESS_OCTETS) - 1}, not at {address} "
                        f"to {address + count - 1}")

"""Requests to a board over its serial line, which may damage or lose what passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from compiler.errors import UserError
from hdl import protocol
from hdl.protocol import Command, Error


__all__ = ["HostError", "Link", "LinkError", "NoAnswerError", "Traffic", "Transport"]


class HostError(UserError):
    """The board cannot do what was asked of it."""


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


@dataclass
class Traffic:
    """What became of the requests so far; those that were sent again count each time."""

    requests: int = 0
    damaged: int = 0  # either the request or its reply
    silent: int = 0   # nothing came back

    @property
    def retries(self) -> int:
        """Requests that had to be sent again."""
        return self.damaged + self.silent


BABBLE   = 1000  # reads that may find something before the line counts as noisy
STALE    = 8     # late replies to other requests that may come before the reply
STRANGER = 4     # retries of a board of which nothing was ever heard
WAITS    = 16    # time-outs that an octet of a reply may take on a slow line
SHORTEST = 8     # octets of data that a packet is never shortened below


class Link:
    """Sends requests, each once, and takes their replies.

    A board that keeps an octet back for ``timeout`` seconds is given more time, up to `WAITS` times
    as much, until it answers. Behind a loss the line must be quiet for ``quiet`` seconds before
    anything is sent. After ``retries`` losses in a row, there is no other try.

    Attributes
    ----------
    traffic : Traffic
    length : int
        Octets of data that a packet should carry. The more octets a packet has, the more of these
        packets are damaged; the fewer, the more of the line is spent on what surrounds the data.
    """

    def __init__(self, transport: Transport, timeout: float, retries: int, quiet: float) -> None:
        self.traffic = Traffic()
        self.length = protocol.MAX_PAYLOAD
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._quiet = quiet
        self._sequence = 0
        self._in_step = False   # nothing but the next reply is on the line
        self._answered = False  # the board has been understood once
        self._losses = 0        # in a row
        self._heard = False     # something came in these
        self._waits = 1         # time-outs that an octet of a reply may take
        self._waited = 0        # that one of this reply did take

    def ask(self, command: Command, payload: bytes = b"",
            sequence: int | None = None) -> bytes | Error | None:
        """Send a request once, and return the payload of its reply, or why the board refuses.

        None stands for a request or reply that was lost. Raises `LinkError` or `NoAnswerError`
        where too many were.
        """
        if sequence is None:
            self._sequence = sequence = (self._sequence + 1) % 256
        self.traffic.requests += 1
        try:
            if not self._in_step:
                self._resynchronise()
            self._in_step = False
            self._transport.write(protocol.pack(command, sequence, payload))
            reply = self._reply(command, sequence)
        except OSError as error:
            raise NoAnswerError(f"The serial line has failed: {error}") from error
        if reply is None:
            self._lose(command)
        else:
            self._in_step = self._answered = True
            self._losses, self._heard = 0, False
            self._waits = max(1, 2 * self._waited, self._waits // 2)
        return reply

    def carried(self, octets: int, arrived: bool) -> None:
        """Adapt `length`, once a packet with so many octets of data arrived, or was lost.

        Grows by a half and shrinks to a half: so a bit less than two of three packets arrive on a
        line that damages many, about the length with which most octets of data arrive in a time.
        """
        if not arrived:
            self.length = max(SHORTEST, self.length // 2)
        elif octets >= self.length:
            self.length = min(protocol.MAX_PAYLOAD, self.length + self.length // 2)

    def _lose(self, command: Command) -> None:
        self._losses += 1
        known = self._answered or self._heard
        retries = self._retries if known else min(self._retries, STRANGER)
        if self._losses <= retries:
            return
        times, heard = self._losses, self._heard
        self._losses, self._heard = 0, False
        if heard:
            raise LinkError(f"The board must answer {command.name} with a packet, not with "
                            f"damaged ones {times} times; check baud rate and cable")
        raise NoAnswerError(f"The board must answer {command.name}, and did not {times} times; "
                            f"check port, power and bitstream")

    def _resynchronise(self) -> None:
        """Wait until what is under way has arrived and the board expects a new packet."""
        for _ in range(BABBLE):
            if not self._transport.read(protocol.MAX_PAYLOAD, self._quiet):
                return
        raise LinkError("The serial line must be quiet between packets, not full of noise; "
                        "check baud rate and cable")

    def _reply(self, command: Command, sequence: int) -> bytes | Error | None:
        """Return what answers this request, or None where it must be repeated."""
        self._waited = 0
        for _ in range(STALE):
            octets = self._take(4)
            if not octets:
                self.traffic.silent += 1
                return None
            self._heard = True
            if len(octets) < 4 or octets[0] != protocol.SYNC:
                break
            octets += self._take(octets[3] + 2)
            try:
                packet = protocol.unpack(octets)
            except ValueError:
                break
            if (packet.command, packet.sequence) == (command | protocol.REPLY, sequence):
                return bytes(packet.payload)
            error = _error(packet)
            if error == Error.BAD_CRC:
                break
            if (packet.command, packet.sequence) == (command | protocol.REFUSAL, sequence):
                return error
        self.traffic.damaged += 1
        return None

    def _take(self, count: int) -> bytes:
        """Return the next ``count`` octets, or fewer where the line falls silent: then the next
        ones are given more time, in case that the board is slow."""
        octets = b""
        waited = 0
        while len(octets) < count:
            part = self._transport.read(count - len(octets), self._timeout)
            octets += part
            waited = 0 if part else waited + 1
            if waited == self._waits:
                self._waits = min(WAITS, 2 * self._waits)
                break
            self._waited = max(self._waited, waited)
        return octets


def _error(packet: protocol.Packet) -> Error | None:
    """Return the error that a refusal bears; None of another packet."""
    if packet.command & protocol.REFUSAL != protocol.REFUSAL:
        return None
    if len(packet.payload) != 1 or packet.payload[0] not in tuple(Error):
        raise LinkError(f"A refusal must bear one known error, not {packet.payload.hex()!r}")
    return Error(packet.payload[0])

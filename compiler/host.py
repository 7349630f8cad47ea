"""Drives a board over its serial line, and lets nothing wrong pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from compiler.link import HostError, Link, LinkError, NoAnswerError, Transport
from hdl import protocol
from hdl.counters import CAUSES, LAYERS
from hdl.protocol import Command, Error, Status


__all__ = ["Accelerator", "HostError", "Identity", "LinkError", "NoAnswerError", "Piece",
           "RefusedError", "ResetError", "State", "Transport"]

Piece = tuple[int, bytes]  # octets, and where in the activation memory they are written
Result = TypeVar("Result")


class RefusedError(HostError):
    """The board works, and says no."""


class ResetError(HostError):
    """The board was reset while a frame went through it."""


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
    damaged, is repeated, up to ``retries`` times in a row; repeating never changes what the board
    does. Before it is repeated the line must be quiet for ``quiet`` seconds, which must be longer
    than the silence that the board waits for (two times `hdl.protocol.GAP_OCTETS` octets) and than
    the transport keeps octets back. On a line that damages many packets, they become shorter. A
    frame or a check of the image may take ``patience`` seconds.

    Every method raises `NoAnswerError` where the board is silent, `LinkError` where it cannot be
    understood, and `RefusedError` where it refuses what the method asks.

    Attributes
    ----------
    link : Link
        The line, and what became of the requests on it.
    """

    def __init__(self, transport: Transport, timeout: float = 0.25, retries: int = 15, *,
                 quiet: float = 0.1, patience: float = 30.0) -> None:
        self.link = Link(transport, timeout, retries, quiet)
        self._retries = retries
        self._patience = patience
        self._last_run: int | None = None  # unknown

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
        at = 0
        while at < len(data):
            part = data[at:at + min(self.link.length, protocol.MAX_WRITE)]
            reply = self._ask(Command.WRITE, protocol.address(address + at) + part)
            self.link.carried(len(part), reply is not None)
            at += 0 if reply is None else len(part)

    def read(self, address: int, count: int) -> bytes:
        """Return ``count`` octets of the activation memory, or of the counters."""
        _check_range(address, count)
        data = b""
        while len(data) < count:
            size = min(count - len(data), self.link.length, protocol.MAX_READ)
            part = self._ask(Command.READ, protocol.address(address + len(data)) + bytes((size,)),
                             size)
            self.link.carried(size, part is not None)
            data += part or b""
        return data

    def frame(self, steps: Callable[[], Result]) -> Result:
        """Return what ``steps`` return, which write, run and read.

        They are taken again where the board was reset meanwhile, which its last run tells; and once
        on a board that has had none since it was reset, as it would be the same after another.
        """
        for _ in range(2 + self._retries):
            try:
                if self._last_run is None:
                    self._last_run = self._settle().last_run
                told = self._last_run > 0
                result = steps()
                self._check_run(self.status())
            except ResetError:
                continue
            except HostError:
                self._last_run = None
                raise
            if told:
                return result
        raise ResetError(f"The board must not be reset in each of {2 + self._retries} frames; "
                         f"check its power")

    def run(self, parts: Iterable[Iterable[Piece]] = ()) -> State:
        """Run one frame, and return the state at its end.

        ``parts`` are what the program wants of its input while it runs, in order: all but the
        first part, which is written before. Raises `ResetError` where the board was reset after
        the last run, or in this one.
        """
        state = self._settle()
        if self._last_run is None:
            self._last_run = state.last_run
        state = self._advance(Command.RUN, state)
        for part in parts:
            if state.status != Status.WANTING:
                raise HostError("The board must want every part of the input, and has ended a "
                                "frame before; use the image that the parts were made for")
            for address, data in part:
                self._put(address, data)
            state = self._advance(Command.GRANT, self._wait(Status.STARTING, Status.RUNNING))
        if state.status == Status.WANTING:
            raise HostError("The board must be given every part of the input that its program "
                            "wants, and wants one more")
        return state

    def ready(self) -> State:
        """Wait until the board is ready to run its image, and return its state."""
        return _usable(self._settle())

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

    def _obtain(self, command: Command, payload: bytes = b"", size: int = 0) -> bytes:
        """Return the payload of the reply, of ``size`` octets, once the board is ready to."""
        while (reply := self._ask(command, payload, size)) is None:
            pass
        return reply

    def _ask(self, command: Command, payload: bytes = b"", size: int = 0) -> bytes | None:
        """Return the same, or None where request or reply were lost."""
        deadline = time.monotonic() + self._patience
        while isinstance(reply := self.link.ask(command, payload), Error):
            if reply not in (Error.BUSY, Error.NOT_READY) or time.monotonic() >= deadline:
                raise _refused(command, payload, reply)
            state = self._settle()
            if reply == Error.NOT_READY:
                _usable(state)
        if reply is not None and len(reply) != size:
            raise LinkError(f"A reply to {command.name} must have {size} octets, "
                            f"not {len(reply)}")
        return reply

    def _settle(self) -> State:
        """Wait until the board is neither starting nor running; a frame that nobody gives what it
        wants goes on without."""
        while (state := self._wait(Status.STARTING, Status.RUNNING)).status == Status.WANTING:
            self.link.ask(Command.GRANT, sequence=state.last_run % 255 + 1)
            self._last_run = None
        return state

    def _wait(self, *busy: Status) -> State:
        """Wait while the board is ``busy``."""
        deadline = time.monotonic() + self._patience
        while (state := self.status()).status in busy:
            if time.monotonic() >= deadline:
                raise HostError(f"The board must be done within {self._patience:g} seconds, not "
                                f"still {state.status.name}; reset it")
        return state

    def _advance(self, command: Command, state: State) -> State:
        """Have a board in ``state``, as a look has just told, accept ``command`` once, under the
        sequence behind that of its last run, and return its state when it has done it.

        It is sent behind a look at the last run, never just again: a board that was reset meanwhile
        must not take it, and has to check its image first, which takes longer than us from a look
        to a request.
        """
        assert self._last_run is not None
        before, sequence = self._last_run, self._last_run % 255 + 1
        for _ in range(1 + self._retries):
            if _usable(state).last_run != before:
                break
            reply = self.link.ask(command, sequence=sequence)
            if isinstance(reply, Error) and reply not in (Error.BUSY, Error.NOT_READY):
                raise _refused(command, b"", reply)
            state = self._wait(Status.STARTING, Status.RUNNING)
        self._last_run = sequence
        self._check_run(_usable(state))
        return state

    def _check_run(self, state: State) -> None:
        """Raise `ResetError` where the board has forgotten the last run."""
        if state.last_run != self._last_run:
            self._last_run = None
            raise ResetError("The board must not be reset while a frame is running; run it again")


def _refused(command: Command, payload: bytes, error: Error) -> RefusedError:
    return RefusedError(f"The board refuses {command.name} of {len(payload)} octets as "
                        f"{error.name}")


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

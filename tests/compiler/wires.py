"""Lines between the driver and programs that answer in place of a board."""

import random

from hdl import protocol


class Wire:
    """A board's twin at the end of a line; ``spoil`` may damage what passes, either way."""

    def __init__(self, board, spoil=lambda octets: octets, chunk=1000):
        self._board, self._spoil, self._chunk = board, spoil, chunk
        self._replies = b""
        self.requests = 0

    def write(self, octets):
        self.requests += 1
        self._replies += self._spoil(self._board.receive(self._spoil(octets)))

    def read(self, max_bytes, timeout):
        if not self._replies:
            self._board.silence()
        size = min(max_bytes, self._chunk)
        octets, self._replies = self._replies[:size], self._replies[size:]
        return octets


class Script:
    """Answers each request with the next of ``replies``, whatever it is."""

    def __init__(self, *replies):
        self._replies = list(replies)
        self._octets = b""
        self.requests = []

    def write(self, octets):
        self.requests.append(protocol.unpack(octets))
        if self._replies:
            self._octets += self._replies.pop(0)

    def read(self, max_bytes, timeout):
        octets, self._octets = self._octets[:max_bytes], self._octets[max_bytes:]
        return octets


class Spoiler:
    """Flips bits, drops octets, doubles them, and loses whole packets."""

    def __init__(self, rate, seed):
        self._rate, self._rng = rate, random.Random(seed)

    def __call__(self, octets):
        if octets and self._rng.random() < self._rate:
            return self._rng.randbytes(self._rng.randrange(3))
        spoiled = bytearray()
        for octet in octets:
            fate = self._rng.random() / self._rate if self._rate else 9
            if fate >= 1:
                spoiled.append(octet)
            else:
                spoiled += (b"", bytes((octet, octet)),
                            bytes((octet ^ 1 << self._rng.randrange(8),)))[int(3 * fate)]
        return bytes(spoiled)

import pytest

from compiler.link import STRANGER, WAITS, Link, LinkError, NoAnswerError
from hdl import protocol
from hdl.protocol import Command, Error


TIMEOUT = 0.25


class Clock:
    """A board whose replies begin ``delay`` seconds after their requests, or never."""

    def __init__(self, delay):
        self.delay = delay
        self.now = 0.0
        self.due = []

    def write(self, octets):
        request = protocol.unpack(octets)
        reply = protocol.pack(request.command | protocol.REPLY, request.sequence, b"")
        if self.delay is not None:
            self.due = [(self.now + self.delay, reply)]

    def read(self, max_bytes, timeout):
        end = self.now + timeout
        if self.due and self.due[0][0] <= end:
            at, octets = self.due.pop()
            self.now = max(self.now, at)
            if rest := octets[max_bytes:]:
                self.due = [(self.now, rest)]
            return octets[:max_bytes]
        self.now = end
        return b""


def until_answered(made):
    while made.ask(Command.RELOAD) is None:
        pass


def link(transport, retries=15):
    return Link(transport, TIMEOUT, retries, 0.1)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.3, 0.9, 1.9])
def test_slow_board_is_given_time(delay):
    made = link(Clock(delay))
    answers = [made.ask(Command.RELOAD) for _ in range(40)]
    assert answers.count(b"") >= 34
    assert made.traffic.silent == answers.count(None)
    assert made.traffic.damaged == 0
    assert made.traffic.requests == 40


@pytest.mark.parametrize("delay", [0.3, 0.9])
def test_slow_octets_are_given_time(delay):
    """Each octet of a reply comes as late as its first."""
    class Drip(Clock):
        def read(self, max_bytes, timeout):
            if octets := super().read(1, timeout):
                self.due = [(self.now + self.delay, rest) for _, rest in self.due]
            return octets

    made = link(Drip(delay))
    answers = [made.ask(Command.RELOAD) for _ in range(40)]
    assert answers.count(b"") >= 34


def test_patience_with_a_fast_board_comes_back():
    clock = Clock(None)
    made = link(clock)
    assert made.ask(Command.RELOAD) is None
    assert made.ask(Command.RELOAD) is None
    clock.delay = 0.0
    for _ in range(4):
        made.ask(Command.RELOAD)
    clock.delay = None
    before = clock.now
    made.ask(Command.RELOAD)
    assert clock.now - before == pytest.approx(TIMEOUT)


@pytest.mark.parametrize("known", [False, True])
def test_silence_has_an_end(known):
    clock = Clock(0.0)
    made = link(clock)
    if known:
        made.ask(Command.RELOAD)
    clock.delay, start = None, clock.now
    times = 1 + (15 if known else STRANGER)
    with pytest.raises(NoAnswerError, match=f"^The board must answer RELOAD, and did not {times} "
                                            f"times; "):
        until_answered(made)
    assert clock.now - start <= times * (WAITS * TIMEOUT + 0.1)


def test_damage_has_an_end():
    class Damage(Clock):
        def read(self, max_bytes, timeout):
            return b"\x00" if (octets := super().read(max_bytes, timeout)) else octets

    made = link(Damage(0.0))
    with pytest.raises(LinkError, match="^The board must answer RELOAD with a packet, not with "
                                        "damaged ones 16 times; "):
        until_answered(made)
    assert made.traffic.damaged == made.traffic.retries == 16


def test_length_finds_what_arrives():
    """A line that lets packets of up to 40 octets pass is used with 20 to 60."""
    made = link(Clock(0.0))
    lengths = []
    for _ in range(100):
        lengths.append(made.length)
        made.carried(made.length, made.length <= 40)
    assert 20 <= min(lengths[10:]) <= max(lengths[10:]) <= 60
    for _ in range(100):
        made.carried(made.length, False)
    assert made.length == 8
    for _ in range(100):
        made.carried(5, True)
    assert made.length == 8  # what is shorter tells nothing
    for _ in range(20):
        made.carried(made.length, True)
    assert made.length == protocol.MAX_PAYLOAD


def test_refusal_is_an_answer():
    class Refusing(Clock):
        def write(self, octets):
            request = protocol.unpack(octets)
            self.due = [(self.now, protocol.pack(request.command | protocol.REFUSAL,
                                                 request.sequence, bytes((Error.BUSY,))))]

    made = link(Refusing(0.0))
    assert made.ask(Command.RUN, sequence=3) is Error.BUSY
    assert made.traffic.retries == 0

"""The driver on lines and boards that it cannot rely on."""

import random

import pytest

from compiler.host import Accelerator, ResetError
from hdl.protocol import Status
from sim.link import LinkModel
from tests.compiler.wires import Spoiler, Wire


MEMORY_BYTES = 1024


@pytest.fixture
def board():
    return LinkModel(memory_bytes=MEMORY_BYTES)


def test_packets_become_as_long_as_the_line_bears(board):
    """Of 1 % damaged octets, packets of 255 hardly arrive; of none, all do again."""
    spoil = Spoiler(0.01, 1)
    host = Accelerator(Wire(board, lambda octets: spoil(octets)))
    data = random.Random(1).randbytes(MEMORY_BYTES)
    lengths = []
    for _ in range(20):
        host.write(0, data)
        assert host.read(0, MEMORY_BYTES) == data
        lengths.append(host.link.length)
    assert 8 <= sum(lengths) / len(lengths) < 80
    traffic = host.link.traffic
    assert 20 * 2 * MEMORY_BYTES / traffic.requests > 8  # octets that a request brings
    spoil = Spoiler(0.0, 1)
    before = traffic.requests
    host.read(0, MEMORY_BYTES)
    assert traffic.requests - before < 16
    before = traffic.requests
    host.read(0, MEMORY_BYTES)
    assert traffic.requests - before == 5


# Resets

@pytest.mark.parametrize("before", [0, 7, 255])
@pytest.mark.parametrize("when", range(1, 30))
def test_frame_that_a_reset_comes_between(board, before, when):
    """Wherever it comes, the result is that of a whole frame."""
    board.last_run = before
    count = 0

    def pull_the_plug(octets):
        nonlocal count
        count += 1
        if count == when:
            board.last_run, board.status = 0, Status.STARTING
            board.memory[:] = random.Random(when).randbytes(MEMORY_BYTES)
        if count == when + 5:
            board.status = Status.READY
        return octets

    def frame():
        board.memory[300:600] = bytes(octet ^ 0xFF for octet in board.memory[:300])

    def steps():
        host.write(0, picture)
        host.run()
        return host.read(300, 300)

    board.on_run = frame
    host = Accelerator(Wire(board, pull_the_plug))
    for seed in range(2):
        picture = random.Random(seed).randbytes(300)
        assert host.frame(steps) == bytes(octet ^ 0xFF for octet in picture)
    assert count >= when


def test_board_that_is_reset_for_ever(board):
    def reset():
        board.last_run = 0

    board.on_run = reset
    host = Accelerator(Wire(board), retries=2)
    with pytest.raises(ResetError, match="^The board must not be reset in each of 4 frames; "):
        host.frame(host.run)

# amaranth: UnusedElaboratable=no

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.host import Accelerator, RefusedError
from hdl import protocol
from hdl.config import Config
from hdl.link import Link
from hdl.link_address import Address
from hdl.protocol import COUNTERS, Command, Error, Packet, Status
from tests.hdl.link_board import (
    CONFIG,
    COUNTER_BYTES,
    ISA,
    MEMORY_BYTES,
    SimulatedBoard,
    twin,
)


@pytest.fixture(scope="module")
def shared():
    """A board that tests may share, since each says what it expects of it before."""
    return SimulatedBoard(stall=0.3)


def driver(board):
    return Accelerator(board, timeout=0.02, retries=3, quiet=0.001, patience=20)


def request(command, sequence=1, payload=b""):
    return protocol.pack(command, sequence, payload)


def write(address, data, sequence=1):
    return request(Command.WRITE, sequence, protocol.address(address) + data)


def flipped(packet, bit):
    octets = bytearray(packet)
    octets[bit // 8] ^= 1 << bit % 8
    return bytes(octets)


def whole(board, size):
    """Return a reply of ``size`` octets as soon as it is there."""
    reply = b""
    while len(reply) < size:
        part = board.read(size - len(reply), 0.01)
        assert part, "the board does not answer"
        reply += part
    return reply


# The driver on the gateware

@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_driver(stall):
    board = SimulatedBoard(stall=stall)
    host = driver(board)
    board.core.image_hash = 0x89ABCDEF

    identity = host.identify()
    assert (identity.protocol, identity.isa) == (protocol.VERSION, ISA)
    assert (identity.config_hash, identity.image_hash) == (CONFIG.hash, 0x89ABCDEF)
    assert (identity.status, identity.last_run) == (Status.READY, 0)

    data = random.Random(0).randbytes(MEMORY_BYTES)
    host.write(0, data)
    assert board.core.memory == data
    assert host.read(0, MEMORY_BYTES) == data
    assert host.read(3, 1) == data[3:4]
    host.write(MEMORY_BYTES - 1, b"!")
    assert board.core.memory == data[:-1] + b"!"

    for run in range(1, 4):
        state = host.run()
        assert (state.status, state.last_run) == (Status.READY, run)
        assert board.runs == run
    host.reload()
    assert board.reloads == 1
    expected = [int.from_bytes(board.core.counters[at:at + 4], "little") for at in (0, 4, 8, 12)]
    assert host.counters(COUNTER_BYTES // 4) == expected


def test_driver_waits_for_a_busy_board():
    board = SimulatedBoard(run_cycles=5000)
    host = driver(board)
    board.exchange(request(Command.RUN, 9))
    assert board.core.status == Status.RUNNING
    host.write(0, b"later")
    assert board.core.status == Status.READY
    assert host.read(0, 5) == b"later"
    assert board.runs == 1


def test_driver_names_the_refusal():
    board = SimulatedBoard()
    board.core.status = Status.CORRUPT_PROGRAM
    with pytest.raises(RefusedError, match="^The board refuses its image: its program section is "
                                           "corrupt; write the image to the flash again, "):
        driver(board).run()
    assert board.runs == 0


class Noisy:
    """Flips, drops and inserts octets, both ways."""

    def __init__(self, board, rate, seed):
        self._board, self._rate, self._rng = board, rate, random.Random(seed)

    def _spoil(self, octets):
        spoiled = bytearray()
        for octet in octets:
            fate = self._rng.random() / self._rate
            if fate < 1:
                spoiled += (b"", bytes((octet ^ 1 << self._rng.randrange(8),)),
                            bytes((octet, 0xA5)))[int(3 * fate)]
            else:
                spoiled.append(octet)
        return bytes(spoiled)

    def write(self, octets):
        self._board.write(self._spoil(octets))

    def read(self, max_bytes, timeout):
        return self._spoil(self._board.read(max_bytes, timeout))[:max_bytes]


def test_driver_on_a_noisy_line():
    board = SimulatedBoard(stall=0.2)
    host = Accelerator(Noisy(board, 0.01, 5), timeout=0.01, retries=20, quiet=0.001)
    for run in range(4):
        data = random.Random(run).randbytes(60)
        host.write(7 * run, data)
        assert board.core.memory[7 * run:7 * run + 60] == data
        assert host.read(7 * run, 60) == data
        host.run()
        assert board.runs == run + 1


# Damage

@pytest.mark.parametrize("packet", [
    request(Command.RUN, 77), write(5, b"\x12\xA5\x56", 78), request(Command.RELOAD, 79)])
def test_every_flipped_bit_is_harmless(shared, packet):
    shared.core.status = Status.READY
    memory, runs, reloads = bytes(shared.core.memory), shared.runs, shared.reloads
    answers = 0
    for bit in range(8 * len(packet)):
        reply = shared.exchange(flipped(packet, bit))
        if reply:
            assert protocol.unpack(reply).payload == bytes((Error.BAD_CRC,))
            answers += 1
    assert answers >= 8 * (len(packet) - 3)  # a damaged SYNC or a longer length is not answered
    assert (shared.core.memory, shared.runs, shared.reloads) == (memory, runs, reloads)
    assert protocol.unpack(shared.exchange(packet)).command == packet[1] | protocol.REPLY


def test_every_truncated_packet_is_forgotten(shared):
    packet = write(9, b"whole")
    shared.core.status = Status.READY
    shared.core.memory[9:14] = b"empty"
    for size in range(len(packet)):
        assert shared.exchange(packet[:size]) == b""
        assert shared.core.memory[9:14] == b"empty"
    assert protocol.unpack(shared.exchange(packet)) == Packet(0x82, 1, b"")
    assert shared.core.memory[9:14] == b"whole"


def test_packet_inside_garbage_is_no_packet(shared):
    runs = shared.runs
    shared.core.status = Status.READY
    assert shared.exchange(b"\x00" + request(Command.RUN, 101)) == b""
    assert shared.runs == runs
    assert protocol.unpack(shared.exchange(request(Command.STATUS))).command == 0x85


@pytest.mark.parametrize("first", [request(Command.STATUS, 4), write(0, b"a", 4),
                                   flipped(request(Command.STATUS, 4), 16)])
def test_packet_without_silence_is_lost(first):
    board = SimulatedBoard(gap_octets=16)
    for filler in range(14):  # the RUN comes during the reply, or after it
        reply = protocol.unpack(board.exchange(first + bytes(filler) + request(Command.RUN, 102)))
        assert reply.command & protocol.REPLY
        assert board.runs == 0


def test_damaged_packet_calls_for_silence():
    board = SimulatedBoard(gap_octets=32)
    board.write(flipped(request(Command.STATUS), 20))
    assert protocol.unpack(whole(board, 7)).payload == bytes((Error.BAD_CRC,))
    assert board.exchange(request(Command.RUN, 9)) == b""
    assert board.runs == 0


def test_good_packet_calls_for_no_silence():
    board = SimulatedBoard(gap_octets=32)
    for sequence in range(1, 4):
        board.write(request(Command.RUN, sequence))
        assert protocol.unpack(whole(board, 6)) == Packet(0x84, sequence, b"")
        board.read(1, 0.0004)  # it runs, for less than a silence
    assert board.runs == 3


def test_sync_inside_a_payload(shared):
    shared.core.status = Status.READY
    data = request(Command.RUN, 103) * 2
    assert protocol.unpack(shared.exchange(write(0, data))).command == 0x82
    assert shared.core.memory[:len(data)] == data


# Runs

def test_repeated_run_runs_once():
    board = SimulatedBoard(run_cycles=20_000)
    for _ in range(3):  # while it runs
        assert protocol.unpack(board.exchange(request(Command.RUN, 5))) == Packet(0x84, 5, b"")
    refusal = protocol.unpack(board.exchange(request(Command.RUN, 6)))
    assert refusal == Packet(0xC4, 6, bytes((Error.BUSY,)))
    board.read(1, 0.03)
    assert board.core.status == Status.READY
    assert protocol.unpack(board.exchange(request(Command.RUN, 5))) == Packet(0x84, 5, b"")
    assert board.runs == 1
    assert protocol.unpack(board.exchange(request(Command.RUN, 6))) == Packet(0x84, 6, b"")
    assert board.runs == 2


def test_repeated_grant_grants_once():
    board = SimulatedBoard()
    board.core.status, board.wants = Status.WANTING, 2
    for _ in range(3):
        assert protocol.unpack(board.exchange(request(Command.GRANT, 5))) == Packet(0x87, 5, b"")
    assert board.grants == 1
    board.read(1, 0.03)
    assert board.core.status == Status.WANTING
    for command in Command.READ, Command.RELOAD, Command.RUN:
        payload = bytes((0, 0, 0, 1)) if command == Command.READ else b""
        refusal = protocol.unpack(board.exchange(request(command, 9, payload)))
        assert refusal == Packet(command | 0xC0, 9, bytes((Error.BUSY,)))
    assert protocol.unpack(board.exchange(write(3, b"abc", 9))) == Packet(0x82, 9, b"")
    assert board.core.memory[3:6] == b"abc"
    assert protocol.unpack(board.exchange(request(Command.GRANT, 6))) == Packet(0x87, 6, b"")
    assert board.grants == 2


def test_driver_gives_what_is_wanted():
    board = SimulatedBoard(stall=0.3)
    host, data = driver(board), random.Random(1).randbytes(400)
    for run in range(1, 3):
        board.wants = board.grants + 3
        parts = [[(run, data[:300])], [(40, b"a"), (3, b"bc")], [(8, data[300:])]]
        assert host.run(parts).status == Status.READY
        assert board.grants == 3 * run
        assert board.runs == run
        memory = bytearray(board.core.memory)
        for address, octets in sum(parts, []):
            memory[address:address + len(octets)] = octets
        assert board.core.memory == memory


# The twin

EDGES = [0, 1, MEMORY_BYTES - 2, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES + 1,
         2 * MEMORY_BYTES, COUNTERS - 1, COUNTERS, COUNTERS + COUNTER_BYTES - 1,
         COUNTERS + COUNTER_BYTES, COUNTERS + MEMORY_BYTES, 2 * COUNTERS - 1]
addresses = (st.sampled_from(EDGES) | st.integers(0, MEMORY_BYTES)).map(protocol.address)
payloads = (st.binary(max_size=8) | st.tuples(addresses, st.binary(max_size=12)).map(b"".join)
            | st.tuples(addresses, st.integers(0, 24).map(lambda n: bytes((n,)))).map(b"".join))
commands = st.sampled_from(tuple(Command)) | st.integers(0, 255)
packets = st.builds(protocol.pack, commands, st.integers(0, 255) | st.sampled_from((0, 1)),
                    payloads)
chunks = packets | packets | st.tuples(packets, st.integers(0, 30)).map(lambda c: c[0][:c[1]]) \
    | st.binary(max_size=12) | st.tuples(packets, st.binary(max_size=8)).map(b"".join)


@pytest.mark.parametrize("where", EDGES)
def test_edges_of_what_exists(shared, where):
    shared.core.status = Status.READY
    model = twin()
    model.memory[:] = shared.core.memory
    for count in (1, 2, 16):
        ask = protocol.address(where) + bytes((count,))
        _compare(shared, model, request(Command.READ, count, ask), Status.READY)
        _compare(shared, model, write(where, bytes(range(count))), Status.READY)
        assert model.memory == shared.core.memory


@settings(max_examples=60, derandomize=True)
@given(chunks=st.lists(chunks, min_size=1, max_size=4), status=st.sampled_from(tuple(Status)))
def test_gateware_equals_its_twin(shared, chunks, status):
    core, model = shared.core, twin()
    _compare(shared, model, request(Command.RUN, 255), Status.READY)
    model.memory[:] = core.memory
    for chunk in chunks:
        before = shared.runs, shared.reloads, shared.grants
        done = []
        model.on_run = lambda done=done: done.append("run")
        model.on_reload = lambda done=done: done.append("reload")
        model.on_grant = lambda done=done: done.append("grant")
        _compare(shared, model, chunk, status)
        assert model.memory == core.memory
        after = shared.runs, shared.reloads, shared.grants
        assert [now - then for now, then in zip(after, before, strict=True)] \
            == [done.count(strobe) for strobe in ("run", "reload", "grant")]


def _compare(board, model, chunk, status):
    # Both make a state READY, RUNNING or STARTING of their own; the comparison sets it.
    board.core.status = model.status = status
    model.silence()
    expected = model.receive(chunk)
    assert board.exchange(chunk) == expected
    board.read(1, 0.0004)  # the run or the check ends


def test_longest_packets(shared):
    shared.core.status = Status.READY
    data = random.Random(8).randbytes(protocol.MAX_WRITE)
    assert protocol.unpack(shared.exchange(write(11, data))).command == 0x82
    assert shared.core.memory[11:11 + len(data)] == data
    ask = request(Command.READ, 2, protocol.address(8) + bytes((protocol.MAX_READ,)))
    reply = protocol.unpack(shared.exchange(ask))
    assert reply.payload == shared.core.memory[8:8 + protocol.MAX_READ]
    for command in Command:
        if command != Command.WRITE:
            refusal = protocol.unpack(shared.exchange(request(command, 3, bytes(255))))
            assert refusal == Packet(command | 0xC0, 3, bytes((Error.BAD_LENGTH,)))


# Errors of the designer

def test_wrong_version():
    with pytest.raises(ValueError, match=r"^'isa_version' must be between 0 and 255, not 256$"):
        Link(Config(), 256)


def test_wrong_counters():
    with pytest.raises(ValueError, match=r"^'counter_bytes' must be between 1 and "
                                         r"'memory_bytes', and that at most 8388608, not 0, 64$"):
        Address(memory_bytes=64, counter_bytes=0)

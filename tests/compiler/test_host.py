import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.host import (
    Accelerator,
    HostError,
    LinkError,
    NoAnswerError,
    RefusedError,
)
from hdl import protocol
from hdl.counters import CAUSES, LAYERS
from hdl.protocol import COUNTERS, Command, Error, Packet, Status
from sim.link import LinkModel
from tests.compiler.wires import Script, Spoiler, Wire


MEMORY_BYTES = 1024


@pytest.fixture
def board():
    return LinkModel(memory_bytes=MEMORY_BYTES, config_hash=0xC0FFEE, isa_version=3)


def pack_state(status, last_run=0):
    return protocol.pack_fields(protocol.STATE, {"status": status, "last_run": last_run})


# The protocol itself

@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=255))
def test_unpack_reverses_pack(command, sequence, payload):
    assert protocol.unpack(protocol.pack(command, sequence, payload)) \
        == Packet(command, sequence, payload)


@given(st.fixed_dictionaries({name: st.integers(0, 256**size - 1)
                              for name, size in protocol.IDENTITY.items()}))
def test_unpack_fields_reverses_pack_fields(values):
    octets = protocol.pack_fields(protocol.IDENTITY, values)
    assert protocol.unpack_fields(protocol.IDENTITY, octets) == values


@given(st.binary(max_size=300))
def test_noise_is_no_packet(octets):
    with pytest.raises(ValueError, match="^(A packet|The CRC of the packet) must"):
        protocol.unpack(octets)


@pytest.mark.parametrize(("values", "message"), [
    ((1, 256, b""), r"^'sequence' must be between 0 and 255, not 256$"),
    ((1, 0, bytes(256)), r"^'payload' must have at most 255 octets, not 256$")])
def test_pack_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        protocol.pack(*values)


def test_codes_do_not_meet():
    marked = {command | mark for command in Command
              for mark in (0, protocol.REPLY, protocol.REFUSAL)}
    assert len(marked) == 3 * len(Command)
    assert 0 not in tuple(Error)
    assert max(Error) < 8


# What a board can do

@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_every_command(board, chunk):
    host = Accelerator(Wire(board, chunk=chunk))
    board.image_hash = 0xFEEDBEEF
    identity = host.identify()
    assert (identity.isa, identity.config_hash, identity.image_hash) == (3, 0xC0FFEE, 0xFEEDBEEF)
    assert identity.status == host.status().status == Status.READY
    data = random.Random(1).randbytes(MEMORY_BYTES)
    host.write(0, data)
    assert board.memory == data
    assert host.read(1, MEMORY_BYTES - 1) == data[1:]
    assert host.read(0, 0) == b""
    board.counters[4:8] = (99).to_bytes(4, "little")
    assert host.counters(2) == [0, 99]
    assert host.run().last_run == 1
    assert host.reload().status == Status.READY


def test_cycles_are_the_sum_of_all_counters():
    board = LinkModel(memory_bytes=2048, counter_bytes=4 * LAYERS * CAUSES)
    board.counters[:] = random.Random(2).randbytes(len(board.counters))
    words = struct.unpack(f"<{LAYERS * CAUSES}I", board.counters)
    assert Accelerator(Wire(board)).cycles() == sum(words)


def test_sequences_of_runs_differ(board):
    wire = Wire(board)
    runs = []
    board.on_run = lambda: runs.append(board.last_run)
    host = Accelerator(wire)
    for _ in range(300):
        host.run()
    assert runs == [run % 255 + 1 for run in range(300)]
    Accelerator(wire).run()  # a program that starts anew knows nothing of the runs before
    assert len(runs) == 301


def test_busy_board_is_waited_for(board):
    polls = []

    def settle(octets):
        if octets[1:2] == bytes((Command.STATUS,)):
            polls.append(octets)
            if len(polls) % 3 == 0:
                board.status = Status.READY
        return octets

    def start():
        board.status = Status.RUNNING

    board.on_run, board.status = start, Status.STARTING
    host = Accelerator(Wire(board, settle))
    host.write(0, b"abc")
    assert len(polls) == 3
    assert board.memory[:3] == b"abc"
    assert host.run().status == Status.READY
    assert len(polls) > 3


def wanting(board, count):
    """Let frames of a board want ``count`` parts of their input; returns what it has then, by
    part."""
    seen = []

    def want():
        seen.append(bytes(board.memory))
        board.status = Status.WANTING if len(seen) % (count + 1) else Status.READY

    board.on_run = board.on_grant = want
    return seen


def test_parts_of_the_input_are_given(board):
    seen = wanting(board, 3)
    host = Accelerator(Wire(board, Spoiler(0.001, 1)), retries=20)
    for frame in range(5):
        host.write(0, b"first")
        parts = [[(10 * at, bytes((frame, at))), (500, bytes((at,)) * 300)] for at in range(3)]
        assert host.run(parts).status == Status.READY
        assert len(seen) == 4 * (frame + 1)
        assert seen[-4].startswith(b"first")
        for at, memory in enumerate(seen[-3:]):
            assert memory[10 * at:10 * at + 2] == bytes((frame, at))
            assert memory[500:800] == bytes((at,)) * 300


def test_too_few_parts(board):
    seen = wanting(board, 2)
    host = Accelerator(Wire(board))
    with pytest.raises(HostError, match="^The board must be given every part of the input "):
        host.run([[(0, b"a")]])
    # The next one lets that frame go on.
    host.run([[(0, b"a")], [(0, b"b")]])
    assert len(seen) == 6
    assert seen[-1].startswith(b"b")


def test_a_frame_that_was_left_ends_before_anything_is_written(board):
    seen = wanting(board, 1)
    board.on_run()
    assert board.status == Status.WANTING
    host = Accelerator(Wire(board))
    host.write(0, b"new")
    assert board.status == Status.READY
    assert not seen[1].startswith(b"new")
    assert board.memory.startswith(b"new")


def test_too_many_parts(board):
    wanting(board, 1)
    with pytest.raises(HostError, match="^The board must want every part of the input, "):
        Accelerator(Wire(board)).run([[(0, b"a")], [(0, b"b")]])


def test_board_reset_while_it_waits(board):
    board.on_run = lambda: setattr(board, "status", Status.WANTING)

    def reset():
        board.status, board.last_run = Status.READY, 0

    board.on_grant = reset
    with pytest.raises(HostError, match="^The board must not be reset while a frame is running; "):
        Accelerator(Wire(board)).run([[(0, b"a")], [(0, b"b")]])


# Trouble

@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from((0.0, 0.002, 0.01, 0.03)),
       chunk=st.sampled_from((1, 7, 1000)))
def test_results_are_never_wrong(seed, rate, chunk):
    rng = random.Random(seed)
    board = LinkModel(memory_bytes=MEMORY_BYTES)
    runs = []

    def frame():
        runs.append(bytes(board.memory[:300]))
        board.memory[300:600] = bytes(octet ^ 0xFF for octet in board.memory[:300])

    board.on_run = frame
    host = Accelerator(Wire(board, Spoiler(rate, seed), chunk))
    for count in range(3):
        picture = rng.randbytes(300)
        try:
            host.write(0, picture)
            host.run()
            result = host.read(300, 300)
        except (LinkError, NoAnswerError):
            assert rate > 0.01
            return
        assert result == bytes(octet ^ 0xFF for octet in picture)
        assert runs[count:] == [picture]


def test_lost_reply_does_not_run_twice(board):
    runs = []
    board.on_run = lambda: runs.append(1)
    lost = []

    def lose_first_acknowledgement(octets):
        if octets[1:2] == bytes((Command.RUN | protocol.REPLY,)) and not lost:
            lost.append(octets)
            return b""
        return octets

    Accelerator(Wire(board, lose_first_acknowledgement)).run()
    assert lost
    assert runs == [1]


def test_late_reply_is_not_taken_for_another():
    late = protocol.pack(Command.READ | protocol.REPLY, 200, b"old")
    right = protocol.pack(Command.READ | protocol.REPLY, 1, b"new")
    assert Accelerator(Script(late + right)).read(0, 3) == b"new"


@pytest.mark.parametrize(("status", "message"), [
    (Status.NO_IMAGE, "there is none in its flash; write the image"),
    (Status.WRONG_VERSION, "it was made for another instruction set; build the image"),
    (Status.WRONG_CONFIG, "it was made for another configuration; build the image"),
    (Status.CORRUPT_HEADER, "its header is corrupt; write the image"),
    (Status.CORRUPT_RESIDENT, "its resident section is corrupt; write the image"),
    (Status.CORRUPT_PROGRAM, "its program section is corrupt; write the image"),
    (Status.CORRUPT_META, "its meta section is corrupt; write the image")])
def test_every_refusal_has_a_name(board, status, message):
    board.status = status
    host = Accelerator(Wire(board))
    for ask in (host.run, host.reload):
        with pytest.raises(RefusedError, match=f"^The board refuses its image: {message}"):
            ask()
    assert board.last_run == 0
    assert host.status().status == status


def test_all_refusals_are_known():
    named = [status for status in Status if status >= 16]
    assert len(named) == 7


@pytest.mark.parametrize("ask", [
    lambda host: host.write(MEMORY_BYTES - 2, b"abc"),
    lambda host: host.read(MEMORY_BYTES, 1),
    lambda host: host.write(COUNTERS, b"abc"),
    lambda host: host.counters(17)])
def test_address_that_does_not_exist(board, ask):
    with pytest.raises(RefusedError, match=r"^The board refuses (READ|WRITE) of \d+ octets as "
                                           r"BAD_ADDRESS$"):
        ask(Accelerator(Wire(board)))


@pytest.mark.parametrize(("address", "count"), [(-1, 1), (1 << 24, 1), ((1 << 24) - 1, 2)])
def test_address_that_cannot_exist(board, address, count):
    host = Accelerator(Wire(board))
    for ask in (lambda: host.read(address, count), lambda: host.write(address, bytes(count))):
        with pytest.raises(HostError, match="^Octets must lie between address 0 and 16777215, "
                                            f"not at {address} to {address + count - 1}$"):
            ask()


def test_silent_board():
    wire = Script()
    with pytest.raises(NoAnswerError, match="^The board must answer STATUS, and did not 3 times; "
                                            "check port, power and bitstream$") as caught:
        Accelerator(wire, retries=2).status()
    assert wire.requests == [Packet(Command.STATUS, at, b"") for at in (1, 2, 3)]
    assert caught.value.exit_status == 3


def test_board_at_another_baud_rate():
    with pytest.raises(LinkError, match="^The board must answer STATUS with a packet, not with "
                                        "damaged ones 16 times; ") as caught:
        Accelerator(Script(*16 * [b"\x00\xFE\x80"])).status()
    assert caught.value.exit_status == 2


def test_noisy_line():
    class Noise:
        def write(self, octets):
            raise AssertionError("nothing must be sent into noise")

        def read(self, max_bytes, timeout):
            return b"\x00"

    with pytest.raises(LinkError, match="^The serial line must be quiet between packets, "):
        Accelerator(Noise()).status()


def test_unplugged_board():
    class Unplugged(Script):
        def write(self, octets):
            raise OSError("device disconnected")

    with pytest.raises(NoAnswerError, match="^The serial line has failed: device disconnected$"):
        Accelerator(Unplugged()).status()


def test_frame_that_never_ends(board):
    board.status = Status.RUNNING
    with pytest.raises(HostError, match="^The board must be done within 0 seconds, not still "
                                        "RUNNING; reset it$"):
        Accelerator(Wire(board), patience=0).run()


def test_board_reset_while_it_runs(board):
    def reset():
        board.last_run = 0

    board.on_run = reset
    with pytest.raises(HostError, match="^The board must not be reset while a frame is running; "):
        Accelerator(Wire(board)).run()


def test_board_of_another_version():
    values = dict.fromkeys(protocol.IDENTITY, 1) | {"protocol": 1}
    reply = protocol.pack(0x81, 1, protocol.pack_fields(protocol.IDENTITY, values))
    with pytest.raises(LinkError, match="^The board must speak version 3 of the link, not 1; "):
        Accelerator(Script(reply)).identify()


@pytest.mark.parametrize(("reply", "message"), [
    (protocol.pack(0x85, 1, b"short"), "A reply to STATUS must have 2 octets, not 5"),
    (protocol.pack(0x85, 1, pack_state(9)), "The status of the board must be a known one, not 9"),
    (protocol.pack(0xC5, 1, b"\x63"), "A refusal must bear one known error, not '63'")])
def test_board_of_another_make(reply, message):
    with pytest.raises(LinkError, match=f"^{message}$"):
        Accelerator(Script(reply)).status()


def test_errors_belong_to_the_user():
    for kind in (HostError, RefusedError, LinkError, NoAnswerError):
        assert issubclass(kind, UserError)
    assert (RefusedError.exit_status, LinkError.exit_status, NoAnswerError.exit_status) \
        == (1, 2, 3)

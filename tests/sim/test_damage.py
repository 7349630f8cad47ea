"""What the whole accelerator does with images and packets that are not as they should be."""

import zlib

import numpy as np
import pytest

from compiler.host import Accelerator, RefusedError
from compiler.ir import Binary, Dense, Graph, Input
from compiler.schedule.plan import schedule
from hdl import protocol
from hdl.config import Config
from hdl.isa import HEADER, HEADER_HALVES
from hdl.protocol import GAP_OCTETS, Command, Error, Status
from sim.accelerator import Simulation


CONFIG = Config()
# Longer than the silence that the board wants, which is rounded up to a power of two in cycles.
SILENCE = 2 * GAP_OCTETS * 10 * CONFIG.clock_hz // CONFIG.baud


def plan():
    """A small network, half of whose weights are resident."""
    rng = np.random.default_rng(0)
    graph = Graph((
        Input(name="x", shape=(64,), type=Binary()),
        Dense(name="sums", inputs=("x",), bits=1, weights=rng.choice([-1, 1], (32, 64))),
    ))
    return schedule(graph, CONFIG, resident_limit=64)


def boot(image):
    """A board that has looked at ``image``, and its driver."""
    simulation = Simulation(CONFIG, image)
    accelerator = Accelerator(simulation, quiet=0.002)
    for _ in range(50):
        simulation.run(10_000)
        if accelerator.status().status is not Status.STARTING:
            break
    return simulation, accelerator


def places(image):
    """Where the parts of an image begin and end, by the status that names their damage."""
    words = np.frombuffer(image[:4 * len(HEADER)], "<u4")
    fields = dict(zip(HEADER, map(int, words), strict=True))
    at = 2 * HEADER_HALVES
    result = {Status.CORRUPT_HEADER: (HEADER.index("image_hash") * 4, at)}
    for name in ("resident", "program", "meta"):
        size = 2 * fields[f"{name}_halves"]
        result[Status[f"CORRUPT_{name.upper()}"]] = (at, at + size)
        at += size
    assert at == len(image)
    return result


def refused(image):
    """The status by which a board refuses ``image``, which it also refuses to run."""
    _, accelerator = boot(image)
    status = accelerator.status().status
    with pytest.raises(RefusedError, match=r"^The board "):
        accelerator.run()
    return status


IMAGE = plan().image().to_bytes()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("status", places(IMAGE))
def test_flipped_bit(status, place):
    begin, end = places(IMAGE)[status]
    bit = int(8 * (begin + place * (end - begin)))
    damaged = bytearray(IMAGE)
    damaged[bit // 8] ^= 1 << bit % 8
    assert refused(damaged) is status


def forged(name, value):
    """An image whose header says something else, with a CRC that fits."""
    header = bytearray(IMAGE[:2 * HEADER_HALVES - 4])
    at = 4 * HEADER.index(name)
    header[at:at + 4] = value.to_bytes(4, "little")
    return bytes(header) + zlib.crc32(header).to_bytes(4, "little") + IMAGE[2 * HEADER_HALVES:]


@pytest.mark.parametrize(("name", "value", "status"), [
    ("magic", 0x12345678, Status.NO_IMAGE),
    ("version", 99, Status.WRONG_VERSION),
    ("config_hash", CONFIG.hash ^ 1, Status.WRONG_CONFIG),
    ("config_hash", CONFIG.hash ^ 1 << 31, Status.WRONG_CONFIG),
])
def test_wrong_image(name, value, status):
    assert refused(forged(name, value)) is status


def test_empty_flash():
    assert refused(b"") is Status.NO_IMAGE


def test_good_image_after_a_bad_one():
    simulation, accelerator = boot(forged("version", 99))
    simulation.load(IMAGE)
    assert accelerator.reload().status is Status.READY


def exchange(simulation, octets):
    simulation.write(octets)
    simulation.run(10 * len(octets) * CONFIG.clock_hz // CONFIG.baud + SILENCE)
    return simulation.read(300, 0)


def test_damaged_packet():
    simulation, _ = boot(IMAGE)
    simulation.run(SILENCE)
    packet = bytearray(protocol.pack(Command.STATUS, 7))
    packet[-1] ^= 1
    answer = protocol.unpack(exchange(simulation, packet))
    assert (answer.sequence, answer.payload) == (7, bytes([Error.BAD_CRC]))
    good = protocol.pack(Command.STATUS, 8)
    answer = protocol.unpack(exchange(simulation, good))
    assert answer.command == Command.STATUS | protocol.REPLY


@pytest.mark.parametrize("size", range(1, 7))
def test_truncated_packet(size):
    simulation, _ = boot(IMAGE)
    simulation.run(SILENCE)
    packet = protocol.pack(Command.READ, 7, protocol.address(0) + bytes([4]))
    assert exchange(simulation, packet[:size]) == b""
    answer = protocol.unpack(exchange(simulation, packet))
    assert (answer.command, len(answer.payload)) == (Command.READ | protocol.REPLY, 4)

# amaranth: UnusedElaboratable=no

import pytest

from compiler.schedule.image import Image
from hdl.config import Config
from hdl.isa import HEADER_HALVES, Opcode
from hdl.loader import Loader
from hdl.protocol import Status
from tests.hdl.worlds import in_amaranth


CONFIG = Config(image_offset=0x1000)
END = bytes((0, Opcode.END << 4, 0, 0))
HEADER_OCTETS = 2 * HEADER_HALVES
STORED = b"\x01" + bytes((Opcode.STORE << 4,)) + b"\x00\x00" + b"ab" + END
PROGRAM = b"what only the fetch understands!"


def image(config_hash=CONFIG.hash):
    return bytearray(Image(config_hash, CONFIG.image_offset, STORED, PROGRAM,
                           {"name": "x"}).to_bytes())


def spoiled(at, octet=0xFF):
    """An image in which an octet differs from what it was."""
    data = image()
    data[at] ^= octet
    return data


async def load(world, flash, *, cycles=1200, frames=0):
    """Let the loader read ``flash``; returns the statuses in the order in which it showed them,
    and what it had carried out."""
    seen, carried, burst, frame = [], [], [], b""
    for name in ("awake", "halves__valid", "halves__payload", "packets__ready", "done", "run",
                 "reload", "cleared", "requests__ready"):
        world.set(name, int(name in ("awake", "packets__ready", "cleared")))
    for _ in range(cycles):
        world.set("halves__valid", int(bool(burst)))
        world.set("halves__payload", burst[0] if burst else 0)
        world.set("requests__ready", int(not burst))
        status = Status(world.get("status"))
        ran = status is Status.READY and frames > 0
        frames -= ran
        world.set("run", int(ran))
        await world.settle()
        if not seen or status != seen[-1]:
            seen.append(status)
        asked = world.get("requests__valid") and not burst
        payload = world.get("requests__payload")
        taken = burst and world.get("halves__ready")
        if taken and world.get("packets__valid"):
            frame += world.get("packets__payload").to_bytes(2, "little")
        done = frame in (STORED, PROGRAM)
        if taken:
            burst.pop(0)
        if asked:
            at, count = (payload & 0xFF_FFFF) - CONFIG.image_offset, payload >> 24
            burst = [int.from_bytes(flash[at + 2 * index:at + 2 * index + 2], "little")
                     for index in range(count)]
        await world.tick()
        world.set("done", int(done))
        world.set("packets__ready", int(not done))
        if done:
            carried.append(frame)
            frame = b""
    return seen, carried


def run(flash, **options):
    result = []

    async def bench(world):
        result.append(await load(world, bytes(flash), **options))

    in_amaranth(Loader(CONFIG), bench)
    return result[0]


def test_frames():
    seen, carried = run(image(), frames=2)
    assert seen == [Status.STARTING, *[Status.READY, Status.RUNNING] * 2, Status.READY]
    assert carried == [STORED, PROGRAM, PROGRAM]


@pytest.mark.parametrize(("flash", "status"), [
    (b"\xff" * 4096,                     Status.NO_IMAGE),
    (spoiled(0),                         Status.NO_IMAGE),
    (spoiled(4),                         Status.CORRUPT_HEADER),
    (spoiled(12),                        Status.CORRUPT_HEADER),
    (image(CONFIG.hash ^ 1),             Status.WRONG_CONFIG),
    (spoiled(HEADER_OCTETS),             Status.CORRUPT_RESIDENT),
    (spoiled(HEADER_OCTETS + 14),        Status.CORRUPT_PROGRAM),
    (spoiled(-1),                        Status.CORRUPT_META),
], ids=lambda value: value.name if isinstance(value, Status) else "")
def test_refused(flash, status):
    """The status goes from STARTING to the reason, with nothing between that a host might see."""
    assert run(flash) == ([Status.STARTING, status], [])

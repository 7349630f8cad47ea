# amaranth: UnusedElaboratable=no

import random
import struct

import cocotb
import pytest

from compiler.schedule.image import HEAD, Image, section
from hdl.config import Config
from hdl.isa import HEADER, HEADER_HALVES, MAGIC, VERSION
from hdl.link_identity import Fact
from hdl.loader import Loader
from hdl.protocol import Status
from sim.bench import unpack
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(image_offset=0x2345_60)
IMAGE = Image(CONFIG.hash, CONFIG.image_offset, b"resident packets", b"the program of a frame.",
              {"name": "small"})
DATA = IMAGE.to_bytes()
HEAD_OCTETS = 2 * HEADER_HALVES
SECTIONS = dict(zip(("resident", "program", "meta"), IMAGE.sections, strict=True))
CORRUPT = {"resident": Status.CORRUPT_RESIDENT, "program": Status.CORRUPT_PROGRAM,
           "meta": Status.CORRUPT_META}


def place(name):
    """Where a section lies in the image, and its octets."""
    at = HEAD_OCTETS
    for other, data in SECTIONS.items():
        if other == name:
            return at, len(data)
        at += len(data)
    raise KeyError(name)


class Flash:
    """The flash reader, and what carries packets out; ticks for both."""

    def __init__(self, world, seed, *, stall):
        self.world, self.rng, self.stall = world, random.Random(seed), stall
        self.data = DATA
        self.requests, self.queue = [], []   # address and halfwords; halfwords to come
        self.parts = []                      # of a request
        self.facts = [0] * 8                 # nibbles of the hash of the image
        self.packets, self.size = [], None   # that were taken; after how many is END
        self.offered = False
        self.counted = 0
        for name in ("requests__ready", "halves__valid", "halves__payload", "idle",
                     "packets__ready", "done", "run", "reload", "cleared", "facts__ready"):
            world.set(name, 0)

    @property
    def image_hash(self):
        return sum(nibble << 4 * index for index, nibble in enumerate(self.facts))

    async def tick(self, *, awake=True, **inputs):
        """Tick. A request is taken while the halfwords of the one before it wait to be taken."""
        world, rng = self.world, self.rng
        for name in ("run", "reload", "cleared"):
            world.set(name, inputs.get(name, name == "cleared"))
        ended = self.size is not None and len(self.packets) == self.size
        done = ended and rng.random() < 0.2
        self.offered = bool(self.queue) and (self.offered or rng.random() >= self.stall)
        fetched = awake and len(self.queue) <= 4
        world.set("requests__ready", fetched and rng.random() >= self.stall)
        world.set("idle", fetched and not self.queue)
        world.set("facts__ready", rng.random() >= self.stall)
        world.set("halves__valid", self.offered)
        world.set("halves__payload", self.queue[0] if self.offered else rng.getrandbits(16))
        world.set("packets__ready", not ended and rng.random() >= self.stall)
        world.set("done", done)
        await world.settle()
        self.counted += world.get("counting")
        cleared = world.get("clear")
        if world.get("packets__valid") and world.get("packets__ready"):
            self.packets.append(world.get("packets__payload"))
        if world.get("facts__valid") and world.get("facts__ready"):
            fact = unpack(Fact(), world.get("facts__payload"))
            self.facts[fact["index"]] = fact["nibble"]
        if world.get("requests__valid") and world.get("requests__ready"):
            self.parts.append(world.get("requests__payload"))
        if self.offered and world.get("halves__ready"):
            self.queue.pop(0)
            self.offered = False
        if len(self.parts) == 4:
            assert not self.queue
            low, high, few, many = self.parts
            self.parts = []
            self.requests.append(((low | high << 16) - CONFIG.image_offset, few | many << 16))
            at, halves = self.requests[-1]
            data = self.data[at:at + 2 * halves] if at >= 0 else b""
            data = data.ljust(2 * min(halves, 1000), b"\xff")  # erased flash lies behind
            self.queue = list(struct.unpack(f"<{len(data) // 2}H", data))
        if done:
            self.size = None
        await world.tick()
        return cleared

    async def until(self, wanted, **inputs):
        """Tick until the status is one of ``wanted``, and return it."""
        for _ in range(3000):
            if self.world.get("status") in wanted:
                return Status(self.world.get("status"))
            await self.tick(**inputs)
        raise AssertionError(f"the status stays {Status(self.world.get('status')).name}")


def expected_requests(*names):
    """The header, or the fields of a section, and then the section."""
    for name in names:
        if name == "header":
            yield 0, HEADER_HALVES
        else:
            yield 4 * HEADER.index(f"{name}_address"), 4
            yield place(name)[0], place(name)[1] // 2


def packets_of(name):
    data = SECTIONS[name][:-4]
    return list(struct.unpack(f"<{len(data) // 2}H", data))


async def start_and_frames(world, seed, stall, frames):
    """All is checked, the resident section carried out, then the program for each frame."""
    flash = Flash(world, seed, stall=stall)
    for _ in range(20):  # nothing happens before the flash can be read
        await flash.tick(awake=0)
    assert not flash.requests
    flash.size = len(packets_of("resident"))
    assert await flash.until({Status.READY}) is Status.READY
    assert flash.packets == packets_of("resident")
    assert flash.requests == [*expected_requests("header", "resident", "program", "meta",
                                                 "resident")]
    assert flash.image_hash == IMAGE.hash
    assert flash.counted == 0

    for _ in range(frames):
        flash.packets, flash.requests = [], []
        flash.size, flash.counted = len(packets_of("program")), 0
        assert await flash.tick(run=1), "counters are not told to forget"
        for _ in range(flash.rng.randrange(5)):
            assert not await flash.tick(cleared=0)
            assert (world.get("status"), world.get("counting")) == (Status.RUNNING, 0)
        await flash.until({Status.READY})
        assert flash.packets == packets_of("program")
        assert flash.requests == [*expected_requests("program")]
        assert flash.counted >= len(flash.packets)
        for _ in range(flash.rng.randrange(5)):
            await flash.tick()
            assert not world.get("counting")


async def reload_anew(world):
    """After ``reload`` another image is taken, and the first again."""
    flash = Flash(world, 0, stall=0)
    other = Image(CONFIG.hash, CONFIG.image_offset, b"resident packets", b"another program",
                  {"name": "other"})
    for image in (IMAGE, other, IMAGE):
        flash.data, flash.size, flash.packets = image.to_bytes(), 8, []
        await flash.tick(reload=1)
        await flash.until({Status.STARTING})
        await flash.until({Status.READY})
        assert flash.image_hash == image.hash
        assert b"".join(half.to_bytes(2, "little") for half in flash.packets) == image.resident


def header_with(**changes):
    """The image with a sound header that says something else."""
    fields = dict(zip(HEADER, HEAD.unpack_from(DATA), strict=True)) | changes
    return section(HEAD.pack(*fields.values())) + DATA[HEAD_OCTETS:]


def flipped(bit, data=DATA):
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def flips(rng, count=None):
    """Images with a wrong bit: ``count`` of each section and of the header, or all."""
    def bits(at, octets):
        every = range(8 * at, 8 * (at + octets))
        return rng.sample(every, count) if count else every

    for bit in bits(0, HEAD_OCTETS):
        yield flipped(bit), Status.NO_IMAGE if bit < 32 else Status.CORRUPT_HEADER
    for name in SECTIONS:
        for bit in bits(*place(name)):
            yield flipped(bit), CORRUPT[name]


WRONG = [
    (b"", Status.NO_IMAGE),
    (bytes(len(DATA)), Status.NO_IMAGE),
    (header_with(magic=MAGIC ^ 1 << 31), Status.NO_IMAGE),
    (header_with(version=VERSION + 1), Status.WRONG_VERSION),
    (header_with(version=VERSION | 1 << 16), Status.WRONG_VERSION),
    (header_with(config_hash=CONFIG.hash ^ 1), Status.WRONG_CONFIG),
    (header_with(config_hash=CONFIG.hash ^ 1 << 31), Status.WRONG_CONFIG),
    # The first of several flaws is named.
    (header_with(magic=0, version=0, config_hash=0), Status.NO_IMAGE),
    (header_with(version=0, config_hash=0), Status.WRONG_VERSION),
    (flipped(8 * 20, header_with(version=0, config_hash=0)), Status.CORRUPT_HEADER),
    (flipped(8 * (len(DATA) - 1), header_with(config_hash=0)), Status.WRONG_CONFIG),
    (flipped(8 * (len(DATA) - 1), flipped(8 * HEAD_OCTETS)), Status.CORRUPT_RESIDENT),
    # Sections that the flash does not hold.
    (DATA[:-2], Status.CORRUPT_META),
    (DATA[:place("program")[0]], Status.CORRUPT_PROGRAM),
]


async def refusals(world, seed, stall, images):
    """Each image is refused for what is wrong with it, and nothing of it is carried out."""
    flash = Flash(world, seed, stall=stall)
    for data, wanted in images:
        flash.data = data
        status = await flash.until(set(Status) - {Status.STARTING})
        assert status is wanted
        for _ in range(4):
            await flash.tick(run=1)
        assert world.get("status") == wanted
        assert not flash.packets
        assert flash.counted == 0
        await flash.tick(reload=1)
        await flash.tick()
        await flash.until({Status.STARTING})
    flash.data, flash.size = DATA, len(packets_of("resident"))
    assert await flash.until(set(Status) - {Status.STARTING}) is Status.READY


@pytest.mark.parametrize("stall", [0, 0.4])
def test_start_and_frames(stall):
    in_amaranth(Loader(CONFIG), start_and_frames, 0, stall, 3)


def test_reload():
    in_amaranth(Loader(CONFIG), reload_anew)


def test_wrong_images():
    in_amaranth(Loader(CONFIG), refusals, 0, 0.2, WRONG)


def test_flipped_bits():
    in_amaranth(Loader(CONFIG), refusals, 0, 0, list(flips(random.Random(0), 20)))


@pytest.mark.slow
def test_every_flipped_bit():
    in_amaranth(Loader(CONFIG), refusals, 0, 0, list(flips(random.Random(0))))


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0, 0.4])
async def any_frames(dut, stall):
    await start_and_frames(await Verilog.begin(dut), 1, stall, 2)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_flaw(dut):
    images = [*WRONG, *flips(random.Random(1), 3)]
    await refusals(await Verilog.begin(dut), 2, 0.2, images)


def test_verilog(tmp_path):
    assert simulate(Loader(CONFIG), __name__, tmp_path) == 3

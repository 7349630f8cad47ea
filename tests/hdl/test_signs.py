# amaranth: UnusedElaboratable=no

import random

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.isa import GROUP, Layer
from hdl.signs import SignDrain, SignLevels
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.layers import any_signs
from tests.hdl.twins import Results, passes
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(p=4, pe=16, simd=32, memory_depth=64, sign_depth=8, binary_width=9)
CONFIGS = {"4x16x32": CONFIG,
           "8x8x8": Config(p=8, simd=8, fixed_pe=8, memory_depth=64, sign_depth=5, binary_width=8),
           "2x64x64": Config(p=2, pe=64, simd=64, memory_depth=48, sign_depth=64, binary_width=12),
           "1x32x128": Config(p=1, pe=32, simd=128, memory_depth=64, sign_depth=32,
                              binary_width=15, fixed_width=26)}
CAPTURE = 7  # cycles from `drained` to the next capture, at the earliest


class Board:
    """The array, the levels and the memory around a drain; ticks for all of them."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        # Of all addresses that there are for a power of two.
        depth = 1 << (config.memory_depth - 1).bit_length()
        self.memory = bytearray(depth * config.memory_width // 8)
        self.levels = [[0] * GROUP] * config.sign_depth
        self.groups = [None] * (config.pe // GROUP)  # of halves, as they are there to leave
        self.coming = []  # those that are captured later: cycles to it, which, and halves
        self.octet, self.grants = 0, 1.0
        for name in ("layer", "restart", "back", "capture", "group", "levels", "grant"):
            world.set(name, 0)

    async def tick(self, *, restart=0, back=0, captured=None, harvest=None):
        """Let a cycle pass; returns whether the drain was about to be done in it.

        ``captured`` are half sums, (p, channels), which ``harvest`` tells of.
        """
        world, config, rng = self.world, self.config, self.rng
        world.set("restart", restart)
        world.set("back", back)
        world.set("capture", captured is not None)
        for name in ("window_last", "group_last"):
            world.set(f"harvest__flags__{name}", harvest[name] if harvest else rng.getrandbits(1))
        octets = config.memory_depth * config.memory_width // 8
        world.set("harvest__output", harvest["output"] if harvest else rng.randrange(octets))
        group = self.groups[self.octet]
        world.set("group", rng.getrandbits(config.p * GROUP * config.binary_width)
                  if group is None else packed(group, config.binary_width))
        await world.settle()
        drained, write, urgent = (world.get(name) for name in ("drained", "write", "urgent"))
        assert write or not urgent
        grant = bool(write) and (urgent or rng.random() < self.grants)
        world.set("grant", grant)
        if grant:
            size = config.memory_width // 8
            data = world.get("write_data").to_bytes(size, "little")
            for lane in range(size):
                if write >> lane & 1:
                    self.memory[world.get("address") * size + lane] = data[lane]
        address, shift = world.get("level_address"), world.get("shift")
        await world.tick()
        # Of each group the sums come a cycle later than those of the group before.
        if shift:
            self.octet = (self.octet + 1) % len(self.groups)
        if captured is not None:
            self.octet = 0
            self.coming += [(at, at, captured[:, at * GROUP:(at + 1) * GROUP])
                            for at in range(len(self.groups))]
        for left, at, halves in self.coming:
            if left == 0:
                self.groups[at] = halves
        self.coming = [(left - 1, at, halves) for left, at, halves in self.coming if left]
        levels = self.levels[address] if address < config.sign_depth else [0] * GROUP
        world.set("levels", packed(levels, 16))
        return drained


def packed(numbers, width):
    """Return numbers of ``width`` bits side by side, the first lowest."""
    return sum((int(number) & (1 << width) - 1) << at * width
               for at, number in enumerate(np.ravel(numbers)))


def any_level(rng, config):
    """Return a level: the lowest and the highest that differ from others among them."""
    most = 1 << config.binary_width - 1
    return int(rng.choice([-most, most, 0, rng.integers(-most, most + 1), rng.integers(-9, 9)]))


def any_halves(rng, config):
    """Return half sums of all pixels, the lowest and the highest among them."""
    most = 1 << config.binary_width - 1
    spread = int(rng.choice([most, 9]))
    halves = rng.integers(-spread, spread, (config.p, config.pe))
    halves[rng.random(halves.shape) < 0.02] = -most
    halves[rng.random(halves.shape) < 0.02] = most - 1
    return halves


async def frames(world, config, seed, count):
    """Frames of a few layers each, whose levels begin again with each frame."""
    rng = np.random.default_rng(seed)
    board = Board(world, config, random.Random(seed))
    for _ in range(count):
        made, tiles = [], 0
        while not made or rng.random() < 0.7:
            layer, walks = any_signs(rng, config, passes=8)
            turns = list(passes(walks, layer, config))
            more = sum(at.flags["group_last"] for at in turns)
            if (tiles + more) * config.pe > config.sign_depth * GROUP:
                break
            tiles += more
            made.append((layer, turns))
        board.levels = [[any_level(rng, config) for _ in range(GROUP)]
                        for _ in range(config.sign_depth)]
        every = np.ravel(board.levels)
        for _ in range(2):
            await board.tick(back=1)
            first = 0
            for layer, turns in made:
                first = await one_layer(board, rng, layer, turns, every, first)


async def one_layer(board, rng, layer, turns, levels, first):
    """Run a layer whose levels begin with number ``first``; returns where they end."""
    world, config = board.world, board.config
    board.grants = float(rng.choice([0, 0.2, 1]))
    world.set("layer", pack(Layer, **layer))
    await board.tick(restart=1)
    expected, waits = bytearray(board.memory), int(rng.choice([0, 0, 3, 30]))
    results = Results(layer, config, expected)
    place = 0
    for at in turns:
        flags, halves = at.flags, any_halves(rng, config)
        if not layer["pool"] or flags["window_last"]:
            place = at.output
        own = levels[first:first + config.pe, None]
        results.take_signs(2 * halves[:1 if layer["single"] else config.p], own, at)
        drained = await board.tick(captured=halves, harvest={
            "window_last": flags["window_last"], "group_last": flags["group_last"],
            "output": place})
        cycles = 0
        while not drained:
            drained, cycles = await board.tick(), cycles + 1
            assert cycles < config.pe // GROUP, "the next sums wait for nothing"
        for _ in range(CAPTURE - 1 + int(rng.integers(waits + 1))):
            assert not await board.tick()
        first += config.pe * flags["group_last"]
    board.grants = board.grants or 1.0  # what comes last waits for the memory
    for cycle in range(1000):
        if world.get("resting"):
            break
        assert cycle < 999, "the drain has stopped"
        await board.tick()
    written = bytes(board.memory)
    for _ in range(5):
        await board.tick()
    assert board.memory == written == expected
    return first


async def any_levels(world, config, seed, count):
    """Levels written in order, from the first on again where that is told; read anywhere."""
    rng = random.Random(seed)
    for name in ("back", "write", "level", "address"):
        world.set(name, 0)
    for _ in range(count):
        size = rng.choice([config.sign_depth, rng.randrange(1, config.sign_depth + 1)])
        levels = [[rng.getrandbits(16) for _ in range(GROUP)] for _ in range(size)]
        for level in np.ravel(levels).tolist():
            while rng.random() < 0.2:
                world.set("level", rng.getrandbits(16))
                await world.tick()
            world.set("write", 1)
            world.set("level", level)
            await world.tick()
            world.set("write", 0)
        world.set("back", 1)
        await world.tick()
        world.set("back", 0)
        for at in rng.sample(range(size), size):
            world.set("address", at)
            await world.tick()
            assert world.get("data") == packed(levels[at], 16)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_frames(config):
    in_amaranth(SignDrain(config), frames, config, 0, 12)


@pytest.mark.parametrize("depth", [1, 5, 8])
def test_levels(depth):
    config = Config(sign_depth=depth)
    in_amaranth(SignLevels(config), any_levels, config, 1, 8)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def frames_in_verilog(dut):
    await frames(await Verilog.begin(dut), CONFIG, 2, 8)


def test_verilog(tmp_path):
    assert simulate(SignDrain(CONFIG), __name__, tmp_path) == 1

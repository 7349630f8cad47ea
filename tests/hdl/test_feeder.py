# amaranth: UnusedElaboratable=no

import random
from dataclasses import dataclass

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.feeder import Feeder
from hdl.isa import Feed, Layer, Loop
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.layers import any_counts, any_walks
from tests.hdl.twins import fields, passes, words_of
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(p=2, simd=16, memory_depth=64)
KEEP = 4  # cycles after a step


@dataclass(frozen=True)
class Step:
    """What a step is, and brings."""

    last: bool
    address: int | None  # that is read
    words: list[int] | None  # of the pixels, if it is not void
    keep: int
    double: bool  # it begins a plane that is not the first


def steps_of(at, layer, config, memory):
    """Return the steps of a pass."""
    words, keep = words_of(at, layer, config, memory)
    feed, addresses, steps = layer["feed"], len(memory) // config.p, []
    for row in range(layer["height"] * layer["depth"]):
        begin = (at.source + row * layer["step"] * config.p) % (1 << 16)
        voids = begin % config.p
        for step in range(voids + layer["taps"]):
            index = row * layer["taps"] + step - voids
            one_more = step == 0 or step % config.p == 1 % config.p
            reads = {Feed.CHAIN: one_more, Feed.PLANES: one_more,
                     Feed.WHOLE: True, Feed.GROUP: step % config.p == 0}[feed]
            ahead = {Feed.CHAIN: -(-step // config.p), Feed.PLANES: -(-step // config.p),
                     Feed.WHOLE: step, Feed.GROUP: step // config.p * config.p}[feed]
            steps.append(Step(
                last=index == len(words) - 1,
                address=(begin // config.p + ahead) % addresses if reads else None,
                words=None if step < voids else list(words[index]),
                keep=0 if step < voids else sum(
                    int(bit) << pixel for pixel, bit in enumerate(keep[index])),
                double=feed == Feed.PLANES and row > 0 and row % layer["depth"] == 0
                and step == 0))
    return steps


class Board:
    """The walker, the memory and the engine around a feeder."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        # Of all addresses that there are for a power of two.
        self.memory = [rng.getrandbits(config.simd)
                       for _ in range(config.p << (config.memory_depth - 1).bit_length())]
        self.cycle = 0
        self.shown, self.kept = {}, {}  # words and keep bits, by cycle
        self.doubled = set()  # cycles in which sums double
        self.mask = (1 << config.p) - 1  # pixels that mean something
        self.turning = None  # x and y of a pass that begins in this cycle
        for name in ("layer", "begin", "source", "ready", "last_pass", "turn", "x", "y",
                     "read_data", "next"):
            world.set(name, 0)

    async def tick(self):
        world, config = self.world, self.config
        world.set("turn", self.turning is not None)
        x, y = self.turning or (self.rng.getrandbits(8), self.rng.getrandbits(8))
        world.set("x", x)
        world.set("y", y)
        self.turning = None
        await world.settle()
        reads = world.get("next") and world.get("reads")
        address = world.get("address")
        assert world.get("keep") & self.mask == self.kept.pop(self.cycle, 0) & self.mask
        assert world.get("double") == (self.cycle in self.doubled)
        self.doubled.discard(self.cycle)
        if self.cycle in self.shown:
            activations = world.get("activations")
            for pixel, word in enumerate(self.shown.pop(self.cycle)):
                if self.mask >> pixel & 1:
                    assert activations >> pixel * config.simd & (1 << config.simd) - 1 == word
        await world.tick()
        self.cycle += 1
        # What was not asked for is not there to be read.
        words = (self.memory[address * config.p:(address + 1) * config.p] if reads
                 else [self.rng.getrandbits(config.simd) for _ in range(config.p)])
        world.set("read_data", sum(word << config.simd * slot for slot, word in enumerate(words)))

    async def step(self, step, *, goes_on):
        """Make a step, which must be there; ``goes_on`` is whether the walker makes one, too."""
        world = self.world
        await world.settle()
        assert world.get("valid")
        assert world.get("last") == step.last
        assert world.get("void") == (step.words is None)
        assert world.get("reads") == (step.address is not None)
        if step.address is not None:
            assert world.get("address") == step.address
        if step.words is not None:
            self.shown[self.cycle + 2] = step.words
        self.kept[self.cycle + KEEP] = step.keep
        if step.double:
            self.doubled.add(self.cycle + KEEP)
        world.set("next", 1)
        await world.settle()
        assert world.get("step") == goes_on
        await self.tick()
        world.set("next", 0)


async def layers(world, config, seed, count):
    """Layers of any kind; steps are made when they want, and passes become known so."""
    rng = np.random.default_rng(seed)
    feeds = [feed for feed in Feed if config.signs or feed is not Feed.PLANES]
    board = Board(world, config, random.Random(seed))
    for _ in range(count):
        layer = any_layer(rng, config, int(rng.choice(feeds)))
        walks = any_walks(rng, layer, config, any_counts(rng, list(Loop)[:Loop.BEGIN], 20))
        for _ in range(KEEP):  # the words of the layer before
            await board.tick()
        board.mask = (1 << config.p) - 1 if layer["feed"] in (
            Feed.CHAIN, Feed.PLANES) else 1
        world.set("layer", pack(Layer, **layer))
        world.set("begin", 1)
        await board.tick()
        world.set("begin", 0)
        haste, known = (float(x) for x in rng.choice([1, 1, 0.3], 2))
        await one_layer(board, layer, walks, haste, known)


def any_layer(rng, config, feed):
    bounded = rng.random() < 0.8
    return fields(
        Layer, taps=rng.choice([1, 1, 1, 2, config.p, config.p + 1, rng.integers(1, 20)]),
        height=rng.integers(1, 4), depth=rng.integers(1, 4), step=rng.integers(1 << 10),
        feed=feed, columns=rng.choice([1, 2, 4, 12, 255]) if bounded else 0,
        lines=rng.choice([0, 3, 255]), skip=rng.integers(2), zero=rng.integers(2))


async def one_layer(board, layer, walks, haste, known):
    world, rng, before = board.world, board.rng, None
    for at in passes(walks, layer, board.config):
        loop, steps = Loop.BEGIN, []
        if before is not None:
            loop = max(loop for loop in list(Loop)[:Loop.BEGIN]
                       if before.turns[loop] != at.turns[loop])
            steps = steps_of(before, layer, board.config, board.memory)
        await some(board, steps[:-1], haste)
        # The last step of a pass is not there before the next pass is known.
        while rng.random() >= known:
            world.set("source", rng.getrandbits(16))
            await board.tick()
            assert not world.get("valid")
        world.set("ready", 1)
        world.set("source", walks[loop]["source"])
        if steps:
            await some(board, steps[-1:], haste, goes_on=True)
        else:
            await world.settle()
            assert world.get("step")
            await board.tick()
        world.set("ready", 0)
        board.turning = walks[loop]["x"], walks[loop]["y"]
        before = at
    steps = steps_of(before, layer, board.config, board.memory)
    await some(board, steps[:-1], haste)
    await world.settle()
    assert not world.get("valid")
    world.set("last_pass", 1)
    await some(board, steps[-1:], haste)
    world.set("last_pass", 0)
    await world.settle()
    assert not world.get("valid")


async def some(board, steps, haste, *, goes_on=False):
    """Make steps, each as soon as it is there or later; does the last end a pass?"""
    world = board.world
    for step in steps:
        while board.rng.random() >= haste:
            await world.settle()
            assert (world.get("valid"), world.get("step")) == (1, 0)
            await board.tick()
        await board.step(step, goes_on=goes_on)


SIGNS = Config(p=4, simd=16, memory_depth=64, sign_depth=8)
CONFIGS = {"2": CONFIG, "planes": SIGNS,
           "planes of one pixel": Config(p=1, simd=32, memory_depth=64, sign_depth=8),
           "1": Config(p=1, simd=32, memory_depth=64),
           "4": Config(p=4, simd=8, memory_depth=64),
           "any depth": Config(simd=16, memory_depth=40)}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_layers(config):
    in_amaranth(Feeder(config), layers, config, 0, 30)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 12)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_layers_with_planes(dut):
    await layers(await Verilog.begin(dut), SIGNS, 2, 12)


@pytest.mark.parametrize(("config", "test"), [(CONFIG, "any_layers"),
                                              (SIGNS, "any_layers_with_planes")])
def test_verilog(config, test, tmp_path):
    assert simulate(Feeder(config), __name__, tmp_path, only=f"{test}$") == 1

# amaranth: UnusedElaboratable=no

"""Everything between the queues and the memory together: from pictures to results."""

import random
from itertools import groupby

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.isa import Activation, Feed, Layer, Loop, Target
from sim.runner import simulate
from tests.hdl.core import Board, Served
from tests.hdl.layers import KINDS, any_layer, any_queued, any_signs, walk
from tests.hdl.twins import fields, run
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(p=2, simd=16, memory_depth=256, level_depth=64, weight_depth=32, binary_width=7)
CONFIGS = {"2x8x16": CONFIG,
           "1x16x32": Config(p=1, pe=16, simd=32, memory_depth=200, level_depth=128,
                             weight_depth=32, binary_width=7),
           "4x8x8": Config(p=4, simd=8, memory_depth=256, level_depth=64, weight_depth=32,
                           fixed_pe=8, binary_width=6)}


def walks_of(layer, turns, begin, config):
    """Return the `Walk` of each loop: ``turns`` maps loops to their turns, and to how far each is
    from the one before."""
    inner = {"source": (layer["height"] * layer["depth"] - 1) * layer["step"] * config.p,
             "y": layer["height"] - 1}
    walks = {Loop.BEGIN: walk(1, begin)}
    for loop in list(Loop)[:Loop.BEGIN]:
        count, stride = turns.get(loop, (1, {}))
        walks[loop] = walk(count, {name: stride.get(name, 0) - inner.get(name, 0)
                                   for name in ("source", "x", "y", "output")})
        for name in stride:
            inner[name] = inner.get(name, 0) + (count - 1) * stride[name]
    return walks


class Convolution:
    """A layer of -1 and +1 over a square picture with zeros around it, its bits joined in windows
    of 2 x 2 if ``pool``. Words of the picture lie by line, depth and column."""

    DEPTH, TILES = 2, 2
    OUTPUT = 8  # where results begin

    def __init__(self, rng, inputs, config, *, kernel, border, pool):
        self.config, self.kernel, self.border, self.pool = config, kernel, border, pool
        self.size = 5 + 2 * pool
        self.row = -(-self.size // config.p)  # addresses
        self.made = self.size + 2 * border - kernel + 1
        self.out = self.made // 2 if pool else self.made
        self.octets = config.simd // 8  # from a result to the next
        self.weights = rng.choice([-1, 1], (
            self.TILES, kernel, self.DEPTH, kernel, config.pe, config.simd))
        self.levels = rng.integers(-8, 8, (self.TILES, config.pe))
        self.picture = self.picture_of(inputs)

    def picture_of(self, inputs):
        """Return numbers, by line, depth, column and lane."""
        size, border, pitch = self.size, self.border, self.row * self.config.p
        words = np.array(inputs[:size * self.DEPTH * pitch], object)
        lanes = words.reshape(size, self.DEPTH, pitch, 1) >> np.arange(self.config.simd) & 1
        picture = np.zeros((size + 2 * border, self.DEPTH, size + 2 * border, self.config.simd),
                           int)
        picture[border:border + size, :, border:border + size] = 2 * lanes[:, :, :size] - 1
        return picture

    def bits(self):
        """Return what the layer makes: (line, column, tile, channel)."""
        made = range(self.made)
        sums = np.array([[np.einsum(
            "ydxl,tydxcl->tc", self.picture[y:y + self.kernel, :, x:x + self.kernel], self.weights)
            for x in made] for y in made])
        bits = (sums + self.levels >= 0).astype(np.uint8)
        if self.pool:
            shape = self.out, 2, self.out, 2, self.TILES, self.config.pe
            bits = bits[:2 * self.out, :2 * self.out].reshape(shape).max((1, 3))
        return bits

    def write(self, memory):
        for y, line in enumerate(self.bits()):
            for x, pixel in enumerate(line):
                place = self.OUTPUT + (y * self.out + x) * self.octets
                octets = np.packbits(pixel.ravel(), bitorder="little")
                memory[place:place + len(octets)] = octets.tobytes()

    def layer(self):
        made_together = 2 if self.pool else self.made
        return fields(
            Layer, taps=self.kernel, height=self.kernel, depth=self.DEPTH, step=self.row,
            segment=self.config.segment, feed=Feed.CHAIN, lines=self.size, skip=1,
            columns=self.size if self.border else 0, channels=self.config.pe, stride=1,
            pixels=(made_together - 1) % self.config.p, activation=Activation.THRESHOLD,
            target=Target.BITS, bits=1, pool=self.pool)

    def walks(self, layer):
        p, border, out, octets = self.config.p, self.border, self.out, self.octets
        line = self.DEPTH * self.row * p
        begin = {"source": -border * line - border, "x": -border, "y": -border,
                 "output": self.OUTPUT}
        if self.pool:
            turns = {
                Loop.ACROSS: (-(-2 // p), {"source": p, "x": p}),
                Loop.DOWN: (2, {"source": line, "y": 1}),
                Loop.COLUMN: (out, {"source": 2, "x": 2, "output": octets}),
                Loop.ROW: (out, {"source": 2 * line, "y": 2, "output": out * octets})}
        else:
            turns = {
                Loop.ACROSS: (-(-out // p), {"source": p, "x": p, "output": p * octets}),
                Loop.ROW: (out, {"source": line, "y": 1, "output": out * octets})}
        turns[Loop.TILE] = self.TILES, {"output": self.config.pe // 8}
        return walks_of(layer, turns, begin, self.config)

    def queued(self):
        """Return levels and weight words in the order of a program."""
        queued = []
        for levels, weights in zip(self.levels.tolist(), self.weights, strict=True):
            queued += [("level", level) for level in levels]
            words = np.packbits(weights.reshape(-1, self.config.weight_width) > 0, axis=1,
                                bitorder="little")
            queued += [("weight", int.from_bytes(word.tobytes(), "little")) for word in words]
        return queued


async def convolution(world, config, seed, *, kernel, border, pool, rates):
    """A convolution against NumPy; and so the twin, to which other layers are held."""
    board = Board(world, config, random.Random(seed))
    made = Convolution(np.random.default_rng(seed), board.inputs, config, kernel=kernel,
                       border=border, pool=pool)
    layer, queued = made.layer(), made.queued()
    walks = made.walks(layer)
    expected, twin = bytearray(board.outputs), bytearray(board.outputs)
    made.write(expected)
    run(layer, walks, config, board.inputs, twin,
        [word for kind, word in queued if kind == "weight"],
        [[level] for kind, level in queued if kind == "level"])
    assert twin == expected
    await board.run(layer, walks, queued, **rates)
    assert board.outputs == expected


@pytest.mark.parametrize(("kernel", "border", "pool"), [(3, 1, 0), (3, 1, 1), (2, 0, 0)])
def test_convolution(kernel, border, pool):
    in_amaranth(Served(CONFIG), lambda world: convolution(
        world, CONFIG, 0, kernel=kernel, border=border, pool=pool, rates={}))


async def layers(world, config, seed, count, *, kinds=KINDS):
    """Layers of any kind, whose words, levels and accesses come when they want."""
    rng = np.random.default_rng(seed)
    board = Board(world, config, random.Random(seed))
    for index in range(count):
        words = 1 + index % 3 if rng.random() < 0.5 else None  # the drain, or the units wait
        layer, walks = any_layer(rng, config, rng.choice(kinds), fixed=index % 2, words=words)
        weights, levels, queued = any_queued(rng, layer, walks, config)
        expected = bytearray(board.outputs)
        run(layer, walks, config, board.inputs, expected, weights, levels)
        rates = {name: float(rng.choice([0.2, 1, 1])) for name in ("arrival", "feed", "drain")}
        await board.run(layer, walks, queued, **rates)
        assert board.outputs == expected, (layer, walks, rates)


@pytest.mark.parametrize("kind", KINDS)
def test_layers(kind):
    in_amaranth(Served(CONFIG), lambda world: layers(world, CONFIG, 0, 6, kinds=[kind]))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_configs(config):
    in_amaranth(Served(config), lambda world: layers(world, config, 1, 8))


# With bits by groups: of one and of several tiles to a word, one, two and eight groups of channels
SIGNS = Config(p=4, simd=16, memory_depth=256, level_depth=64, weight_depth=64, binary_width=9,
               sign_depth=16)
SIGN_CONFIGS = {"4x8x16": SIGNS,
                "2x16x32": Config(p=2, pe=16, simd=32, memory_depth=200, level_depth=128,
                                  weight_depth=32, binary_width=9, sign_depth=32),
                "8x8x8": Config(p=8, simd=8, fixed_pe=8, memory_depth=256, level_depth=64,
                                weight_depth=64, binary_width=8, sign_depth=13),
                "1x64x64": Config(p=1, pe=64, simd=64, memory_depth=256, level_depth=128,
                                  weight_depth=32, binary_width=10, sign_depth=64)}


def any_program(rng, config, kinds):
    """Return a few layers, as `any_queued` has them, whose bits by groups have places for levels,
    and whose weights all fit their queue."""
    made, words, signs = [], 0, 0
    for _ in range(int(rng.integers(1, 5))):
        kind, fixed = rng.choice(kinds), bool(rng.integers(2))
        layer, walks = (any_signs(rng, config) if kind == "signs" else
                        any_layer(rng, config, kind, fixed=fixed, words=int(rng.integers(1, 5))))
        weights, levels, queued = any_queued(rng, layer, walks, config)
        words += len(weights)
        signs += sum(kind == "sign" for kind, _ in queued)
        if words > config.weight_depth or signs > 8 * config.sign_depth:
            break
        made.append((layer, walks, weights, levels, queued))
    return made or any_program(rng, config, kinds)


def shown_again(rng, queued):
    """Return what a frame has for a layer where weights stay: for those of a tile their number, in
    some packets."""
    again = []
    for kind, run_of in groupby(queued, lambda one: one[0]):
        some = list(run_of)
        again += some if kind == "level" else []
        left = len(some) if kind == "weight" else 0
        while left:
            count = int(rng.integers(1, left + 1)) if rng.random() < 0.5 else left
            again.append(("kept", count))
            left -= count
    return again


async def programs(world, config, seed, count, *, kinds=("signs", "signs", *KINDS)):
    """Programs of any layers, some frames each, whose weights stay in their queue or come again."""
    rng = np.random.default_rng(seed)
    board = Board(world, config, random.Random(seed))
    for _ in range(count):
        made, stays = any_program(rng, config, kinds), rng.random() < 0.5
        every = [one for *_, queued in made for one in queued]
        await board.load([one for one in every if one[0] == "sign"
                          or (stays and one[0] == "weight")])
        for _ in range(2):
            await board.go_back()
            board.inputs[:] = [board.rng.getrandbits(config.simd) for _ in board.inputs]
            for layer, walks, weights, levels, queued in made:
                queued = shown_again(rng, queued) if stays else [
                    one for one in queued if one[0] != "sign"]
                expected = bytearray(board.outputs)
                run(layer, walks, config, board.inputs, expected, weights, levels)
                rates = {name: float(rng.choice([0.2, 1, 1]))
                         for name in ("arrival", "feed", "drain")}
                await board.run(layer, walks, queued, **rates)
                assert board.outputs == expected, (layer, walks, rates)
        await board.go_back()


@pytest.mark.parametrize("config", SIGN_CONFIGS.values(), ids=SIGN_CONFIGS)
def test_signs(config):
    count = 6 if config.lanes < 4096 else 2
    in_amaranth(Served(config), lambda world: programs(world, config, 0, count, kinds=["signs"]))


def test_signs_among_others():
    in_amaranth(Served(SIGNS), lambda world: programs(world, SIGNS, 1, 6))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_programs(dut):
    await programs(await Verilog.begin(dut), SIGNS, 2, 12)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 30)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_convolution(dut):
    await convolution(await Verilog.begin(dut), CONFIG, 1, kernel=3, border=1, pool=1,
                      rates={"feed": 0.5})


def test_verilog(tmp_path):
    assert simulate(Served(CONFIG), __name__, tmp_path, only="any_(layers|convolution)$") == 2


def test_verilog_of_signs(tmp_path):
    assert simulate(Served(SIGNS), __name__, tmp_path, only="any_programs$") == 1

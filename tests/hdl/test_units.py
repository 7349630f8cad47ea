# amaranth: UnusedElaboratable=no

"""Everything between the queues and the memory together: from pictures to results."""

import random

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.isa import Feed, Layer, Loop, Target
from sim.runner import simulate
from tests.hdl.core import Board, Core
from tests.hdl.layers import KINDS, any_layer, any_queued, walk
from tests.hdl.twins import fields, run
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(p=2, simd=16, memory_depth=256, level_depth=64, weight_depth=32, binary_width=7)
CONFIGS = {"2x8x16": CONFIG,
           "1x16x32": Config(p=1, pe=16, simd=32, memory_depth=200, level_depth=128,
                             weight_depth=32, binary_width=7),
           "4x8x8": Config(p=4, simd=8, memory_depth=256, level_depth=64, weight_depth=32,
                           fixed_pe=8, binary_width=6)}


def walks_of(layer, counts, strides, begin, config):
    """Return the `Walk` of each loop, of the distance of its turns in a picture.

    ``counts``, ``strides`` and ``begin`` map a `Loop`, or nothing, to what is not 1 or 0.
    """
    inner = {"source": (layer["height"] * layer["depth"] - 1) * layer["step"] * config.p,
             "y": layer["height"] - 1}
    walks = {}
    for loop in list(Loop)[:Loop.BEGIN]:
        count, stride = counts.get(loop, 1), strides.get(loop, {})
        difference = {name: stride.get(name, 0) - inner.get(name, 0)
                      for name in ("source", "x", "y", "output")}
        for name in stride:
            inner[name] = inner.get(name, 0) + (count - 1) * stride[name]
        walks[loop] = walk(count, difference)
    walks[Loop.BEGIN] = walk(1, begin)
    return walks


def bits_of(word, count):
    return [word >> bit & 1 for bit in range(count)]


async def convolution(world, config, seed, *, kernel, border, pool, rates):
    """A layer with -1 and +1 of a picture, zero outside, against NumPy."""
    rng, any_ = random.Random(seed), np.random.default_rng(seed)
    board = Board(world, config, rng)
    p, simd, pe = config.p, config.simd, config.pe
    size, depth, tiles = 5 + 2 * pool, 2, 2
    row = -(-size // p)  # addresses
    step = row
    # Words lie by line, depth, column.
    words = np.array(board.inputs[:size * depth * row * p], object)
    words = words.reshape(size, depth, row * p)[:, :, :size]
    lanes = np.array([[[bits_of(word, simd) for word in line] for line in lines]
                      for lines in words])  # line, depth, column, lane
    picture = np.zeros((size + 2 * border, depth, size + 2 * border, simd), int)
    picture[border:border + size, :, border:border + size] = 2 * lanes - 1
    weights = any_.choice([-1, 1], (tiles, kernel, depth, kernel, pe, simd))
    levels = any_.integers(-8, 8, (tiles, pe))
    out = size + 2 * border - kernel + 1
    sums = np.zeros((out, out, tiles, pe), int)
    for y in range(out):
        for x in range(out):
            window = picture[y:y + kernel, :, x:x + kernel]
            sums[y, x] = np.einsum("ydxl,tydxcl->tc", window, weights)
    bits = (sums + levels >= 0).astype(int)
    if pool:
        out = out // 2
        bits = bits[:2 * out, :2 * out].reshape(out, 2, out, 2, tiles, pe).max((1, 3))

    layer = fields(Layer, taps=kernel, height=kernel, depth=depth, step=step,
                   segment=config.segment, feed=Feed.CHAIN,
                   columns=size if border else 0, lines=size, skip=1, channels=pe, stride=1,
                   activation=1, target=Target.BITS, bits=1, pool=pool, pitch=1)
    octets = tiles * pe // 8
    line = depth * row * p
    if pool:
        across = -(-2 // p)
        layer["pixels"] = (2 - 1) % p
        counts = {Loop.ACROSS: across, Loop.DOWN: 2, Loop.COLUMN: out, Loop.ROW: out}
        strides = {Loop.ACROSS: {"source": p, "x": p}, Loop.DOWN: {"source": line, "y": 1},
                   Loop.COLUMN: {"source": 2, "x": 2, "output": octets},
                   Loop.ROW: {"source": 2 * line, "y": 2, "output": out * octets}}
    else:
        layer["pitch"] = 1
        assert octets <= 4
        octets = 4
        layer["pixels"] = (out - 1) % p
        counts = {Loop.ACROSS: -(-out // p), Loop.ROW: out}
        strides = {Loop.ACROSS: {"source": p, "x": p, "output": p * octets},
                   Loop.ROW: {"source": line, "y": 1, "output": out * octets}}
    counts[Loop.TILE] = tiles
    strides[Loop.TILE] = {"output": pe // 8}
    begin = {"source": -border * line - border, "x": -border, "y": -border, "output": 8}
    walks = walks_of(layer, counts, strides, begin, config)

    queued = []
    packed = []
    for tile in range(tiles):
        queued += [("level", int(level)) for level in levels[tile]]
        for word in weights[tile].reshape(-1, pe * simd):
            packed.append(sum(int(bit > 0) << at for at, bit in enumerate(word)))
            queued.append(("weight", packed[-1]))
    expected = bytearray(board.outputs)
    for y in range(out):
        for x in range(out):
            place = 8 + (y * out + x) * octets
            expected[place:place + tiles * pe // 8] = np.packbits(
                bits[y, x].ravel(), bitorder="little").tobytes()
    twin = bytearray(board.outputs)
    run(layer, walks, config, board.inputs, twin, packed,
        [[int(level)] for level in levels.ravel()])
    assert twin == expected
    await board.run(layer, walks, queued, **rates)
    assert board.outputs == expected


@pytest.mark.parametrize(("kernel", "border", "pool"), [(3, 1, 0), (3, 1, 1), (2, 0, 0)])
def test_convolution(kernel, border, pool):
    in_amaranth(Core(CONFIG), lambda world: convolution(
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
    in_amaranth(Core(CONFIG), lambda world: layers(world, CONFIG, 0, 6, kinds=[kind]))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_configs(config):
    in_amaranth(Core(config), lambda world: layers(world, config, 1, 8))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 30)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_convolution(dut):
    await convolution(await Verilog.begin(dut), CONFIG, 1, kernel=3, border=1, pool=1,
                      rates={"feed": 0.5})


def test_verilog(tmp_path):
    assert simulate(Core(CONFIG), __name__, tmp_path) == 2

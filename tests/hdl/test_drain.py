# amaranth: UnusedElaboratable=no

import cocotb
import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.drain import Drain, saturated
from hdl.fixed import saturate
from hdl.isa import Activation, Layer, Target
from sim.bench import pack
from sim.runner import simulate
from tests.compiler.schedule.machine import Results
from tests.hdl.worlds import Verilog, in_amaranth, signed


CONFIG = Config(simd=16, memory_depth=256, level_depth=256, sum_width=24)
GARBAGE = 0x5A5A5A


class Board:
    """The units, the levels and the memory around a drain; ticks for all of them."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        self.memory = bytearray(config.memory_depth * config.memory_width // 8)
        self.levels = [GARBAGE] * config.level_depth
        self.oldest = self.newest = 0
        self.half, self.sum = [], []  # that shift out
        self.level = GARBAGE
        self.writes = 0
        for name in ("layer", "restart", "capture", "first", "final", "half", "sum", "level"):
            world.set(name, 0)

    def add_levels(self, values):
        for value in values:
            assert self.newest - self.oldest < self.config.level_depth, "the bench adds too many"
            self.levels[self.newest % self.config.level_depth] = int(value)
            self.newest += 1

    async def tick(self, **inputs):
        """Let a cycle pass; returns whether the drain was done in it."""
        world, config = self.world, self.config
        for name in ("restart", "capture"):
            world.set(name, inputs.get(name, 0))
        world.set("half", (self.half or [0])[0] & (1 << config.binary_width) - 1)
        world.set("sum", (self.sum or [0])[0] & (1 << config.fixed_width) - 1)
        world.set("level", self.level & (1 << config.sum_width) - 1)
        await world.settle()
        done, write = world.get("done"), world.get("write")
        if write:
            octets = config.memory_width // 8
            data = world.get("write_data").to_bytes(octets, "little")
            begin = world.get("address") * octets
            for lane in range(octets):
                if write >> lane & 1:
                    self.memory[begin + lane] = data[lane]
            self.writes += 1
        self.level = self.levels[world.get("level_address")]
        if world.get("shift"):
            self.half, self.sum = self.half[1:], self.sum[1:]
        for _ in range(world.get("level_release")):
            self.levels[self.oldest % config.level_depth] = GARBAGE
            self.oldest += 1
        if "captured" in inputs:
            self.half, self.sum = inputs["captured"]
        await world.tick()
        return done


def any_layer(rng, config, **choices):
    """A descriptor, with any choice of what the drain can do."""
    kind = choices.get("kind", rng.choice(["bits", "octets", "levels", "rescale", "sums"]))
    fixed = choices.get("fixed", int(rng.integers(2)))
    places = config.fixed_pe if fixed else config.pe
    bits = {"bits": 1, "octets": 1, "sums": int(rng.integers(1, 9)),
            "levels": int(rng.integers(2, 9)), "rescale": int(rng.integers(1, 9))}[kind]
    bits = choices.get("bits", bits)
    stride = (1 << bits) - 1 if kind == "levels" else 1
    channels = min(places, config.level_depth // stride)
    tiles = int(rng.integers(1, 4))
    if kind == "bits":
        tiles = config.pe // channels * tiles
    elif rng.random() < 0.3:
        channels = int(rng.integers(1, channels + 1))
    activation = {"rescale": Activation.RESCALE, "sums": rng.choice(list(Activation))}.get(
        kind, Activation.THRESHOLD)
    step = {"bits": config.pe // 8, "sums": 4}.get(kind, 1)
    return {
        "source": 0, "words": 1, "tiles": tiles, "channels": channels, "stride": stride,
        "output": int(rng.integers(0, 20)) * step, "activation": int(activation),
        "target": int({"bits": Target.BITS, "sums": Target.SUMS}.get(kind, Target.OCTETS)),
        "bits": bits, "shift": int(rng.integers(0, 20 if kind == "rescale" else 32)),
        "signed": int(rng.integers(2)), "flip": int(kind in ("levels", "rescale")
                                                    and rng.integers(2)),
        "fixed": fixed, "reserved": 0,
    }


def any_levels(rng, layer, spread):
    """Levels of a channel as the drain adds them, in heap order."""
    count = layer["stride"]
    rising = np.sort(rng.integers(-spread, spread + 1, count))
    levels = []
    for node in range(1, count + 1):
        depth = node.bit_length()
        at = ((2 * (node - (1 << depth - 1)) + 1) << layer["bits"] - depth) - 1
        levels.append(-int(rising[at if count > 1 else 0]))
    return [level - levels[(at + 1) // 2 - 1] if at else level for at, level in enumerate(levels)]


async def layers(world, config, seed, count, **choices):
    """Layers of any kind, their sums in one segment or in several."""
    rng = np.random.default_rng(seed)
    board = Board(world, config, rng)
    for _ in range(count):
        layer = any_layer(rng, config, **choices)
        await one_layer(board, layer)


async def one_layer(board, layer):
    world, config, rng = board.world, board.config, board.rng
    before = bytes(board.memory)
    world.set("layer", pack(Layer, **layer))
    await board.tick(restart=1)
    results, expected = Results(layer, config), b""
    spread = int(rng.choice([2, 40, 400, 5000]))
    for _ in range(layer["tiles"]):
        segments = int(rng.choice([1, 1, 2, 3]))
        sums = np.zeros(layer["channels"], int)
        levels = [any_levels(rng, layer, spread) for _ in sums]
        board.add_levels(level for of in levels for level in of)
        for segment in range(segments):
            unit = rng.integers(-spread, spread + 1, layer["channels"])
            unit = unit.clip(-500, 500) if not layer["fixed"] else unit
            sums += unit if layer["fixed"] else 2 * unit
            captured = ([], list(map(int, unit))) if layer["fixed"] else (
                list(map(int, unit)), [])
            world.set("first", segment == 0)
            world.set("final", segment == segments - 1)
            oldest = board.oldest
            await board.tick(capture=1, captured=captured)
            cycles = 0
            while not await board.tick():
                cycles += 1
                assert cycles < 40 * layer["channels"] + 10, "the drain has stopped"
            released = layer["stride"] * layer["channels"] if segment == segments - 1 else 0
            assert board.oldest - oldest == released
            for _ in range(rng.choice([0, 0, 1, 5])):
                assert not await board.tick()
        for total, of in zip(sums, levels, strict=True):
            expected += results.octets(int(total), of)
    begin = layer["output"]
    wanted = before[:begin] + expected + before[begin + len(expected):]
    assert board.memory == wanted, layer
    assert board.newest == board.oldest


@pytest.mark.parametrize("kind", ["bits", "octets", "levels", "rescale", "sums"])
@pytest.mark.parametrize("config", [
    CONFIG,
    Config(pe=16, simd=32, memory_depth=256, level_depth=256),
    Config(simd=8, group=4, memory_depth=256, level_depth=256, sum_width=32),
], ids=["8", "16", "narrow"])
def test_layers(config, kind):
    count = 6 if kind == "levels" else 20
    in_amaranth(Drain(config), lambda world: layers(world, config, 0, count, kind=kind))


def test_few_levels_fit():
    """Tiles of fewer channels than there are gather whole words of bits."""
    config = Config(simd=16, memory_depth=256, level_depth=4)
    in_amaranth(Drain(config), lambda world: layers(world, config, 0, 20, kind="bits", fixed=0))


@pytest.mark.parametrize("shift", range(5))
def test_every_small_sum_is_rounded(shift):
    """Sums one after another, as of one layer of many tiles, to every number of bits."""
    config = Config(simd=16, memory_depth=4096, level_depth=256, sum_width=24)
    values = list(range(-160, 161))

    async def bench(world):
        board = Board(world, config, np.random.default_rng(0))
        for bits in (1, 3, 8):
            for sign in (0, 1):
                layer = any_layer(board.rng, config, kind="rescale", fixed=1) | {
                    "bits": bits, "shift": shift, "signed": sign, "channels": 1, "flip": 0}
                world.set("layer", pack(Layer, **layer))
                world.set("first", 1)
                world.set("final", 1)
                results, expected = Results(layer, config), b""
                await board.tick(restart=1)
                for value in values:
                    board.add_levels([0])
                    await board.tick(capture=1, captured=([], [value]))
                    while not await board.tick():
                        pass
                    expected += results.octets(value, [0])
                begin = layer["output"]
                assert board.memory[begin:begin + len(values)] == expected

    in_amaranth(Drain(config), bench)


class Saturate(wiring.Component):
    """`saturated`, as a component."""

    value:  In(12)
    bits:   In(4)
    signed: In(1)
    octet:  Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.octet.eq(saturated(m, self.value, self.bits, self.signed))
        m.d.sync += Signal().eq(1)  # a simulation must have a clock
        return m


def test_every_number_saturates():
    async def bench(world):
        for bits in range(1, 9):
            for sign in (0, 1):
                world.set("bits", bits)
                world.set("signed", sign)
                low = -(1 << bits - 1) if sign else 0
                for value in range(1 << 12):
                    world.set("value", value)
                    expected = saturate(signed(value, 12), low, low + (1 << bits) - 1)
                    assert world.get("octet") == expected & 0xFF

    in_amaranth(Saturate(), bench)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 30)


def test_verilog(tmp_path):
    assert simulate(Drain(CONFIG), __name__, tmp_path) == 1

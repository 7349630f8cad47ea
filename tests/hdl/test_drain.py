# amaranth: UnusedElaboratable=no

import cocotb
import numpy as np
import pytest

from hdl.config import Config
from hdl.drain import Drain
from hdl.fixed import rescale
from hdl.isa import Activation, Layer, Loop, Target
from hdl.walker import Flags
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.layers import KINDS, any_layer
from tests.hdl.twins import Results, any_levels, fields, passes, serial_level
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(simd=16, memory_depth=256, level_depth=256, sum_width=24)
GARBAGE = 0x5A5A5A
CAPTURE = 7  # cycles from `drained` to the next capture, at the earliest
HARVEST = 5  # cycles from its harvest to a capture


class Board:
    """The units, the levels and the memory around a drain; ticks for all of them."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        self.memory = bytearray(config.memory_depth * config.memory_width // 8)
        self.levels = [GARBAGE] * config.level_depth
        self.oldest = self.newest = 0
        self.half, self.sum = [], []  # that shift out
        self.level = GARBAGE
        self.grants = 1.0  # share of the cycles in which the memory has time
        for name in ("layer", "restart", "capture", "half", "sum", "level", "grant"):
            world.set(name, 0)

    def add_levels(self, values):
        for value in values:
            assert self.newest - self.oldest < self.config.level_depth, "the bench adds too many"
            self.levels[self.newest % self.config.level_depth] = int(value)
            self.newest += 1

    def announce(self, harvest):
        """Say what the next capture is of."""
        for name, value in harvest.items():
            self.world.set(f"harvest__{name}", value)

    async def tick(self, *, restart=0, captured=None):
        """Let a cycle pass; returns whether the drain was about to be done in it."""
        world, config = self.world, self.config
        world.set("restart", restart)
        world.set("capture", captured is not None)
        world.set("half", (self.half or [0])[0] & (1 << config.binary_width) - 1)
        world.set("sum", (self.sum or [0])[0] & (1 << config.fixed_width) - 1)
        world.set("level", self.level & (1 << config.sum_width) - 1)
        await world.settle()
        drained, write = world.get("drained"), world.get("write")
        assert write or not world.get("urgent")
        grant = write and (world.get("urgent") or self.rng.random() < self.grants)
        world.set("grant", int(bool(grant)))
        if grant:
            self.write(write)
        self.level = self.levels[world.get("level_address")]
        if world.get("shift"):
            self.half, self.sum = self.half[1:], self.sum[1:]
        for _ in range(world.get("level_release")):
            self.levels[self.oldest % config.level_depth] = GARBAGE
            self.oldest += 1
        if captured is not None:
            self.half, self.sum = captured
        await world.tick()
        return drained

    def write(self, lanes):
        octets = self.config.memory_width // 8
        data = self.world.get("write_data").to_bytes(octets, "little")
        begin = self.world.get("address") * octets
        for lane in range(octets):
            if lanes >> lane & 1:
                self.memory[begin + lane] = data[lane]


def harvests(at, layer, segments):
    """Return what captures of a pass are of, one for each segment."""
    whole = layer["fixed"] or (at.first(Loop.PART) and at.last(Loop.PART))
    return [{
        "first": index == 0 and (layer["fixed"] or at.first(Loop.PART)),
        "serial": not whole,
        "double": index == 0 and not whole and not at.first(Loop.PART),
        "final": index == segments - 1 and (at.last(Loop.PART) or layer["fixed"]),
        **{f"flags__{name}": value for name, value in at.flags.items()},
    } for index in range(segments)]


def any_captured(rng, layer, config, spread):
    """Return what the units capture, and its sums: (p, channels)."""
    if layer["fixed"]:
        sums = rng.integers(-spread, spread + 1, config.fixed_pe)
        return ([], sums.tolist()), sums[None, :layer["channels"]]
    half = (1 << config.binary_width - 1) - 1
    spread = min(spread, half)
    halves = rng.integers(-spread, spread + 1, (config.p, config.pe))
    return (halves.ravel().tolist(), []), 2 * halves[:, :layer["channels"]]


async def layers(world, config, seed, count, *, kind=None):
    """Layers of any kind, their sums in one segment or in several, captured at any time."""
    rng = np.random.default_rng(seed)
    board = Board(world, config, rng)
    for _ in range(count):
        fixed = int(rng.integers(2))
        layer, walks = any_layer(rng, config, kind or rng.choice(KINDS), fixed=fixed, passes=6)
        await one_layer(board, layer, walks)


async def one_layer(board, layer, walks):
    world, config, rng = board.world, board.config, board.rng
    board.grants = float(rng.choice([0, 0.2, 1]))
    world.set("layer", pack(Layer, **layer))
    await board.tick(restart=1)
    expected = bytearray(board.memory)
    results, levels, sums = Results(layer, config, expected), None, 0
    spread = int(rng.choice([2, 40, 400, 5000]))
    waits = int(rng.choice([0, 0, 1, 30]))
    channels, wait = layer["channels"], HARVEST
    place = None
    for at in passes(walks, layer, config):
        parts = at.turns[Loop.PART][1] if layer["fixed"] else 1
        if levels is None:
            levels = [any_levels(rng, layer, spread) for _ in range(parts * channels)]
            board.add_levels(level for of in levels for level in of)
        if at.last(Loop.PART) and (not layer["pool"] or at.flags["window_last"]):
            place = at.output
        said = harvests(at, layer, int(rng.choice([1, 1, 2, 3])))
        for harvest in said:
            captured, unit = any_captured(rng, layer, config, spread)
            sums = unit if harvest["first"] else (
                (2 if harvest["double"] else 1) * sums + unit)
            for _ in range(wait - HARVEST + int(rng.integers(waits + 1))):
                assert not await board.tick()
            board.announce(harvest | ({} if place is None else {"output": place}))
            for _ in range(HARVEST):
                assert not await board.tick()
            await board.tick(captured=captured)
            await until_drained(board, layer)
            wait = CAPTURE - 1
        if harvest["final"]:
            flags = at.flags
            begin = at.turns[Loop.PART][0] * channels if layer["fixed"] else 0
            pixels = 1 if layer["single"] else (
                layer["pixels"] + 1 if flags["across_last"] else config.p)
            of_pass = levels[begin:begin + channels]
            if harvest["serial"]:
                of_pass = [[serial_level(of[0], at.turns[Loop.PART][1], config), *of[1:]]
                           for of in of_pass]
            results.take(sums[:pixels], of_pass, at)
            if flags["group_last"] and flags["part_last"]:
                levels = None
    for _ in range(20 + 2 * max(config.pe, 8)):
        if world.get("resting"):
            break
        board.grants = 1
        assert not await board.tick()
    assert world.get("resting")
    assert board.memory == expected, layer
    assert board.newest == board.oldest


async def until_drained(board, layer):
    cycles = 0
    while not await board.tick():
        cycles += 1
        assert cycles < 40 * layer["channels"] * board.config.p + 10, "the drain has stopped"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", [
    CONFIG,
    Config(p=1, pe=16, simd=32, memory_depth=256, level_depth=256),
    Config(simd=8, p=4, memory_depth=256, level_depth=128, sum_width=32),
], ids=["8", "16", "narrow"])
def test_layers(config, kind):
    count = 4 if kind == "levels" else 12
    in_amaranth(Drain(config), lambda world: layers(world, config, 0, count, kind=kind))


@pytest.mark.parametrize("shift", range(5))
def test_every_small_sum_is_rounded(shift):
    """Sums one after another, as of one layer of many groups, to every number of bits."""
    config = Config(simd=16, memory_depth=4096, level_depth=256, sum_width=24)
    values = list(range(-80, 81))
    names = list(Flags().members)
    final = ("part_first", "part_last", "across_last", "window_last")

    async def bench(world):
        board = Board(world, config, np.random.default_rng(0))
        for bits in (1, 3, 8):
            for sign in (0, 1):
                layer = fields(Layer, fixed=1, single=1, channels=1, stride=1, bits=bits,
                               activation=Activation.RESCALE, target=Target.OCTETS, shift=shift,
                               signed=sign)
                world.set("layer", pack(Layer, **layer))
                await board.tick(restart=1)
                board.add_levels([0])
                low = -(1 << bits - 1) if sign else 0
                for place, value in enumerate(values):
                    last = place == len(values) - 1
                    board.announce({"first": 1, "final": 1, "output": place} | {
                        f"flags__{name}": last or name in final for name in names})
                    await board.tick(captured=([], [value]))
                    await until_drained(board, layer)
                    for _ in range(CAPTURE - 1):
                        await board.tick()
                octets = [rescale(value, shift, low, low + (1 << bits) - 1) & 0xFF
                          for value in values]
                assert list(board.memory[:len(values)]) == octets
                assert board.newest == board.oldest

    in_amaranth(Drain(config), bench)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 20)


def test_verilog(tmp_path):
    assert simulate(Drain(CONFIG), __name__, tmp_path) == 1

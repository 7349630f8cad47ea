# amaranth: UnusedElaboratable=no

"""Engine, array, fixed-point unit and drain together: from words to results."""

import cocotb
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array import XnorArray
from hdl.config import Config
from hdl.drain import Drain
from hdl.engine import Engine
from hdl.fixed_unit import FixedUnit
from hdl.isa import Layer
from sim.bench import pack
from sim.runner import simulate
from tests.compiler.schedule.machine import Results
from tests.hdl.test_drain import any_layer, any_levels
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(p=1, simd=16, memory_depth=256, level_depth=256, binary_width=7)


class Units(wiring.Component):
    """The units as the accelerator connects them; words and levels come from outside."""

    def __init__(self, config):
        self._config = config
        super().__init__({
            "layers":        In(stream.Signature(Layer)),
            "feed_valid":    In(1),
            "weight_valid":  In(1),
            "next":          Out(1),
            "activations":   In(config.simd),
            "weights":       In(config.weight_width),
            "level_address": Out(range(config.level_depth)),
            "level":         In(config.sum_width),
            "level_release": Out(range(config.level_depth)),
            "write":         Out(config.memory_width // 8),
            "address":       Out(range(config.memory_depth)),
            "write_data":    Out(config.memory_width),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = Engine(self._config)
        m.submodules.array = array = XnorArray(self._config)
        m.submodules.fixed = fixed = FixedUnit(self._config)
        m.submodules.drain = drain = Drain(self._config)
        wiring.connect(m, wiring.flipped(self.layers), engine.layers)
        layer = self.layers.payload
        for unit in (array, fixed):
            m.d.comb += unit.activations.eq(self.activations)
            m.d.comb += unit.weights.eq(self.weights)
            m.d.comb += unit.capture.eq(engine.capture)
            m.d.comb += unit.shift.eq(drain.shift)
        m.d.comb += array.keep.eq(engine.keep & ~layer.fixed)
        m.d.comb += fixed.keep.eq(engine.keep & layer.fixed)
        m.d.comb += drain.layer.eq(layer)
        m.d.comb += drain.half.eq(array.halves)
        m.d.comb += drain.sum.eq(fixed.sum)
        m.d.comb += drain.restart.eq(engine.begin)
        for name in ("capture", "first", "final"):
            m.d.comb += getattr(drain, name).eq(getattr(engine, name))
        m.d.comb += drain.level.eq(self.level)
        m.d.comb += engine.drained.eq(drain.done)
        for name in ("feed_valid", "weight_valid"):
            m.d.comb += getattr(engine, name).eq(getattr(self, name))
        m.d.comb += self.next.eq(engine.next)
        for name in ("level_address", "level_release", "write", "address", "write_data"):
            m.d.comb += getattr(self, name).eq(getattr(drain, name))
        return m


def any_sums(rng, config, layer):
    """Words for a layer, as integers, and its sums: (tiles, channels)."""
    places, lanes = ((config.fixed_pe, config.fixed_simd) if layer["fixed"]
                     else (config.pe, config.simd))
    shape = layer["tiles"], layer["words"], places, lanes
    if layer["fixed"]:
        a, w = rng.integers(-128, 128, shape[1::2]), rng.integers(-128, 128, shape)
        octets = [x.astype(np.int8) for x in (a, w)]
    else:
        a, w = rng.choice([-1, 1], shape[1::2]), rng.choice([-1, 1], shape)
        octets = [np.packbits(x > 0, axis=-1, bitorder="little") for x in (a, w)]
    words = [tuple(int.from_bytes(x.tobytes(), "little")
                   for x in (octets[0][at], octets[1][tile, at]))
             for tile in range(layer["tiles"]) for at in range(layer["words"])]
    sums = (w * a[:, np.newaxis]).sum((1, 3))
    return words, sums[:, :layer["channels"]]


async def layers(world, config, seed, count, *, stall):
    """Layers of any kind, their words with any pauses; one begins as another ends."""
    rng = np.random.default_rng(seed)
    memory = bytearray(config.memory_depth * config.memory_width // 8)
    queue, oldest, level, word = [], 0, 0, (0, 0)
    for _ in range(count):
        layer = any_layer(rng, config)
        layer["words"] = int(rng.choice([1, 2, config.segment, config.segment + 1,
                                         rng.integers(1, 4 * config.segment)]))
        words, sums = any_sums(rng, config, layer)
        results, twin, at = Results(layer, config), bytearray(memory), layer["output"]
        for total in sums.ravel():
            levels = any_levels(rng, layer, int(np.abs(sums).mean()) + 2)
            queue += levels
            octets = results.octets(int(total), levels)
            twin[at:at + len(octets)] = octets
            at += len(octets)
        world.set("layers__payload", pack(Layer, **layer))
        world.set("layers__valid", 1)
        taken, cycles = False, 0
        while not taken:
            offered = rng.random(2) >= stall
            world.set("feed_valid", int(offered[0] and bool(words)))
            world.set("weight_valid", int(offered[1] and bool(words)))
            world.set("activations", word[0])
            world.set("weights", word[1])
            world.set("level", level & (1 << config.sum_width) - 1)
            await world.settle()
            # What is not asked for any more may be anything.
            word = words.pop(0) if world.get("next") else tuple(map(int, rng.integers(
                0, 1 << 16, 2)))
            taken = world.get("layers__ready")
            place = (world.get("level_address") - oldest) % config.level_depth
            level = queue[place] if place < len(queue) else int(rng.integers(1 << 16))
            released = world.get("level_release")
            oldest += released
            del queue[:released]
            store(world, config, memory)
            await world.tick()
            cycles += 1
            assert cycles < 200_000 // count, "the units have stopped"
        world.set("layers__valid", 0)
        assert memory == twin, layer
        assert not words
        assert not queue


def store(world, config, memory):
    octets, write = config.memory_width // 8, world.get("write")
    data = world.get("write_data").to_bytes(octets, "little") if write else b""
    begin = world.get("address") * octets
    for lane in range(octets):
        if write >> lane & 1:
            memory[begin + lane] = data[lane]


@pytest.mark.parametrize("stall", [0, 0.3])
@pytest.mark.parametrize("config", [
    CONFIG, Config(p=1, simd=8, pe=16, group=4, memory_depth=256, binary_width=6)],
    ids=["8x16", "16x8"])
def test_layers(config, stall):
    in_amaranth(Units(config), lambda world: layers(world, config, 0, 12, stall=stall))


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(stall=[0, 0.3])
async def any_layers(dut, stall):
    await layers(await Verilog.begin(dut), CONFIG, 1, 12, stall=stall)


def test_verilog(tmp_path):
    assert simulate(Units(CONFIG), __name__, tmp_path) == 2

# amaranth: UnusedElaboratable=no

import cocotb
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from hdl.array import Lane, XnorArray
from hdl.config import Config
from hdl.isa import GROUP
from sim.cells import ecp5_cells, ice40_cells
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth, signed


KEEP, CAPTURE = 2, 4  # cycles after a word
WIDTH = 10            # of half a sum
CONFIG = Config(p=2, pe=8, simd=16)
SIGNS = Config(p=2, pe=16, simd=16, sign_depth=8, binary_width=11)


def half_sum(activations, weights):
    """Half of the sum of products of two arrays of -1 and +1, along the last axis."""
    return (activations * weights).sum(-1) // 2


def pack(signs):
    return int.from_bytes(np.packbits(signs.ravel() > 0, bitorder="little").tobytes(), "little")


class Lanes(wiring.Component):
    """Lanes that share their activations. Each word is a sum of its own."""

    def __init__(self, *, count, simd):
        self._count, self._simd = count, simd
        super().__init__({
            "activations": In(simd),
            "weights":     In(count * simd),
            "halves":      Out(count * WIDTH),
        })

    def elaborate(self, platform):
        m = Module()
        for index in range(self._count):
            m.submodules[f"lane_{index}"] = lane = Lane(width=WIDTH, simd=self._simd)
            m.d.comb += lane.keep.eq(1)
            m.d.comb += lane.capture.eq(1)
            m.d.comb += lane.activations.eq(self.activations)
            m.d.comb += lane.weights.eq(self.weights.word_select(index, self._simd))
            m.d.comb += self.halves.word_select(index, WIDTH).eq(lane.half)
        return m


async def halves_of_words(world, simd, count, words):
    """Check ``words``: pairs of an activation word and ``count`` weight words."""
    seen = []
    for a, weights in [*words, *[words[0]] * CAPTURE]:
        world.set("activations", a)
        world.set("weights", sum(w << index * simd for index, w in enumerate(weights)))
        await world.tick()
        halves = world.get("halves")
        seen.append([signed(halves >> index * WIDTH & (1 << WIDTH) - 1, WIDTH)
                     for index in range(count)])
    assert seen[CAPTURE:] == [[simd // 2 - (a ^ w).bit_count() for w in weights]
                              for a, weights in words]


def test_every_word():
    simd, count = 8, 16
    words = [(a, range(at, at + count)) for a in range(256) for at in range(0, 256, count)]
    in_amaranth(Lanes(count=count, simd=simd), halves_of_words, simd, count, words)


@pytest.mark.parametrize("simd", [16, 32, 64])
def test_any_word(simd):
    rng = np.random.default_rng(simd)
    ends = [0, 1, 1 << simd - 1, (1 << simd) - 1]
    words = [(a, (w,)) for a in ends for w in ends]
    for _ in range(1000):
        share = rng.random()  # of matches, not just about a half
        a = pack(rng.choice([-1, 1], simd))
        words.append((a, (a ^ pack(np.where(rng.random(simd) < share, -1, 1)),)))
    in_amaranth(Lanes(count=1, simd=simd), halves_of_words, simd, 1, words)


def delayed(stream, cycle, config):
    """Return a weight word of which each group of channels is that of a cycle earlier."""
    size, made = GROUP * config.simd, 0
    for at in range(config.pe // GROUP):
        weights = stream[cycle - at][1] if 0 <= cycle - at < len(stream) else 0
        made |= weights & ((1 << size) - 1) << at * size
    return made


async def any_sums(world, config, rng, count):
    """Sums of any number of words, one right after another, words left out here and there."""
    words = rng.integers(1, config.segment + 1, count)
    words[:2] = 1, config.segment
    expected, keeps, captures, doubles, stream = [], {}, {}, {}, []
    shown = config.p * config.pe + 1  # cycles in which sums shift out
    for index, size in enumerate(words):
        size = max(int(size), shown)  # the next capture must wait for the chain
        shape = (size, config.p, config.pe, config.simd)
        a = rng.choice([-1, 1], (size, config.p, 1, config.simd))
        w = rng.choice([-1, 1], (size, 1, config.pe, config.simd))
        if index == 1:  # the accumulators at their ends
            a = np.ones_like(a)
            w = np.ones_like(w) * rng.choice([-1, 1], (1, 1, config.pe, 1))
        keep = rng.random((size, config.p)) < (1 if index == 1 else 0.8)
        assert size <= config.segment
        halves = half_sum(np.broadcast_to(a, shape), np.broadcast_to(w, shape))
        double = config.signs & (rng.random(size) < 0.1)
        kept, total = halves * keep[:, :, None], 0
        for word in range(size):
            total = total * (1 + double[word]) + kept[word]
        if np.abs(total).max() >= 1 << config.binary_width - 1:  # too wide
            double[:], total = False, kept.sum(0)
        expected.append(total)
        for word in range(size):
            keeps[len(stream) + KEEP] = pack(np.where(keep[word], 1, -1))
            doubles[len(stream) + KEEP] = int(double[word])
            stream.append((pack(a[word]), pack(w[word])))
        captures[len(stream) - 1 + CAPTURE] = index

    begins = {at + 1: index for at, index in captures.items()}  # of shifting out
    got = np.zeros((len(words), config.p * config.pe), int)
    shifting, place = None, 0
    for cycle in range(len(stream) + CAPTURE + shown + 1):
        a, w = stream[cycle] if cycle < len(stream) else (0, 0)
        if cycle in begins:
            shifting, place = begins[cycle], 0
        world.set("activations", a)
        world.set("weights", delayed(stream, cycle, config) if config.signs else w)
        world.set("keep", keeps.get(cycle, 0))
        world.set("capture", cycle in captures)
        shift = shifting is not None and place < config.p * config.pe
        grouped = config.signs and shifting is not None and shifting % 2
        world.set("shift", shift and not grouped)
        if config.signs:
            world.set("double", doubles.get(cycle, 0))
            world.set("shift_all", shift and grouped)
        await world.settle()
        if shift and grouped:
            group, width = world.get("group"), config.binary_width
            for index in range(config.p * GROUP):
                pixel, channel = divmod(index, GROUP)
                got[shifting, pixel * config.pe + place // config.p + channel] = signed(
                    group >> index * width & (1 << width) - 1, width)
            place += config.p * GROUP
        elif shift:
            got[shifting, place] = signed(world.get("half"), config.binary_width)
            place += 1
        await world.tick()
    assert (got == np.array(expected).reshape(got.shape)).all()


@pytest.mark.parametrize("config", [
    CONFIG,
    Config(p=4, pe=8, simd=8, binary_width=10),
    Config(p=4, pe=8, simd=32, binary_width=11, fixed_width=24),
    Config(p=1, pe=8, simd=64),
    SIGNS,
    Config(p=4, pe=8, simd=8, sign_depth=8, binary_width=12),
    Config(p=1, pe=32, simd=64, sign_depth=8, binary_width=14, fixed_width=24),
], ids=["2x8x16", "4x8x8", "4x8x32", "1x8x64", "2x16x16 by groups", "4x8x8 by groups",
        "1x32x64 by groups"])
def test_sums(config):
    in_amaranth(XnorArray(config), any_sums, config, np.random.default_rng(0), 8)


def test_widest_sums_fit():
    """The accumulator holds a segment of matches alone, and one of none."""
    config = Config(p=2, pe=8, simd=16, binary_width=9)
    assert config.segment * config.simd // 2 <= 255 < (config.segment + 1) * config.simd // 2
    in_amaranth(XnorArray(config), any_sums, config, np.random.default_rng(1), 3)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums(dut):
    await any_sums(await Verilog.begin(dut), CONFIG, np.random.default_rng(2), 12)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_by_groups(dut):
    await any_sums(await Verilog.begin(dut), SIGNS, np.random.default_rng(3), 12)


def test_verilog(tmp_path):
    assert simulate(XnorArray(CONFIG), __name__, tmp_path, only="sums$") == 1


def test_cells_of_ice40(tmp_path):
    assert simulate(XnorArray(CONFIG), __name__, tmp_path, platform=ICEBreakerPlatform(),
                    cells=[ice40_cells(tmp_path)], only="sums$") == 1


def test_cells_of_ecp5(tmp_path):
    assert simulate(XnorArray(SIGNS), __name__, tmp_path, platform=ULX3S_85F_Platform(),
                    cells=[ecp5_cells(tmp_path)], only="sums_by_groups$") == 1

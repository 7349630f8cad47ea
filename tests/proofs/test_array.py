# amaranth: UnusedElaboratable=no

"""A lane of the array sums matches, for all words and for all time."""

import pytest
from amaranth.hdl import Assert, Cover, Module, Mux, Signal, signed

from hdl import array
from hdl.config import Config
from tests.proofs.prover import Refuted, Unit, broken, prove


CONFIG = Config()
SIMD, WIDTH = CONFIG.simd, CONFIG.binary_width


def count(bits):
    """Return how many bits are set: those of one half, and those of the other."""
    half = len(bits) // 2
    return count(bits[:half]) + count(bits[half:]) if half else bits


def statement(module, folder):
    """Where ``capture`` comes, ``half`` becomes the sum of lanes that match, less ``simd // 2``, of
    all words behind that of the last capture up to the one of four cycles ago, but for those whose
    ``keep`` was 0 two cycles later. Else it takes ``chain`` where ``shift`` is set, or stays.

    The sum is as wide as the accumulator, and counts modulo that.
    """
    m = Module()
    unit = Unit(module.Lane(width=WIDTH, simd=SIMD))
    m.submodules.unit = unit.fragment
    lane = unit.ports

    once, twice = Signal(SIMD), Signal(SIMD)  # 1 where a lane matches, one and two cycles ago
    m.d.sync += once.eq(~(lane.activations ^ lane.weights))
    m.d.sync += twice.eq(once)
    counted = Signal(signed(WIDTH))           # of the word of three cycles ago
    total   = Signal(signed(WIDTH))
    half    = Signal(signed(WIDTH))
    m.d.sync += counted.eq(Mux(lane.keep, count(twice) - SIMD // 2, 0))
    m.d.sync += total.eq(Mux(lane.capture, 0, total) + counted)
    with m.If(lane.capture):
        m.d.sync += half.eq(total)
    with m.Elif(lane.shift):
        m.d.sync += half.eq(lane.chain)
    m.d.comb += Assert(lane.half == half)

    # What makes it so, stage by stage
    for at in range(0, SIMD, 4):
        m.d.comb += Assert(unit[f"popcount.four_{at}"] == count(once[at:at + 4]))
    for index in range(2):
        at = index * SIMD // 2
        m.d.comb += Assert(unit[f"popcount.count_1_{index}"] == count(twice[at:at + SIMD // 2]))
    m.d.comb += Assert(unit["popcount.surplus"] == counted)
    m.d.comb += Assert(unit["accumulator.sum"] == total)

    m.d.comb += Cover((half == -SIMD) & lane.capture)
    m.d.comb += Cover((half == 3 * SIMD // 2) & lane.shift)
    prove(m, [lane.activations, lane.weights, lane.keep, lane.capture, lane.shift, lane.chain],
          folder)


def test_sums(tmp_path):
    statement(array, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("(a[0] == w[0]) & (a[1] == w[1])", "(a[0] == w[0]) | (a[1] == w[1])"),
    ("~(matches[top] | matches[top - 1])", "~matches[top - 1]"),
    ("with m.Elif(self.shift)", "with m.If(self.shift)"),
])
def test_broken(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        statement(broken(array, right, wrong), tmp_path)

# amaranth: UnusedElaboratable=no

"""Rounding and saturation in logic, for every sum, shift and range."""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal, signed

from hdl import rescaler
from hdl.config import Config
from tests.proofs.prover import Refuted, Unit, broken, prove


WIDTH = Config().sum_width


def statement(module, folder):
    """``octet`` is, in its low 8 bits, the integer nearest to ``value * 2**-shift`` of the cycle
    before, of two the even one, or the nearer end of the range of ``bits`` where it lies outside.

    The range is from ``-2 ** (bits - 1)`` to ``2 ** (bits - 1) - 1`` where it is signed, else from
    0 to ``2 ** bits - 1``.
    """
    m = Module()
    unit = Unit(module.Rescaler(width=WIDTH))
    m.submodules.unit = unit.fragment
    ports = unit.ports
    value = Signal(signed(WIDTH))
    shift = Signal(5)
    begun = Signal()
    m.d.sync += value.eq(ports.value)
    m.d.sync += shift.eq(ports.shift)
    m.d.sync += begun.eq(1)

    rounded = AnySeq(signed(WIDTH))  # the one that is assumed to be nearest
    doubled = Signal(signed(WIDTH + 34))
    m.d.comb += doubled.eq((value - (rounded << shift)) << 1)
    whole = Signal(signed(34))
    m.d.comb += whole.eq(1 << shift)
    m.d.comb += Assume((doubled <= whole) & (doubled >= -whole))
    m.d.comb += Assume((abs(doubled) != whole) | (shift == 0) | ~rounded[0])

    low, high = (Signal(signed(17), name=name) for name in ("low", "high"))
    m.d.comb += low.eq(Mux(ports.signed, -Array(1 << n >> 1 for n in range(9))[ports.bits], 0))
    m.d.comb += high.eq(Array((1 << n) - 1 for n in range(9))[ports.bits - ports.signed])
    with m.If(begun & (ports.bits >= 1) & (ports.bits <= 8)):
        m.d.comb += Assert(ports.octet == Mux(rounded < low, low,
                                              Mux(rounded > high, high, rounded))[:8])
    for at in (0, 31):
        m.d.comb += Cover(begun & (shift == at) & (value != 0))
    m.d.comb += Cover(begun & (shift == 3) & (doubled == whole))
    prove(m, [ports.value, ports.shift, ports.bits, ports.signed], folder)


def test_rounding_and_saturation(tmp_path):
    statement(rescaler, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("half & (rest | floor[0])", "half"),
    ("moves & kept[:size].any()", "moves & kept[:size - 1].any()"),
    ("with m.If(negative & ~self.signed)", "with m.If(negative)"),
    ("over | (rounded[-1] & ~floor[-1])", "over"),
])
def test_broken(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        statement(broken(rescaler, right, wrong), tmp_path)

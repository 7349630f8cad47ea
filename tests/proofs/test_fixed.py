# amaranth: UnusedElaboratable=no

"""Rounding and saturation, for every sum of 32 bits."""

import pytest
import z3
from amaranth.hdl import Array, Assert, Cover, Module, Mux, Signal, signed

from hdl import drain, fixed
from hdl.config import Config
from tests.proofs.prover import Refuted, broken, prove


BITS = 40  # of a symbol; the sums have 32, so nothing of what is done to them overflows


class Symbol:
    """Any integer of `BITS` bits, for code that shifts, adds and compares."""

    def __init__(self, term):
        self.term = (
            z3.If(term, z3.BitVecVal(1, BITS), z3.BitVecVal(0, BITS)) if z3.is_bool(term) else term)

    def __rshift__(self, by):
        return Symbol(self.term >> by)

    def __lshift__(self, by):
        return Symbol(self.term << by)

    def __add__(self, other):
        return Symbol(self.term + other.term)

    def __sub__(self, other):
        return Symbol(self.term - other.term)

    def __and__(self, mask):
        return Symbol(self.term & mask)

    def __gt__(self, other):
        return Symbol(self.term > other)

    def clip(self, low, high):
        return Symbol(z3.If(self.term < low, low, z3.If(self.term > high, high, self.term)))


def refuse(claim):
    """Raise `Refuted` where a claim does not hold for all values of its variables."""
    solver = z3.Solver()
    solver.add(z3.Not(claim))
    if (answer := solver.check()) != z3.unsat:
        raise Refuted(f"{answer}: {solver.model()}")


def nearest(module, shift):
    """`rescale` by ``shift`` gives the nearest integer; of two, the even one; then saturates."""
    value = z3.BitVec("value", BITS)
    fits = z3.And(value >= -1 << 31, value < 1 << 31)
    low, high = -1 << BITS - 2, (1 << BITS - 2) - 1
    rounded = module.rescale(Symbol(value), shift, low, high).term
    doubled = 2 * (value - (rounded << shift))  # twice what rounding took off
    unit = 1 << shift
    refuse(z3.Implies(fits, z3.And(
        doubled <= unit, doubled >= -unit,
        z3.Implies(z3.Or(doubled == unit, doubled == -unit), rounded & 1 == 0))))
    low, high = z3.BitVecs("low high", BITS)
    kept = module.rescale(Symbol(value), shift, low, high).term
    refuse(z3.Implies(z3.And(fits, low <= high), kept == z3.If(
        rounded < low, low, z3.If(rounded > high, high, rounded))))


def clamped(module, folder):
    """`saturated` gives the low octet of the value, or of the nearer end of the range of ``bits``.

    The range is from ``-2 ** (bits - 1)`` to ``2 ** (bits - 1) - 1`` where it is signed, else from
    0 to ``2 ** bits - 1``.
    """
    m = Module()
    value, bits, is_signed = Signal(signed(Config().sum_width)), Signal(4), Signal()
    octet = module.saturated(m, value, bits, is_signed)
    low, high = (Signal(signed(17), name=name) for name in ("low", "high"))
    m.d.comb += low.eq(Mux(is_signed, -Array(1 << n >> 1 for n in range(9))[bits], 0))
    m.d.comb += high.eq(Array((1 << n) - 1 for n in range(9))[bits - is_signed])
    with m.If((bits >= 1) & (bits <= 8)):
        m.d.comb += Assert(octet == Mux(value < low, low, Mux(value > high, high, value))[:8])
    m.d.comb += Cover(octet == 0x80)
    prove(m, [value, bits, is_signed], folder)


@pytest.mark.parametrize("shift", range(1, 32))
def test_rounding(shift):
    nearest(fixed, shift)


@pytest.mark.parametrize(("right", "wrong"), [
    ("rest + (floor & 1) > half", "rest > half"),
    ("value - (floor << shift)", "value - (floor << shift) + (floor & 1)"),
    ("saturate(rounded, low, high)", "saturate(rounded, low, low)"),
])
def test_broken_rounding(right, wrong):
    with pytest.raises(Refuted):
        nearest(broken(fixed, right, wrong), 5)


def test_saturation(tmp_path):
    clamped(drain, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("with m.If(sign & ~signed)", "with m.If(sign & signed)"),
    ("octet.eq(mask ^ sign.replicate(8))", "octet.eq(mask)"),
    ("value[8:-1])", "value[9:-1])"),
])
def test_broken_saturation(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        clamped(broken(drain, right, wrong), tmp_path)

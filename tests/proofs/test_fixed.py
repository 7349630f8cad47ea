"""Rounding, for every sum of 32 bits."""

import pytest
import z3

from hdl import fixed
from tests.proofs.prover import Refuted, broken


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

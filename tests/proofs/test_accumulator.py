# amaranth: UnusedElaboratable=no

"""The cells of a doubling accumulator, for all inputs and for all time."""

import pytest
from amaranth.hdl import Assert, Cover, Module
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from hdl import accumulator
from sim.cells import ecp5_cells
from tests.proofs.prover import Refuted, Unit, broken, prove


def statement(module, folder, width, addend_width=7):
    """Its cells do what the plain sum does."""
    m = Module()
    numbers = {"width": width, "addend_width": addend_width}
    plain = Unit(accumulator.DoublingAccumulator(**numbers))
    cells = Unit(module.DoublingAccumulator(**numbers), platform=ULX3S_85F_Platform())
    m.submodules.plain = plain.fragment
    m.submodules.cells = cells.fragment
    inputs = plain.ports.addend, plain.ports.double, plain.ports.clear
    for given, other in zip(inputs, (cells.ports.addend, cells.ports.double, cells.ports.clear),
                            strict=True):
        m.d.comb += other.eq(given)
    m.d.comb += Assert(cells.ports.total == plain.ports.total)
    m.d.comb += Assert(cells["sum_"] == plain["sum_"])
    m.d.comb += Cover((plain["sum_"] < 0) & plain.ports.double & (plain.ports.total > 0))
    prove(m, list(inputs), folder, cells=ecp5_cells(folder))


@pytest.mark.parametrize("width", [9, 14])
def test_cells_of_ecp5(tmp_path, width):
    statement(accumulator, tmp_path, width)


@pytest.mark.parametrize(("right", "wrong"), [
    ("a ^ (b if d else c)", "a ^ (c if d else b)"),
    ("twice = Cat(Const(0, 1), sum_)", "twice = Cat(Const(1, 1), sum_)"),
    ("i_D1=self.double", "i_D1=0"),
])
def test_broken(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        statement(broken(accumulator, right, wrong), tmp_path, 9)

# amaranth: UnusedElaboratable=no

"""The drain counts levels, for every sum and all levels."""

import numpy as np
import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, Assume, Cover, Module, ResetSignal, Signal, signed

from compiler.schedule.tiles import heap
from hdl import drain
from hdl.config import Config
from hdl.isa import Activation, Target
from tests.proofs.prover import Refuted, Unit, broken, prove


CONFIG = Config(p=1, simd=32)


def first_octet(module, bits, width, folder):
    """The first sum of a threshold of ``bits`` bits, two or more, leaves one octet: how many of the
    levels it reaches, whatever they are, as long as they do not fall.

    Sum and levels have ``width`` bits. The levels lie in the queue as the compiler puts them.
    """
    m = Module()
    unit = Unit(module.Drain(CONFIG))
    m.submodules.unit = unit.fragment
    ports, count = unit.ports, (1 << bits) - 1
    m.d.comb += Assume(~ResetSignal())

    levels = np.empty((1, count), object)
    for index in range(count):
        levels[0, index] = AnyConst(signed(width))
        if index:
            m.d.comb += Assume(levels[0, index - 1] <= levels[0, index])
    total = AnyConst(signed(width))
    m.d.comb += ports.sum.eq(total)
    m.d.sync += ports.level.eq(Array(-level for level in heap(levels)[0])[ports.level_address])

    for name, value in {"activation": Activation.THRESHOLD, "target": Target.OCTETS, "bits": bits,
                        "channels": 1, "stride": count, "single": 1, "fixed": 1}.items():
        m.d.comb += ports.layer[name].eq(value)
    m.d.comb += [ports.harvest.first.eq(1), ports.harvest.final.eq(1), ports.grant.eq(1)]
    for name in ports.harvest.flags.signature.members:
        m.d.comb += getattr(ports.harvest.flags, name).eq(1)
    cycle   = Signal(8)
    written = Signal(4)
    m.d.sync += cycle.eq(cycle + 1)
    m.d.sync += written.eq(written + ports.write.any())
    m.d.comb += ports.capture.eq(cycle == 0)

    # Where they do not fall, the first and no other are reached.
    reached = ports.write_data[:8]
    within = 2 * bits + 8
    with m.If(ports.write.any()):
        m.d.comb += Assert((ports.write == 1) & (ports.address == 0))
        m.d.comb += Assert(reached <= count)
        for index, level in enumerate(levels[0]):
            m.d.comb += Assert((index < reached) == (level <= total))
    with m.If(cycle == within - 1):
        m.d.comb += Assert(written == 1)
    for number in (0, count // 2, count):
        m.d.comb += Cover(ports.write.any() & (reached == number))
    prove(m, [], folder, within=within)


@pytest.mark.parametrize(("bits", "width"), [
    (2, 20), pytest.param(3, 6, marks=pytest.mark.slow)])
def test_levels(tmp_path, bits, width):
    first_octet(drain, bits, width, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("passed = ~total[-1]", "passed = total[-1]"),
    ("Cat(passed, node) + 1", "Cat(passed, node) + 2"),
])
def test_broken(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        first_octet(broken(drain, right, wrong), 2, 20, tmp_path)

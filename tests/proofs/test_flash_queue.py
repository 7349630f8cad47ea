# amaranth: UnusedElaboratable=no

"""The flash queue loses nothing, and never overflows."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

from hdl import flash_queue
from tests.proofs.prover import Refuted, Unit, broken, prove


def statement(module, depth, folder):
    """Where credits are taken only while there is room, and each is stored once, at any later time:

    - there are never more halfwords, stored or owed, than the queue has places, and `room` tells
      whether there are fewer;
    - the halfwords that come out are those that were stored, each once, in their order;
    - `empty` tells that none is there.
    """
    m = Module()
    unit = Unit(module.FlashQueue(depth=depth), "storage")
    m.submodules.unit = unit.fragment
    queue = unit.ports
    last  = 2 * depth

    # Halfwords are numbered in the order in which they are stored, modulo twice the depth.
    reserved = Signal(range(last))
    stored   = Signal(range(last))
    taken    = Signal(range(last))
    takes = queue.halves.valid & queue.halves.ready
    m.d.sync += reserved.eq(reserved + queue.reserve)
    m.d.sync += stored.eq(stored + queue.store)
    m.d.sync += taken.eq(taken + takes)
    owed = Signal(range(last))
    held = Signal(range(last))
    m.d.comb += owed.eq(reserved - taken)
    m.d.comb += held.eq(stored - taken)
    m.d.comb += Assume(~queue.reserve | queue.room)
    m.d.comb += Assume(~queue.store | (reserved != stored))

    # One of them, any, is watched.
    watched = AnyConst(range(last))
    value   = Signal(16)
    with m.If(queue.store & (stored == watched)):
        m.d.sync += value.eq(queue.halfword)
    ahead = Signal(range(last))  # that are to be taken before it
    m.d.comb += ahead.eq(watched - taken)

    m.d.comb += Assert(owed <= depth)
    m.d.comb += Assert(held <= owed)
    m.d.comb += Assert(queue.room == (owed < depth))
    m.d.comb += Assert(queue.empty == (held == 0))
    m.d.comb += Assert(~queue.halves.valid | (held != 0))
    with m.If(queue.halves.valid & (ahead == 0)):
        m.d.comb += Assert(queue.halves.payload == value)

    # What makes it so
    m.d.comb += unit.contents.addr.eq(watched[:-1])
    m.d.comb += Assert(unit["owed"] == owed)
    m.d.comb += Assert(unit["unread"].as_unsigned() == (queue.halves.valid - held)[:len(held)])
    m.d.comb += Assert(unit["write__addr"] == stored[:-1])
    m.d.comb += Assert(unit["read__addr"] == (taken + queue.halves.valid)[:len(stored) - 1])
    with m.If((ahead < held) & ((ahead != 0) | ~queue.halves.valid)):
        m.d.comb += Assert(unit.contents.data == value)

    m.d.comb += Cover(~queue.room)
    m.d.comb += Cover(takes & (ahead == 0) & (watched == 3))
    prove(m, [queue.reserve, queue.store, queue.halfword, queue.halves.ready], folder)


def test_halfwords(tmp_path):
    statement(flash_queue, 8, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("unread[-1] & (~self.halves.valid | self.halves.ready)", "unread[-1]"),
    ("self.room.eq(~owed[-1])", "self.room.eq(~owed[-2])"),
    ("with m.If(taken != self.reserve)", "with m.If(taken | self.reserve)"),
    ("self.empty.eq(~self.halves.valid & ~unread[-1])", "self.empty.eq(~unread[-1])"),
])
def test_broken(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        statement(broken(flash_queue, right, wrong), 8, tmp_path)

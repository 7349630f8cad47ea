# amaranth: UnusedElaboratable=no

"""The queues of weights and of levels lose nothing, and never overflow."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal

from hdl import weights
from hdl.config import Config
from tests.proofs.prover import Refuted, Unit, broken, prove


SMALL = Config(simd=16, weight_depth=4, level_depth=8, sum_width=24)


def weight_words(module, config, folder):
    """Where words are written only while there is `space`, and read only while one is `readable`,
    words are freed in their order and from the oldest on, and none is gone back over in the cycle
    behind one that frees:

    - there are never more words, present or still to be freed, than the queue has places;
    - `space` and `spare` tell whether there are places for one and for two words more, counting
      a place as taken until two cycles after the read that frees it;
    - `readable` tells whether a word is there that was not read since the queue was gone back;
    - ``data`` is, two cycles after ``read``, the word whose turn it was, in each of its halfwords
      that was written, and stays until the next.
    """
    m = Module()
    unit = Unit(module.WeightQueue(config), 0)
    m.submodules.unit = unit.fragment
    queue, reader = unit.ports, unit.memory.read_ports[0]
    depth, last = config.weight_depth, 2 * config.weight_depth

    # Words are numbered in the order in which they are written, modulo twice the depth.
    written, oldest, freed, at = (Signal(range(last), name=name)
                                  for name in ("written", "oldest", "freed", "at"))
    freeing = Signal()
    frees = queue.read & queue.free
    m.d.sync += written.eq(written + queue.complete)
    m.d.sync += oldest.eq(oldest + frees)   # that is not freed
    m.d.sync += freed.eq(oldest)            # as the queue may know it
    m.d.sync += freeing.eq(frees)
    with m.If(queue.read):
        m.d.sync += at.eq(Mux(queue.rewind, oldest, at + 1))
    present, unread, room = (Signal(range(last), name=name)
                             for name in ("present", "unread", "room"))
    m.d.comb += present.eq(written - oldest)
    m.d.comb += unread.eq(written - at)
    m.d.comb += room.eq(depth - (written - freed))

    m.d.comb += Assume(~(queue.complete | queue.lanes.any()) | queue.space)
    m.d.comb += Assume(~queue.read | queue.readable)
    m.d.comb += Assume(~frees | ((at == oldest) & ~queue.rewind))
    m.d.comb += Assume(~(freeing & queue.read & queue.rewind))

    # One of them, any, is watched, and what of it is known.
    watched = AnyConst(range(last))
    halves  = config.weight_width // 16
    value   = Signal(config.weight_width)
    known   = Signal(halves)
    lanes   = Signal(halves)
    m.d.comb += lanes.eq(queue.lanes << (queue.part * len(queue.lanes)))
    with m.If(written == watched):
        m.d.sync += known.eq(known | lanes)
        for half in range(halves):
            with m.If(lanes[half]):
                m.d.sync += value.word_select(half, 16).eq(
                    queue.part_data.word_select(half % len(queue.lanes), 16))
    with m.If(queue.complete & ((written + 1)[:len(written)] == watched)):
        m.d.sync += known.eq(0)

    m.d.comb += Assert(present <= depth)
    m.d.comb += Assert(unread <= present)
    m.d.comb += Assert(queue.readable == (unread != 0))
    m.d.comb += Assert(room <= depth)
    m.d.comb += Assert(queue.space == (room > 0))
    m.d.comb += Assert(queue.spare == (room > 1))
    coming, shown = Signal(), Signal()  # it was read a cycle ago; or before, and none behind it
    expected = Signal.like(value)
    compared = Signal.like(value)           # halfwords that were written
    m.d.sync += coming.eq(queue.read & (at == watched))
    mask = Cat(lane.replicate(16) for lane in known)
    with m.If(reader.en):
        m.d.sync += shown.eq(coming)
        m.d.sync += expected.eq(value)
        m.d.sync += compared.eq(mask)
    with m.If(shown):
        m.d.comb += Assert((queue.data & compared) == (expected & compared))

    # What makes it so
    for name, right in (("end", written), ("after", written + 1), ("beyond", written + 2),
                        ("place", at), ("follows", at + 1), ("oldest", freed)):
        m.d.comb += Assert(unit[name] == right[:len(written)])
    m.d.comb += Assert(unit["freeing"] == freeing)
    m.d.comb += Assert(oldest == (freed + freeing)[:len(freed)])
    m.d.comb += unit.contents.addr.eq(watched[:-1])
    held = Signal.like(room)
    m.d.comb += held.eq(watched - freed)    # words before it whose places are taken
    with m.If(held <= depth - room):
        m.d.comb += Assert((unit.contents.data & mask) == (value & mask))
    with m.If((watched == written) & (room == 0)):
        m.d.comb += Assert(known == 0)
    with m.If(coming):
        m.d.comb += Assert(reader.en & (held < depth - room))
        m.d.comb += Assert(reader.addr == watched[:-1])

    m.d.comb += Cover(~queue.space)
    m.d.comb += Cover(shown & known.all() & (watched == 1))
    m.d.comb += Cover(queue.read & queue.rewind & (unread == 1) & (present == 2))
    prove(m, [queue.part, queue.lanes, queue.part_data, queue.complete, queue.read, queue.free,
              queue.rewind], folder, reach=4 * depth)


def levels(module, config, folder):
    """Where levels are written only while there is `space`, and no more are released than there
    are:

    - there are never more levels than the queue has places, and `space` tells whether there are
      fewer;
    - ``data`` is, in the cycle behind its ``address``, the level there, as it was written, from the
      cycle behind that one until it is released. The first level is at address 0, and each that
      follows, at the next.
    """
    m = Module()
    unit = Unit(module.LevelQueue(config), "memory")
    m.submodules.unit = unit.fragment
    queue = unit.ports
    depth, last = config.level_depth, 2 * config.level_depth

    # Levels are numbered in the order in which they are written, modulo twice the depth.
    written, released, held = (Signal(range(last), name=name)
                               for name in ("written", "released", "held"))
    m.d.sync += written.eq(written + queue.write)
    m.d.sync += released.eq(released + queue.release)
    m.d.comb += held.eq(written - released)
    m.d.comb += Assume(~queue.write | queue.space)
    m.d.comb += Assume(queue.release <= held)

    # One of them, any, is watched.
    watched = AnyConst(range(last))
    value   = Signal.like(queue.level)
    before  = Signal.like(held)  # that are released before it
    shown   = Signal()
    expected = Signal.like(value)
    with m.If(queue.write & (written == watched)):
        m.d.sync += value.eq(queue.level)
    m.d.comb += before.eq(watched - released)
    m.d.sync += shown.eq((queue.address == watched[:-1]) & (before < held))
    m.d.sync += expected.eq(value)

    m.d.comb += Assert(held <= depth)
    m.d.comb += Assert(queue.space == (held < depth))
    with m.If(shown):
        m.d.comb += Assert(queue.data == expected)

    # What makes it so
    m.d.comb += Assert(unit["levels"] == held)
    m.d.comb += Assert(unit["write__addr"] == written[:-1])
    m.d.comb += unit.contents.addr.eq(watched[:-1])
    with m.If(before < held):
        m.d.comb += Assert(unit.contents.data == value)

    m.d.comb += Cover(~queue.space & (queue.release == depth - 1))
    m.d.comb += Cover(shown & (watched == depth + 1))
    prove(m, [queue.write, queue.level, queue.address, queue.release], folder)


def test_weight_words(tmp_path):
    weight_words(weights, SMALL, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("self.readable.eq(follows != end)", "self.readable.eq(place != end)"),
    ("m.d.sync += full.eq(one & ~freeing)", "m.d.sync += full.eq(two & ~freeing)"),
    ("nearly.eq(one | (two & ~freeing))", "nearly.eq(two & ~freeing)"),
    ("m.d.sync += freeing.eq(", "m.d.comb += freeing.eq("),
])
def test_broken_weight_words(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        weight_words(broken(weights, right, wrong), SMALL, tmp_path)


def test_levels(tmp_path):
    levels(weights, SMALL, tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [
    ("levels == config.level_depth - 1", "levels == config.level_depth"),
    ("with m.If(self.release.any())", "with m.If(self.release[0])"),
])
def test_broken_levels(tmp_path, right, wrong):
    with pytest.raises(Refuted):
        levels(broken(weights, right, wrong), SMALL, tmp_path)

"""The queues between the flash and the units: weight words, and levels."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.isa import GROUP, KEPT_BITS


__all__ = ["LevelQueue", "WeightQueue"]

class WeightQueue(wiring.Component):
    """Words of ``weight_width`` bits, written in parts and read whole, once or again and again.

    A word may be read from the cycle after its last part was written. ``data`` comes two cycles
    after ``read``; the place of the word is free from then on, if it is to be freed.

    Members
    -------
    space : Out(1)
        There is a place for the word that is being written.
    spare : Out(1)
        There is one for the next word, too.
    part : In
        Which ``memory_width`` bits of the word are written.
    lanes : In
        Which halfwords of the part are written; none, nothing.
    part_data : In(memory_width)
        Their value.
    complete : In(1)
        This is the last write of the word.
    readable : Out(1)
        There is a word.
    read : In(1)
        Take it.
    free : In(1)
        With ``read``: for the last time.
    rewind : In(1)
        With ``read``: the next word is the oldest that is not freed.
    data : Out(weight_width)
        The word that was taken last. With `Config.signs`, each `GROUP` of channels comes a cycle
        later than the one before.
    kept : In
        With `Config.signs`, as the next: so many words are there that were written before.
    back : In(1)
        Nothing is there, and the next word has the place of the first.
    """
    def __init__(self, config):
        if config.weight_depth & config.weight_depth - 1:
            raise ValueError(f"'weight_depth' must be a power of two, not {config.weight_depth!r}")
        self._config = config
        super().__init__({
            "space":     Out(1),
            "spare":     Out(1),
            "part":      In(range(config.weight_width // config.memory_width)),
            "lanes":     In(config.memory_width // 16),
            "part_data": In(config.memory_width),
            "complete":  In(1),
            "readable":  Out(1),
            "read":      In(1),
            "free":      In(1),
            "rewind":    In(1),
            "data":      Out(config.weight_width),
        } | ({"kept": In(KEPT_BITS), "back": In(1)} if config.signs else {}))

    def elaborate(self, platform):
        config = self._config
        m = Module()

        # Of a word, banks are read one after another.
        size = GROUP * config.simd if config.signs else config.weight_width
        banks = [Memory(shape=size, depth=config.weight_depth, init=[],
                        attrs={"ram_style": "block", "no_rw_check": True})
                 for _ in range(config.weight_width // size)]
        m.submodules += banks
        writes = [bank.write_port(granularity=16) for bank in banks]
        reads  = [bank.read_port() for bank in banks]
        enable = Signal(config.weight_width // 16)

        parts = config.weight_width // config.memory_width
        for part in range(parts):
            with m.If(self.part == part):
                m.d.comb += enable.word_select(part, len(self.lanes)).eq(self.lanes)
        # Places have one bit more than addresses, so that all and nothing differ.
        depth   = config.weight_depth
        oldest  = Signal(range(2 * depth))  # that is not free
        place   = Signal(range(2 * depth))  # that is read next
        follows = Signal(range(2 * depth), init=1)  # and behind it
        end     = Signal(range(2 * depth))  # behind the last that was written
        after   = Signal(range(2 * depth), init=1)  # and behind the next
        freeing = Signal()
        for at, write in enumerate(writes):
            m.d.comb += write.addr.eq(end)
            m.d.comb += write.en.eq(enable.word_select(at, size // 16))
            m.d.comb += write.data.eq(
                self.part_data.replicate(parts).word_select(at, size))
        with m.If(self.complete):
            m.d.sync += end.eq(after)
            m.d.sync += after.eq(after + 1)
        with m.If(self.read):
            m.d.sync += place.eq(Mux(self.rewind, oldest, follows))
            m.d.sync += follows.eq(Mux(self.rewind, oldest, follows) + 1)
        m.d.sync += freeing.eq(self.read & self.free)
        with m.If(freeing):
            m.d.sync += oldest.eq(oldest + 1)
        address, enabled = place, self.read
        for at, read in enumerate(reads):
            m.d.sync += read.addr.eq(address)
            m.d.sync += read.en.eq(enabled)
            m.d.comb += self.data.word_select(at, size).eq(read.data)
            address, enabled = read.addr, read.en

        # As `place != end` would tell, a cycle earlier.
        with m.If(self.complete | (self.read & self.rewind)):
            m.d.sync += self.readable.eq(1)
        with m.Elif(self.read):
            m.d.sync += self.readable.eq(follows != end)
        # What `end` and `oldest` tell of the room that is left, a cycle earlier too.
        beyond = Signal(range(2 * depth), init=2)
        full   = Signal()  # no word has a place
        nearly = Signal()  # or but one has
        none, one, two = (place == (oldest ^ depth) for place in (end, after, beyond))
        with m.If(self.complete):
            m.d.sync += beyond.eq(beyond + 1)
            m.d.sync += full.eq(one & ~freeing)
            m.d.sync += nearly.eq(one | (two & ~freeing))
        with m.Else():
            m.d.sync += full.eq(none & ~freeing)
            m.d.sync += nearly.eq(none | (one & ~freeing))
        m.d.comb += self.space.eq(~full)
        m.d.comb += self.spare.eq(~nearly)

        if config.signs:
            with m.If(self.kept.any()):
                m.d.sync += end.eq(end + self.kept)
                m.d.sync += after.eq(after + self.kept)
                m.d.sync += beyond.eq(beyond + self.kept)
                m.d.sync += self.readable.eq(1)
            with m.If(self.back):
                for place_, first in ((oldest, 0), (place, 0), (follows, 1), (end, 0), (after, 1),
                                      (beyond, 2), (full, 0), (nearly, 0), (self.readable, 0)):
                    m.d.sync += place_.eq(first)

        return m


class LevelQueue(wiring.Component):
    """Levels, written one a cycle; read in any order, and released some at a time.

    Members
    -------
    space : Out(1)
        There is a place for a level.
    write : In(1)
        Put ``level`` at the end.
    level : In(signed(sum_width))
        What is written.
    address : In
        Which place is read.
    data : Out(signed(sum_width))
        What was at ``address`` in the cycle before.
    release : In
        How many of the oldest levels are needed no more.
    """
    def __init__(self, config):
        if config.level_depth & config.level_depth - 1:
            raise ValueError(f"'level_depth' must be a power of two, not {config.level_depth!r}")
        self._config = config
        super().__init__({
            "space":   Out(1),
            "write":   In(1),
            "level":   In(signed(config.sum_width)),
            "address": In(range(config.level_depth)),
            "data":    Out(signed(config.sum_width)),
            "release": In(range(config.level_depth)),
        })

    def elaborate(self, platform):
        config = self._config
        m = Module()

        m.submodules.memory = memory = Memory(
            shape=signed(config.sum_width), depth=config.level_depth, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        write = memory.write_port()
        read = memory.read_port()

        m.d.comb += write.en.eq(self.write)
        m.d.comb += write.data.eq(self.level)
        m.d.comb += read.addr.eq(self.address)
        m.d.comb += self.data.eq(read.data)
        with m.If(self.write):
            m.d.sync += write.addr.eq(write.addr + 1)

        levels = Signal(range(config.level_depth + 1))
        full   = Signal()  # as `levels` would tell, a cycle earlier
        m.d.sync += levels.eq(levels + self.write - self.release)
        with m.If(self.release.any()):
            m.d.sync += full.eq(0)
        with m.Elif(self.write):
            m.d.sync += full.eq(levels == config.level_depth - 1)
        m.d.comb += self.space.eq(~full)

        return m

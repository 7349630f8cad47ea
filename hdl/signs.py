"""Bits by groups: the drain of layers that leave one bit for each sum, where it is wide."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import SIGN_BITS
from hdl.engine import CAPTURE, Harvest
from hdl.gather import results
from hdl.isa import GROUP, Layer


__all__ = ["SignDrain", "SignLevels"]


class SignLevels(wiring.Component):
    """Levels of all channels of `Activation.SIGN`, `GROUP` at an address, in the order in which
    tiles are made. They are written once, from the first on.

    Members
    -------
    back : In(1)
        The next level that is written is the first.
    write : In(1)
        Put ``level`` (In(SIGN_BITS)) behind the last.
    address : In
        Which group is read.
    data : Out(GROUP * SIGN_BITS)
        What was at ``address`` in the cycle before.
    """
    def __init__(self, config):
        self._depth = config.sign_depth
        super().__init__({
            "back":    In(1),
            "write":   In(1),
            "level":   In(SIGN_BITS),
            "address": In(range(config.sign_depth)),
            "data":    Out(GROUP * SIGN_BITS),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(
            shape=GROUP * SIGN_BITS, depth=self._depth, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        write = memory.write_port(granularity=SIGN_BITS)
        read = memory.read_port()

        lane = Signal(range(GROUP))
        m.d.comb += write.data.eq(self.level.replicate(GROUP))
        m.d.comb += write.en.eq(self.write << lane)
        m.d.comb += read.addr.eq(self.address)
        m.d.comb += self.data.eq(read.data)
        with m.If(self.write):
            m.d.sync += Cat(lane, write.addr).eq(Cat(lane, write.addr) + 1)
        with m.If(self.back):
            m.d.sync += Cat(lane, write.addr).eq(0)

        return m


class SignDrain(wiring.Component):
    """Takes the sums of one pass, a group of channels of all pixels in a cycle, and writes a bit
    for each: whether it is 0 or more, with its level. What is pooled keeps the bits of a window
    until its last pass.

    Bits leave at once, as words of the pixels or windows that lie side by side, in one address. The
    bits of the first channels of a word clear its others. What is to be written waits in a register
    until the memory has time, or until the next comes.

    Members
    -------
    layer : In(Layer)
        Descriptor.
    restart : In(1)
        A layer begins.
    back : In(1)
        A frame ends: the next level is the first.
    capture : In(1)
        The array captures sums, which are what ``harvest`` (In(Harvest(config))) says.
    shift : Out(1)
        Step to the next group.
    group : In(p * GROUP * binary_width)
        Half sums of a group.
    level_address : Out
        Which levels are read; ``levels`` (In(GROUP * SIGN_BITS)) are there in the next cycle.
    write, address, write_data, grant, urgent, pending
        Of `hdl.gather.results`.
    drained : Out(1)
        The next capture may come from the seventh cycle after this one on.
    resting : Out(1)
        Nothing is left to do.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layer":         In(Layer),
            "restart":       In(1),
            "back":          In(1),
            "capture":       In(1),
            "harvest":       In(Harvest(config)),
            "shift":         Out(1),
            "group":         In(config.p * GROUP * config.binary_width),
            "level_address": Out(range(config.sign_depth)),
            "levels":        In(GROUP * SIGN_BITS),
            **results(config),
            "drained":       Out(1),
            "resting":       Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        groups = config.pe // GROUP
        doublings = exact_log2(config.p)
        m = Module()

        # A group a cycle. Its levels are asked for in the cycle before.
        flags   = self.harvest.flags
        taking  = Signal()
        behind  = Signal(range(groups))
        ends    = Signal()
        closes  = Signal()  # the pass is the last of its window
        release = Signal()  # its levels are not needed again
        output  = Signal.like(self.harvest.output)
        base    = Signal.like(self.level_address)  # of the tile
        place   = Signal.like(self.level_address)
        ahead   = Signal.like(self.level_address)
        m.d.comb += self.shift.eq(taking)
        m.d.comb += ends.eq(taking & (behind == 0))
        m.d.comb += ahead.eq(place + taking)
        m.d.comb += self.level_address.eq(Mux(ends & ~release, base, ahead))
        m.d.sync += place.eq(self.level_address)
        with m.If(taking):
            m.d.sync += behind.eq(behind - 1)
        with m.If(ends):
            m.d.sync += taking.eq(0)
            with m.If(release):
                m.d.sync += base.eq(ahead)
        with m.If(self.capture):
            m.d.sync += taking.eq(1)
            m.d.sync += behind.eq(groups - 1)
            m.d.sync += closes.eq(~layer.pool | flags.window_last)
            m.d.sync += release.eq(flags.group_last)
            m.d.sync += output.eq(self.harvest.output)
        with m.If(self.back):
            m.d.sync += place.eq(0)
            m.d.sync += base.eq(0)

        # The last group must have left when the next sums come.
        m.d.comb += self.drained.eq(self.capture)
        if groups > CAPTURE + 1:
            later = Signal()
            m.d.sync += later.eq(self.capture)
            m.d.comb += self.drained.eq(later)

        # Its bits, a cycle later
        bits   = Signal(config.p * GROUP)
        taken  = Signal()
        ended  = Signal()
        closed = Signal()
        target = Signal.like(output)
        joins  = Signal()  # bits are joined with those of the pass before
        for index in range(config.p * GROUP):
            half  = self.group.word_select(index, config.binary_width).as_signed()
            level = self.levels.word_select(index % GROUP, SIGN_BITS).as_signed()
            total = Signal(signed(config.binary_width + 2), name=f"total_{index}")
            m.d.comb += total.eq(half + level)
            m.d.sync += bits[index].eq(~total[-1])
        m.d.sync += taken.eq(taking)
        m.d.sync += ended.eq(ends)
        m.d.sync += closed.eq(closes)
        rows = [Signal(config.pe, name=f"row_{pixel}") for pixel in range(config.p)]
        with m.If(taken):
            for pixel, row in enumerate(rows):
                joined = bits.word_select(pixel, GROUP) | (row[:GROUP] & joins.replicate(GROUP))
                m.d.sync += row.eq(Cat(row[GROUP:], joined))
        with m.If(ends):
            m.d.sync += target.eq(output)
        with m.If(ended):
            m.d.sync += joins.eq(~closed)
        with m.If(self.restart):
            m.d.sync += joins.eq(0)

        # What leaves: a word for each pixel, or for each window.
        emit    = Signal()
        pending = self.pending
        made    = Signal(config.p * config.pe)
        goes    = Signal.like(output)
        width   = Signal.like(layer.pixels)
        m.d.comb += width.eq(Mux(layer.pool, layer.pixels, 0))
        m.d.sync += emit.eq(ended & closed)
        with m.If(self.grant):
            m.d.sync += pending.eq(0)
        with m.If(emit):
            m.d.sync += pending.eq(1)
            m.d.sync += goes.eq(target)
        m.d.comb += self.urgent.eq(pending & emit)
        m.d.comb += self.resting.eq(~(taking | taken | emit | pending))

        word     = exact_log2(config.simd // 8)  # bits of a place that name an octet of a word
        gathered = exact_log2(groups)            # ... of what is made of it
        inner    = word + doublings
        slot     = goes[word:inner]
        slots    = Signal(config.p)
        words    = rows
        for doubling in range(doublings + 1):
            one = layer.single if doubling == doublings else 0
            with m.If((width == (1 << doubling) - 1) & ~layer.single | one):
                same = doublings - doubling
                for index in range(config.p):
                    m.d.comb += slots[index].eq(slot[same:] == index >> same)
                with m.If(emit):
                    m.d.sync += made.eq(Cat(*words * (config.p // len(words))))
            words = [a | b for a, b in zip(words[::2], words[1::2], strict=False)]
        with m.If(emit & layer.single):
            m.d.sync += made.eq(rows[0].replicate(config.p))

        heads = Signal()  # they are the first of their words, whose others are cleared
        m.d.comb += heads.eq(goes[:word] == 0)
        m.d.comb += self.address.eq(goes[inner:])
        for octet in range(config.memory_width // 8):
            index, within = divmod(octet, 1 << word)
            here = (goes[gathered:word] == within >> gathered) | heads
            result = made.word_select(index, config.pe).word_select(within % groups, 8)
            clear = heads & (within >= groups)
            m.d.comb += self.write[octet].eq(pending & slots[index] & here)
            m.d.comb += self.write_data.word_select(octet, 8).eq(
                result & ~clear.replicate(8))

        return m

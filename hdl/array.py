"""The XNOR-popcount array."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.accumulator import Accumulator, DoublingAccumulator
from hdl.isa import GROUP


__all__ = ["XnorArray"]


class XnorArray(wiring.Component):
    """Sums of products of -1 and +1: ``p`` pixels by ``pe`` channels, ``simd`` products a cycle.

    Accumulators hold half of a sum, that is matching lanes less ``simd // 2`` for each word, so
    that a word that is left out adds nothing. A bit is +1 where it is set.

    Throughput is one word a cycle; nothing stalls. ``keep`` comes two cycles after its word, and
    ``capture`` four cycles after the last word of a sum. In the cycle after ``capture`` the sums
    begin to shift out, one for each cycle of ``shift``: channel 0 of pixel 0 first, pixel by pixel.

    With `Config.signs`, they also leave by groups of channels, one for each cycle of ``shift_all``,
    which come of all pixels; and sums may double.

    Members
    -------
    keep : In(p)
        Pixels for which the word of two cycles ago counts.
    capture : In(1)
        The word of four cycles ago was the last of its sums.
    activations : In(p * simd)
        Words of the pixels, pixel 0 lowest.
    weights : In(pe * simd)
        Words of the channels, channel 0 lowest.
    shift : In(1)
        Step to the next channel.
    half : Out(signed(binary_width))
        Half sum of one channel of one pixel.
    double : In(1)
        With `Config.signs`, as the next two: to twice the sums so far the word is added that
        ``keep`` tells of.
    shift_all : In(1)
        Step to the next group of channels.
    group : Out(p * GROUP * binary_width)
        Half sums of a group, channels of pixel 0 first.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "keep":        In(config.p),
            "capture":     In(1),
            "activations": In(config.p * config.simd),
            "weights":     In(config.pe * config.simd),
            "shift":       In(1),
            "half":        Out(signed(config.binary_width)),
        } | ({
            "double":      In(1),
            "shift_all":   In(1),
            "group":       Out(config.p * GROUP * config.binary_width),
        } if config.signs else {}))

    def elaborate(self, platform):
        return self._by_groups() if self._config.signs else self._one_by_one()

    def _by_groups(self):
        config = self._config
        m = Module()

        # Of each pixel, a chain for every channel of a group; they move together.
        groups = config.pe // GROUP
        moves  = Signal(config.p)
        double = Signal(2)
        m.d.sync += double.eq(Cat(self.double, double))
        heads = []
        for p in range(config.p):
            for first in range(GROUP):
                chain = Const(0, config.binary_width)
                for pe in reversed(range(first, config.pe, GROUP)):
                    lane = DoublingLane(width=config.binary_width, simd=config.simd)
                    m.submodules[f"lane_{p}_{pe}"] = lane
                    m.d.comb += lane.activations.eq(self.activations.word_select(p, config.simd))
                    m.d.comb += lane.weights.eq(self.weights.word_select(pe, config.simd))
                    m.d.comb += lane.keep.eq(self.keep[p])
                    m.d.comb += lane.double.eq(double[1])
                    m.d.comb += lane.capture.eq(self.capture)
                    m.d.comb += lane.shift.eq(moves[p])
                    m.d.comb += lane.chain.eq(chain)
                    chain = lane.half
                heads.append(chain)
        m.d.comb += self.group.eq(Cat(heads))

        # One by one, the last of a group lets the others follow.
        channel = Signal(range(GROUP))
        behind  = Signal(range(groups))
        pixel   = Signal(range(config.p))
        m.d.comb += self.half.eq(Array(heads)[Cat(channel, pixel)])
        group_ends = channel == GROUP - 1
        m.d.comb += moves.eq(self.shift_all.replicate(config.p)
                             | ((self.shift & group_ends) << pixel))
        with m.If(self.shift):
            m.d.sync += channel.eq(channel + 1)
            with m.If(group_ends):
                m.d.sync += behind.eq(behind + 1)
                with m.If(behind == groups - 1):
                    m.d.sync += pixel.eq(pixel + 1)
        with m.If(self.capture):
            m.d.sync += Cat(channel, behind, pixel).eq(0)

        return m

    def _one_by_one(self):
        config = self._config
        m = Module()

        chain = Const(0, config.binary_width)
        for p in reversed(range(config.p)):
            for pe in reversed(range(config.pe)):
                a = self.activations.word_select(p, config.simd)
                w = self.weights.word_select(pe, config.simd)
                lane = Lane(width=config.binary_width, simd=config.simd)
                m.submodules[f"lane_{p}_{pe}"] = lane
                m.d.comb += lane.activations.eq(a)
                m.d.comb += lane.weights.eq(w)
                m.d.comb += lane.keep.eq(self.keep[p])
                m.d.comb += lane.capture.eq(self.capture)
                m.d.comb += lane.shift.eq(self.shift)
                m.d.comb += lane.chain.eq(chain)
                chain = lane.half
        m.d.comb += self.half.eq(chain)

        return m


class Popcount(wiring.Component):
    """One pixel, one channel of `XnorArray`: matching lanes of a word less ``simd // 2``, or 0 where
    ``keep`` is not set; in three stages."""
    def __init__(self, *, simd):
        self._simd = simd
        super().__init__({
            "activations": In(simd),
            "weights":     In(simd),
            "keep":        In(1),
            "surplus":     Out(signed(exact_log2(simd) + 1)),
        })

    def elaborate(self, platform):
        m = Module()

        # Four lanes make a count of three bits in seven LUT4s: two bits for each pair of lanes,
        # then a sum of four bits that is a function of four bits.
        counts = []
        for at in range(0, self._simd, 4):
            pairs = []
            for low in (at, at + 2):
                a, w = self.activations[low:low + 2], self.weights[low:low + 2]
                pair = Signal(2, name=f"pair_{low}")
                m.d.comb += pair[0].eq(a[0] ^ w[0] ^ a[1] ^ w[1])
                m.d.comb += pair[1].eq((a[0] == w[0]) & (a[1] == w[1]))
                pairs.append(pair)
            four = Signal(3, name=f"four_{at}")
            a, b = pairs
            m.d.sync += four[0].eq(a[0] ^ b[0])
            m.d.sync += four[1].eq(a[1] ^ b[1] ^ (a[0] & b[0]))
            m.d.sync += four[2].eq((a[1] & b[1]) | ((a[1] | b[1]) & a[0] & b[0]))
            counts.append(four)

        level = 0
        while len(counts) > 2:
            domain = m.d.sync if len(counts) <= 4 else m.d.comb
            sums = []
            for index, (a, b) in enumerate(zip(counts[::2], counts[1::2], strict=True)):
                total = Signal(len(a) + 1, name=f"count_{level}_{index}")
                domain += total.eq(a + b)
                sums.append(total)
            counts = sums
            level += 1

        # matches - simd / 2: the highest two bits tell whether the half is reached.
        matches = Signal(range(self._simd + 1))
        domain = m.d.sync if level == 0 else m.d.comb
        domain += matches.eq(counts[0] + counts[1])
        top = len(matches) - 1
        with m.If(self.keep):
            m.d.sync += self.surplus.eq(Cat(matches[:top - 1], ~matches[top - 1],
                                            ~(matches[top] | matches[top - 1])))
        with m.Else():
            m.d.sync += self.surplus.eq(0)

        return m


class Lane(wiring.Component):
    """One pixel, one channel of `XnorArray`: a popcount, an accumulator, and its place in the chain
    by which sums leave."""
    def __init__(self, *, width, simd):
        self._simd = simd
        super().__init__({
            "activations": In(simd),
            "weights":     In(simd),
            "keep":        In(1),
            "capture":     In(1),
            "shift":       In(1),
            "chain":       In(signed(width)),
            "half":        Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.popcount = popcount = Popcount(simd=self._simd)
        for name in ("activations", "weights", "keep"):
            m.d.comb += getattr(popcount, name).eq(getattr(self, name))
        m.submodules.accumulator = accumulator = Accumulator(
            width=len(self.half), addend_width=len(popcount.surplus))
        m.d.comb += accumulator.addend.eq(popcount.surplus)
        m.d.comb += accumulator.load.eq(self.capture)
        with m.If(self.capture):
            m.d.sync += self.half.eq(accumulator.sum)
        with m.Elif(self.shift):
            m.d.sync += self.half.eq(self.chain)

        return m


class DoublingLane(wiring.Component):
    """As `Lane`; ``double`` comes two cycles later than ``keep``."""
    def __init__(self, *, width, simd):
        self._simd = simd
        super().__init__({
            "activations": In(simd),
            "weights":     In(simd),
            "keep":        In(1),
            "double":      In(1),
            "capture":     In(1),
            "shift":       In(1),
            "chain":       In(signed(width)),
            "half":        Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.popcount = popcount = Popcount(simd=self._simd)
        for name in ("activations", "weights", "keep"):
            m.d.comb += getattr(popcount, name).eq(getattr(self, name))
        surplus = Signal.like(popcount.surplus)
        m.d.sync += surplus.eq(popcount.surplus)
        m.submodules.accumulator = accumulator = DoublingAccumulator(
            width=len(self.half), addend_width=len(surplus))
        m.d.comb += accumulator.addend.eq(surplus)
        m.d.comb += accumulator.double.eq(self.double)
        m.d.comb += accumulator.clear.eq(self.capture)
        with m.If(self.capture):
            m.d.sync += self.half.eq(accumulator.total)
        with m.Elif(self.shift):
            m.d.sync += self.half.eq(self.chain)

        return m

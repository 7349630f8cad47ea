"""The XNOR-popcount array."""

from itertools import product

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
    which come of all pixels; and sums may double. Weights of each group come a cycle later than
    those of the group before.

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

        # From each group of channels to the next, all is a cycle later: what goes in, and what
        # comes out. So wires are short, and groups are there as they leave.
        octet = Signal(range(config.pe // GROUP))  # the group that leaves
        group = [Signal(len(self.half), name=f"group_{index}") for index in range(config.p * GROUP)]
        activations, keep, capture = self.activations, self.keep, self.capture
        double = delayed(m, delayed(m, self.double, "double_0"), "double_1")
        for first in range(0, config.pe, GROUP):
            activations = delayed(m, activations, f"activations_{first}")
            halves = []
            for p, pe in product(range(config.p), range(first, first + GROUP)):
                lane = DoublingLane(width=config.binary_width, simd=config.simd)
                m.submodules[f"lane_{p}_{pe}"] = lane
                m.d.comb += lane.activations.eq(activations.word_select(p, config.simd))
                m.d.sync += lane.weights.eq(self.weights.word_select(pe, config.simd))
                m.d.comb += lane.keep.eq(keep[p])
                m.d.comb += lane.double.eq(double)
                m.d.comb += lane.capture.eq(capture)
                halves.append(lane.half)
            with m.If(octet == first // GROUP):
                for one, half in zip(group, halves, strict=True):
                    m.d.comb += one.eq(half)
            keep = delayed(m, keep, f"keep_{first}")
            double = delayed(m, double, f"double_of_{first}")
            capture = delayed(m, capture, f"capture_{first}")
        m.d.comb += self.group.eq(Cat(group))

        # One by one
        channel = Signal(range(GROUP))
        pixel   = Signal(range(config.p))
        m.d.comb += self.half.eq(Array(group)[Cat(channel, pixel)])
        with m.If(self.shift):
            m.d.sync += Cat(channel, octet, pixel).eq(Cat(channel, octet, pixel) + 1)
        with m.If(self.shift_all):
            m.d.sync += octet.eq(octet + 1)
        with m.If(self.capture):
            m.d.sync += Cat(channel, octet, pixel).eq(0)

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
    """One pixel, one channel of `XnorArray`: matching lanes of a word less ``simd // 2``, or 0
    where ``keep`` is not set; in three stages, or in two if the ``first`` is left out."""
    def __init__(self, *, simd, first=True):
        self._simd = simd
        self._first = first
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
        stage = m.d.sync if self._first else m.d.comb
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
            stage += four[0].eq(a[0] ^ b[0])
            stage += four[1].eq(a[1] ^ b[1] ^ (a[0] & b[0]))
            stage += four[2].eq((a[1] & b[1]) | ((a[1] | b[1]) & a[0] & b[0]))
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
    """As `Lane`, but that words come from registers, a cycle later, ``double`` comes two cycles
    later than ``keep``, and sums stay."""
    def __init__(self, *, width, simd):
        self._simd = simd
        super().__init__({
            "activations": In(simd),
            "weights":     In(simd),
            "keep":        In(1),
            "double":      In(1),
            "capture":     In(1),
            "half":        Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.popcount = popcount = Popcount(simd=self._simd, first=False)
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

        return m


def delayed(m, value, name):
    """Return ``value`` as it was in the cycle before."""
    later = Signal.like(value, name=name)
    m.d.sync += later.eq(value)
    return later

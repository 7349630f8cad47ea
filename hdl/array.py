"""The XNOR-popcount array."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulator import Accumulator


__all__ = ["XnorArray"]


class XnorArray(wiring.Component):
    """Sums of products of -1 and +1: ``p`` pixels by ``pe`` channels, ``simd`` products a cycle.

    Accumulators hold half of a sum, that is matching lanes less ``simd // 2`` for each word, so
    that a word that is left out adds nothing. A bit is +1 where it is set.

    Throughput is one word a cycle; nothing stalls. ``keep`` comes two cycles after its word, and
    ``capture`` four cycles after the last word of a sum. In the cycle after ``capture`` the sums
    begin to shift out, one for each cycle of ``shift``: channel 0 of pixel 0 first, pixel by pixel.

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
        })

    def elaborate(self, platform):
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


class Lane(wiring.Component):
    """One pixel, one channel of `XnorArray`: a popcount in three stages, an accumulator, and its
    place in the chain by which sums leave."""
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
        surplus = Signal(signed(top + 1))
        with m.If(self.keep):
            m.d.sync += surplus.eq(Cat(matches[:top - 1], ~matches[top - 1],
                                       ~(matches[top] | matches[top - 1])))
        with m.Else():
            m.d.sync += surplus.eq(0)

        m.submodules.accumulator = accumulator = Accumulator(
            width=len(self.half), addend_width=len(surplus))
        m.d.comb += accumulator.addend.eq(surplus)
        m.d.comb += accumulator.load.eq(self.capture)
        with m.If(self.capture):
            m.d.sync += self.half.eq(accumulator.sum)
        with m.Elif(self.shift):
            m.d.sync += self.half.eq(self.chain)

        return m

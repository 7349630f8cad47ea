"""The fixed-point unit: sums of products of octets, for the layers at the edges of a network."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulator import Accumulator
from hdl.multiplier import PairMultiplier


__all__ = ["FixedUnit"]


class FixedUnit(wiring.Component):
    """Sums of products of signed octets: ``fixed_pe`` channels, ``simd // 8`` products a cycle.

    It keeps the times of `hdl.array.XnorArray`, so that one engine drives both: ``keep`` comes two
    cycles after its word, ``capture`` four cycles after the last word of a sum, and in the cycle
    after ``capture`` the sums begin to shift out, channel 0 first.

    Members
    -------
    keep : In(1)
        The word of two cycles ago counts.
    capture : In(1)
        The word of four cycles ago was the last of its sums.
    activations : In(simd)
        ``simd // 8`` octets.
    weights : In(fixed_pe * simd)
        As many octets for each channel, channel 0 lowest.
    shift : In(1)
        Step to the next channel.
    sum : Out(signed(fixed_width))
        Sum of one channel.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "keep":        In(1),
            "capture":     In(1),
            "activations": In(config.simd),
            "weights":     In(config.fixed_pe * config.simd),
            "shift":       In(1),
            "sum":         Out(signed(config.fixed_width)),
        })

    def elaborate(self, platform):
        config = self._config
        m = Module()

        chain = Const(0, config.fixed_width)
        for pe in reversed(range(config.fixed_pe)):
            products = []
            for index in range(0, config.fixed_simd, 2):
                m.submodules[f"multiplier_{pe}_{index}"] = multiplier = PairMultiplier()
                for at, a, b in ((index, multiplier.a0, multiplier.b0),
                                 (index + 1, multiplier.a1, multiplier.b1)):
                    if at < config.fixed_simd:
                        m.d.comb += a.eq(self.activations.word_select(at, 8).as_signed())
                        m.d.comb += b.eq(self.weights.word_select(pe * config.fixed_simd + at, 8)
                                         .as_signed())
                products.append(multiplier.sum)

            level = 0
            while len(products) > 1:
                sums = []
                for at in range(0, len(products) - 1, 2):
                    total = Signal(signed(len(products[at]) + 1), name=f"tree_{pe}_{level}_{at}")
                    m.d.comb += total.eq(products[at] + products[at + 1])
                    sums.append(total)
                products = sums + products[len(products) & ~1:]
                level += 1

            product = Signal(signed(len(products[0])), name=f"product_{pe}")
            with m.If(self.keep):
                m.d.sync += product.eq(products[0])
            with m.Else():
                m.d.sync += product.eq(0)

            accumulator = Accumulator(width=config.fixed_width, addend_width=len(product))
            m.submodules[f"accumulator_{pe}"] = accumulator
            m.d.comb += accumulator.addend.eq(product)
            m.d.comb += accumulator.load.eq(self.capture)
            captured = Signal.like(self.sum, name=f"captured_{pe}")
            with m.If(self.capture):
                m.d.sync += captured.eq(accumulator.sum)
            with m.Elif(self.shift):
                m.d.sync += captured.eq(chain)
            chain = captured
        m.d.comb += self.sum.eq(chain)

        return m

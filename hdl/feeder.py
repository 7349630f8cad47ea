"""Brings activation words from the memory to the units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Layer


__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Reads the words of a layer again and again while ``enable`` is set.

    An address of the memory holds ``group`` words. It is asked for from the cycle after the last
    use of a word of the address before; granted at once, its first word is there two cycles after
    that: ``group`` words in ``group + 2`` cycles, while the weights of a dense layer come from the
    flash or from the same memory, which takes longer.

    Members
    -------
    enable : In(1)
        A layer runs; in the cycle before, its descriptor was there already.
    layer : In(Layer)
        The descriptor.
    request : Out(1)
        Read the memory at ``address`` (Out); if ``grant`` (In(1)) comes in the same cycle,
        ``read_data`` (In(memory_width)) comes in the next.
    valid : Out(1)
        There is a word.
    next : In(1)
        Use it: it is in ``activations`` in the next cycle.
    last : In(1)
        It is the last of a sum.
    activations : Out(p * simd)
        Words of the pixels, pixel 0 lowest. Dense layers have one; the others are 0.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "enable":      In(1),
            "layer":       In(Layer),
            "request":     Out(1),
            "address":     Out(range(config.memory_depth)),
            "grant":       In(1),
            "read_data":   In(config.memory_width),
            "valid":       Out(1),
            "next":        In(1),
            "last":        In(1),
            "activations": Out(config.p * config.simd),
        })

    def elaborate(self, platform):
        config = self._config
        m = Module()

        words    = Signal(config.memory_width)
        word     = Signal(range(config.group))
        arriving = Signal()
        used_up  = Signal()
        m.d.comb += used_up.eq(self.next & (self.last | (word == config.group - 1)))

        m.d.comb += self.request.eq(self.enable & ~self.valid & ~arriving)
        m.d.sync += arriving.eq(self.request & self.grant)
        with m.If(arriving):
            m.d.sync += words.eq(self.read_data)
            m.d.sync += self.valid.eq(1)
        with m.If(self.next):
            m.d.sync += self.activations.eq(words.word_select(word, config.simd))
            m.d.sync += word.eq(word + 1)
        with m.If(used_up):
            m.d.sync += self.valid.eq(0)
            m.d.sync += word.eq(0)
            m.d.sync += self.address.eq(self.address + 1)
        with m.If((used_up & self.last) | ~self.enable):
            m.d.sync += self.address.eq(self.layer.source)

        return m

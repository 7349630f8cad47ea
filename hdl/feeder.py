"""Brings activation words from the memory to the units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.isa import Layer


__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Reads the words of a layer again and again, ahead of their use, while ``enable`` is set.

    An address of the memory holds ``group`` words. Two addresses are read ahead; a third is asked
    for once a place is free, at the earliest in the cycle after the last use of a word. While
    ``enable`` is clear, what was read is forgotten, and reading begins with the first word.

    Members
    -------
    enable : In(1)
        A layer runs; in the cycle before, its descriptor was there already.
    layer : In(Layer)
        Its descriptor.
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
        The word of each pixel.
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

        # Asking: groups of words, from the first to the last of a sum, and again.
        inner  = exact_log2(config.group)
        groups = Signal(12 - inner + 1)
        left   = Signal.like(groups)
        m.d.comb += groups.eq((self.layer.words + config.group - 1) >> inner)
        arriving = Signal()
        count    = Signal(range(3))
        m.d.comb += self.request.eq(self.enable & (count + arriving < 2))
        m.d.sync += arriving.eq(self.request & self.grant)
        with m.If(~self.enable):
            m.d.sync += self.address.eq(self.layer.source)
            m.d.sync += left.eq(groups)
        with m.Elif(self.grant & self.request):
            m.d.sync += self.address.eq(self.address + 1)
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += self.address.eq(self.layer.source)
                m.d.sync += left.eq(groups)

        # Giving: two groups, and which word of the first is next.
        first  = Signal(config.memory_width)
        second = Signal(config.memory_width)
        word   = Signal(range(config.group))
        done   = Signal()
        m.d.comb += self.valid.eq(count != 0)
        m.d.comb += done.eq(self.next & (self.last | (word == config.group - 1)))
        with m.If(self.next):
            m.d.sync += word.eq(Mux(done, 0, word + 1))
            m.d.sync += self.activations.eq(first.word_select(word, config.simd))
        with m.If(done):
            m.d.sync += first.eq(second)
        with m.If(arriving):
            with m.If(count - done == 0):
                m.d.sync += first.eq(self.read_data)
            m.d.sync += second.eq(self.read_data)
        m.d.sync += count.eq(count + arriving - done)
        with m.If(~self.enable):
            m.d.sync += count.eq(0)
            m.d.sync += arriving.eq(0)
            m.d.sync += word.eq(0)

        return m

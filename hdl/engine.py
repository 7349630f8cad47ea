"""The engine: runs layers, word by word."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Cause, Layer


__all__ = ["Engine"]


class Engine(wiring.Component):
    """Takes a descriptor, and moves its words from the feeder and the weight queue to a unit.

    A cycle in which a layer runs has one cause; a word moves in those of `Cause.WORK`. The last
    word of a segment waits until the drain has taken the segment before.

    Members
    -------
    layers : In(stream.Signature(Layer))
        Descriptors. Each is held while its layer runs, and taken in the layer's last cycle.
    begin : Out(1)
        A layer begins in the next cycle.
    end : Out(1)
        This cycle is a layer's last.
    running : Out(1)
        The words of a layer are being used.
    idle : Out(1)
        No layer runs.
    cause : Out(Cause)
        What this cycle goes to.
    feed_valid : In(1)
        The feeder has a word.
    weight_valid : In(1)
        The weight queue has one.
    next : Out(1)
        Both move on.
    last : Out(1)
        The word is the last of its sum.
    keep, capture : Out(1)
        As the units want them.
    first, final : Out(1)
        The segment that is captured is the first of its sums; the last.
    drained : In(1)
        The drain is done with a segment.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layers":       In(stream.Signature(Layer)),
            "begin":        Out(1),
            "end":          Out(1),
            "running":      Out(1),
            "idle":         Out(1),
            "cause":        Out(Cause),
            "feed_valid":   In(1),
            "weight_valid": In(1),
            "next":         Out(1),
            "last":         Out(1),
            "keep":         Out(1),
            "capture":      Out(1),
            "first":        Out(1),
            "final":        Out(1),
            "drained":      In(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layers.payload
        m = Module()

        words   = Signal(12)  # left in this sum
        tiles   = Signal(12)  # left in this layer
        segment = Signal(range(config.segment + 1))  # words left in this segment
        fresh   = Signal(init=1)  # this segment is the first of its sum
        draining = Signal()
        segment_ends = Signal()  # with this word; `last` tells the same of a sum
        last_of_segment = Signal()
        m.d.comb += last_of_segment.eq(self.last | segment_ends)

        with m.If(self.drained):
            m.d.sync += draining.eq(0)

        captures = Signal(4)
        keeps    = Signal(2)
        m.d.sync += Cat(captures, self.capture).eq(Cat(self.next & last_of_segment, captures))
        m.d.sync += Cat(keeps, self.keep).eq(Cat(self.next, keeps))

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.cause.eq(Cause.PROGRAM)
                m.d.comb += self.idle.eq(1)
                m.d.comb += self.begin.eq(self.layers.valid)
                m.d.sync += words.eq(layer.words)
                m.d.sync += tiles.eq(layer.tiles)
                m.d.sync += segment.eq(config.segment)
                m.d.sync += self.last.eq(layer.words == 1)
                m.d.sync += segment_ends.eq(0)
                with m.If(self.layers.valid):
                    m.next = "RUN"

            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                with m.If(~self.weight_valid):
                    m.d.comb += self.cause.eq(Cause.WEIGHTS)
                with m.Elif(~self.feed_valid):
                    m.d.comb += self.cause.eq(Cause.ACTIVATIONS)
                with m.Elif(last_of_segment & draining):
                    m.d.comb += self.cause.eq(Cause.DRAIN)
                with m.Else():
                    m.d.comb += self.cause.eq(Cause.WORK)
                    m.d.comb += self.next.eq(1)

                with m.If(self.next):
                    m.d.sync += words.eq(words - 1)
                    m.d.sync += segment.eq(segment - 1)
                    m.d.sync += self.last.eq(words == 2)
                    m.d.sync += segment_ends.eq(segment == 2)
                    with m.If(last_of_segment):
                        m.d.sync += draining.eq(1)
                        m.d.sync += segment.eq(config.segment)
                        m.d.sync += segment_ends.eq(0)
                        m.d.sync += self.first.eq(fresh)
                        m.d.sync += self.final.eq(self.last)
                        m.d.sync += fresh.eq(self.last)
                    with m.If(self.last):
                        m.d.sync += words.eq(layer.words)
                        m.d.sync += self.last.eq(layer.words == 1)
                        m.d.sync += tiles.eq(tiles - 1)
                        with m.If(tiles == 1):
                            m.next = "FINISH"

            with m.State("FINISH"):
                m.d.comb += self.cause.eq(Cause.DRAIN)
                with m.If(~draining):
                    m.d.comb += self.end.eq(1)
                    m.d.comb += self.layers.ready.eq(1)
                    m.next = "IDLE"

        return m

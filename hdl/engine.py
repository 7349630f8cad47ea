"""The engine: runs layers, word by word."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Cause, Layer
from hdl.walker import Flags


__all__ = ["Engine", "Harvest"]


CAPTURE = 6  # cycles from a step to the capture of the sums that its word completes


class Harvest(wiring.Signature):
    """What sums are that a unit captures.

    Members
    -------
    first : Out(1)
        They are the first of their channels, whose first level is added.
    serial : Out(1)
        They are of a bit plane, and others of the same channels are of another.
    double : Out(1)
        Those before them count twice: they are of the bit plane above.
    final : Out(1)
        They are the last.
    flags : Out(Flags())
        Of the pass.
    output : Out
        Place of results, octets.
    """
    def __init__(self, config):
        super().__init__({
            "first":  Out(1),
            "serial": Out(1),
            "double": Out(1),
            "final":  Out(1),
            "flags":  Out(Flags()),
            "output": Out(range(config.memory_depth * config.memory_width // 8)),
        })


class Engine(wiring.Component):
    """Takes a descriptor, and moves its words from the feeder and the weight queue to a unit.

    A cycle in which a layer runs has one cause; a word moves in those of `Cause.WORK`. The last
    word of a segment waits until the drain is about to be done with the segment before.

    Members
    -------
    layers : In(stream.Signature(Layer))
        Descriptors. Each is held while its layer runs, and taken in the layer's last cycle.
    begin : Out(1)
        A layer begins in the next cycle.
    end : Out(1)
        This cycle is a layer's last.
    idle : Out(1)
        No layer runs.
    cause : Out(Cause)
        What this cycle goes to.
    feed_valid, feed_wants, feed_reads, feed_void, feed_last : In(1)
        The feeder has a step; it will have one that reads, sooner or later; what it is.
    flags : In(Flags())
        Of the pass; its results go to ``output`` (In).
    weight_valid : In(1)
        The weight queue has a word.
    request : Out(1)
        The memory must not be given to those who can wait; ``grant`` (In(1)) tells that it is not
        given to one who cannot.
    next : Out(1)
        It is made.
    use : Out(1)
        And takes a weight word.
    capture : Out(1)
        The units capture sums, which are as ``harvest`` (Out(Harvest(config))) says; it stays until
        the drain takes the next.
    drained : In(1)
        The drain is about to be done with a segment: the next may be captured from the seventh
        cycle on.
    resting : In(1)
        It has nothing left to do.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layers":       In(stream.Signature(Layer)),
            "begin":        Out(1),
            "end":          Out(1),
            "idle":         Out(1),
            "cause":        Out(Cause),
            "feed_valid":   In(1),
            "feed_wants":   In(1),
            "feed_reads":   In(1),
            "feed_void":    In(1),
            "feed_last":    In(1),
            "flags":        In(Flags()),
            "output":       In(range(config.memory_depth * config.memory_width // 8)),
            "weight_valid": In(1),
            "request":      Out(1),
            "grant":        In(1),
            "next":         Out(1),
            "use":          Out(1),
            "capture":      Out(1),
            "harvest":      Out(Harvest(config)),
            "drained":      In(1),
            "resting":      In(1),
        })

    def elaborate(self, platform):
        config = self._config
        fixed, pool = self.layers.payload.fixed, self.layers.payload.pool
        m = Module()

        segment  = Signal(range(config.segment + 1))  # words left in this segment
        fresh    = Signal()  # this segment is the first of its pass
        draining = Signal()
        segment_ends = Signal()  # with this word
        last_of_segment = Signal()
        m.d.comb += last_of_segment.eq(self.feed_last | (segment_ends & ~self.feed_void))
        with m.If(self.drained):
            m.d.sync += draining.eq(0)

        captures = Signal(CAPTURE - 1)
        m.d.sync += Cat(captures, self.capture).eq(Cat(self.next & last_of_segment, captures))

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.cause.eq(Cause.PROGRAM)
                m.d.comb += self.idle.eq(1)
                m.d.comb += self.begin.eq(self.layers.valid)
                m.d.sync += segment.eq(self.layers.payload.segment)
                m.d.sync += segment_ends.eq(0)
                m.d.sync += fresh.eq(1)
                with m.If(self.layers.valid):
                    m.next = "RUN"

            with m.State("RUN"):
                ready = Signal()
                m.d.comb += ready.eq(self.feed_valid & (self.weight_valid | self.feed_void)
                                     & ~(last_of_segment & draining))
                # Whether a step is made tells too late who has the memory.
                m.d.comb += self.request.eq(
                    self.feed_wants & (self.weight_valid | self.feed_void))
                m.d.comb += self.next.eq(ready & (self.grant | ~self.feed_reads))
                m.d.comb += self.use.eq(self.next & ~self.feed_void)
                with m.If(~self.weight_valid & ~self.feed_void):
                    m.d.comb += self.cause.eq(Cause.WEIGHTS)
                with m.Elif(self.feed_valid & last_of_segment & draining):
                    m.d.comb += self.cause.eq(Cause.DRAIN)
                with m.Elif(self.use):
                    m.d.comb += self.cause.eq(Cause.WORK)
                with m.Else():
                    m.d.comb += self.cause.eq(Cause.ACTIVATIONS)

                with m.If(self.use):
                    m.d.sync += segment.eq(segment - 1)
                    m.d.sync += segment_ends.eq(segment == 2)
                    with m.If(last_of_segment):
                        m.d.sync += draining.eq(1)
                        m.d.sync += segment.eq(self.layers.payload.segment)
                        m.d.sync += segment_ends.eq(0)
                        m.d.sync += fresh.eq(self.feed_last)
                        serial = ~fixed & ~(self.flags.part_first & self.flags.part_last)
                        m.d.sync += self.harvest.first.eq(
                            fresh & (fixed | self.flags.part_first))
                        m.d.sync += self.harvest.serial.eq(serial)
                        m.d.sync += self.harvest.double.eq(
                            fresh & serial & ~self.flags.part_first)
                        m.d.sync += self.harvest.final.eq(
                            self.feed_last & (self.flags.part_last | fixed))
                        for name in self.flags.signature.members:
                            m.d.sync += getattr(self.harvest.flags, name).eq(
                                getattr(self.flags, name))
                        # It stays until the next results are on their way.
                        with m.If(self.flags.part_last & (~pool | self.flags.window_last)):
                            m.d.sync += self.harvest.output.eq(self.output)
                    with m.If(self.feed_last & self.flags.last):
                        m.next = "FINISH"

            with m.State("FINISH"):
                m.d.comb += self.cause.eq(Cause.DRAIN)
                with m.If(~draining & self.resting):
                    m.d.comb += self.end.eq(1)
                    m.d.comb += self.layers.ready.eq(1)
                    m.next = "IDLE"

        return m

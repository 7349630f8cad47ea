"""Results on their way to the activation memory: gathered, joined, turned, written."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.isa import Layer, Target


__all__ = ["SUM_OCTETS", "Gather", "results"]


SUM_OCTETS = 4


def results(config):
    """Return the members by which results go to the activation memory.

    Members
    -------
    write : Out(memory_width // 8)
        Octets of the activation memory that are to be written at ``address``, from
        ``write_data``; stays until ``grant`` (In(1)).
    urgent : Out(1)
        It must be granted in this cycle.
    pending : Out(1)
        There is something to be written.
    """
    return {
        "write":      Out(config.memory_width // 8),
        "address":    Out(range(config.memory_depth)),
        "write_data": Out(config.memory_width),
        "grant":      In(1),
        "urgent":     Out(1),
        "pending":    Out(1),
    }


class Gather(wiring.Component):
    """Takes the values of a layer one by one, and writes them as `hdl.isa.Target` tells.

    Values are kept in rows, one for each of ``pe`` channels, or, of octets, of a word. Where a
    window is pooled, the greater of a value and of its channel's value before stays. Bits leave
    when there is a row of every channel, and it is the last of its window, all at once. Planes
    leave one by one from then on, the lowest first: in each cycle where they are in the way, or
    come of the fixed-point unit; else in every other one, which gives way to reading. No value may
    come meanwhile. Octets leave at once.

    Bits and planes of the first channels of a word clear its others, so a tensor need not fill its
    words up.

    What is to be written waits in a register until the memory has time, or until the next comes.

    Members
    -------
    layer : In(Layer)
        Descriptor.
    restart : In(1)
        A layer begins.
    start : In(1)
        The next results go to ``output`` (In), which stays until the first of them has left.
    valid : In(1)
        There is a value: ``value`` (In(8)), with the sign bit inverted where ``layer.flip`` says.
    completes : In(1)
        It is that of the last channel.
    closes : In(1)
        Its pixel is the last of its window.
    ends : In(1)
        The next value is one of another pixel.
    sum_valid : In(1)
        There is a sum, ``sum`` (In(signed(32))), which stays for a cycle more; ``sum_ends`` (In(1))
        tells of it what ``ends`` does of a value.
    write, address, write_data, grant, urgent, pending
        Of `results`.
    hurry : In(1)
        Planes are in the way.
    leaving, left : Out(1)
        The first, the last of a row leaves.
    resting : Out(1)
        Nothing is left to do.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "layer":      In(Layer),
            "restart":    In(1),
            "start":      In(1),
            "output":     In(range(config.memory_depth * config.memory_width // 8)),
            "valid":      In(1),
            "value":      In(8),
            "completes":  In(1),
            "closes":     In(1),
            "ends":       In(1),
            "sum_valid":  In(1),
            "sum":        In(signed(8 * SUM_OCTETS)),
            "sum_ends":   In(1),
            **results(config),
            "hurry":      In(1),
            "leaving":    Out(1),
            "left":       Out(1),
            "resting":    Out(1),
        })

    def elaborate(self, platform):
        config, layer = self._config, self.layer
        bits, octets, sums, planes = (layer.target == target for target in (
            Target.BITS, Target.OCTETS, Target.SUMS, Target.PLANES))
        m = Module()

        # A column holds a bit of every channel, that of the last one highest.
        columns = [Signal(config.pe, name=f"column_{bit}") for bit in range(8)]
        joins   = Signal()  # values are joined with those of the pixel before
        before  = Cat(Mux(octets, column[-min(config.fixed_simd, config.pe)], column[0])
                      for column in columns)
        order   = Cat(Const(0, 7), octets)  # which octets have a sign
        larger  = Signal()
        joined  = Signal(8)
        turns   = Signal()  # a plane leaves
        m.d.comb += larger.eq((self.value ^ order) > (before ^ order))
        m.d.comb += joined.eq(Mux(joins & ~larger, before, self.value))
        for bit, column in enumerate(columns):
            with m.If(self.valid):
                m.d.sync += column.eq(Cat(column[1:], joined[bit]))
            with m.Elif(turns):
                m.d.sync += column.eq(columns[min(bit + 1, 7)])
        with m.If(self.valid & self.completes):
            m.d.sync += joins.eq(~self.closes)
        with m.If(self.restart):
            m.d.sync += joins.eq(0)

        # Bits are one plane.
        rests  = Signal()  # the next plane leaves a cycle later
        first  = Signal()
        behind = Signal(3)
        onto   = Signal()  # another plane leaves
        paced  = Signal()
        m.d.comb += self.leaving.eq(turns & first)
        m.d.comb += self.left.eq(turns & (behind == 0))
        m.d.comb += onto.eq(turns & (behind != 0))
        m.d.comb += paced.eq(~layer.fixed & ~self.hurry)
        m.d.sync += turns.eq((onto & ~paced) | rests)
        m.d.sync += rests.eq(onto & paced)
        with m.If(turns):
            m.d.sync += first.eq(0)
            m.d.sync += behind.eq(behind - 1)
        with m.If(self.valid & self.completes & self.closes & (bits | planes)):
            m.d.sync += turns.eq(1)
            m.d.sync += first.eq(1)
            m.d.sync += behind.eq(layer.bits - 1)

        emit  = Signal()
        octet = Signal()  # the last value leaves
        ended = Signal()  # with it, its pixel
        m.d.sync += octet.eq(self.valid & octets & self.closes)
        m.d.sync += ended.eq(self.ends)
        m.d.comb += emit.eq(turns | octet | self.sum_valid)

        # Where results go
        place   = Signal(range(config.memory_depth * config.memory_width // 8))
        inner   = exact_log2(len(self.write))  # bits of `place` that name an octet of an address
        word    = config.simd // 8
        fresh   = Signal()  # the next result is the first of the pass
        another = Signal()  # or of another pixel
        pixel   = Signal(range(config.p))
        onward  = Signal.like(place)
        with m.If(planes):
            m.d.comb += onward.eq(Mux(first, pixel * word, layer.plane << inner))
        with m.Elif(~fresh & bits):
            m.d.comb += onward.eq(word)
        with m.Elif(~fresh & another):
            m.d.comb += onward.eq(layer.pitch << 2 | octets)
        with m.Elif(~fresh):
            m.d.comb += onward.eq(Mux(octets, 1, SUM_OCTETS))
        with m.If(self.left):
            m.d.sync += pixel.eq(pixel + 1)
        with m.If(emit):
            m.d.sync += place.eq(Mux(fresh | (planes & first), self.output, place) + onward)
            m.d.sync += another.eq(Mux(sums, self.sum_ends, ended))
            m.d.sync += fresh.eq(0)
        with m.If(self.start):
            m.d.sync += fresh.eq(1)
            m.d.sync += pixel.eq(0)

        pending = self.pending
        made    = Signal(max(config.pe, 8))
        newest  = Cat(column[-1] for column in columns)
        with m.If(self.grant):
            m.d.sync += pending.eq(0)
        with m.If(emit):
            m.d.sync += pending.eq(1)
            m.d.sync += made.eq(Mux(octets, newest.replicate(len(made) // 8), columns[0]))
        m.d.comb += self.urgent.eq(pending & (turns | octet | sums))
        m.d.comb += self.resting.eq(~pending & ~turns & ~rests & ~octet)

        gathered = config.pe // 8
        heads    = Signal()  # it is the first of a word, whose others are cleared
        m.d.comb += heads.eq((bits | planes) & (place[:exact_log2(word)] == 0))
        for size, wanted in ((1, octets), (gathered, (bits | planes) & ~heads), (word, heads),
                             (SUM_OCTETS, sums)):
            with m.If(pending & wanted):
                lanes = ((1 << size) - 1) << Cat(Const(0, exact_log2(size)),
                                                 place[exact_log2(size):inner])
                m.d.comb += self.write.eq(lanes)
        m.d.comb += self.address.eq(place[inner:])
        for octet in range(len(self.write)):
            result = made.word_select(octet % (len(made) // 8), 8)
            if octet % word >= gathered:
                result = result & ~heads.replicate(8)
            m.d.comb += self.write_data.word_select(octet, 8).eq(
                Mux(sums, self.sum.word_select(octet % SUM_OCTETS, 8), result))

        return m

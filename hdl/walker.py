"""The walker: goes around the loops of a layer, pass by pass."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.isa import LOOPS, WALK_HALVES, Loop


__all__ = ["Flags", "Walker"]


TURNS = len(Loop) * WALK_HALVES  # behind the entries: what is left of each loop's turns


class Flags(wiring.Signature):
    """What a pass is.

    Members
    -------
    part_first, part_last : Out(1)
        The first or the last turn of `Loop.PART`.
    across_last : Out(1)
        The last turn of `Loop.ACROSS`.
    window_last : Out(1)
        The last of `Loop.ACROSS` and of `Loop.DOWN`.
    group_last : Out(1)
        The last of `Loop.ACROSS` to `Loop.ROW`.
    last : Out(1)
        The last of the layer.
    """
    def __init__(self):
        super().__init__({
            "part_first":  Out(1),
            "part_last":   Out(1),
            "across_last": Out(1),
            "window_last": Out(1),
            "group_last":  Out(1),
            "last":        Out(1),
        })


class Walker(wiring.Component):
    """Keeps the `Walk` of every `Loop` in one block of memory, and finds the next pass while the
    present one runs: the fifth cycle after ``step`` at the earliest, and two cycles later for each
    loop that ends.

    Differences come one by one from the memory, as they are wanted: that of ``source`` is there
    with ``ready``; those of x and y in the cycle after ``step``. The place of results is kept here.

    Members
    -------
    write : In(1)
        Put ``half`` (In(16)) at the next place of the entries.
    begin : In(1)
        All entries of a layer are there; a layer begins.
    ready : Out(1)
        The next pass is known: ``source`` (Out(16)) is the difference, ``next`` (Out(Flags()))
        tells of it. Where the present pass is the layer's last, it stays 0.
    step : In(1)
        The next pass becomes the present one; only with ``ready``.
    turn : Out(1)
        In the cycle after ``step``: ``x`` and ``y`` (Out(8)) are the differences.
    flags : Out(Flags())
        Of the present pass.
    ended : Out(1)
        It is the last of the layer, and all of it is known.
    output : Out
        Place of its results, octets; from the fourth cycle after ``step`` on.
    """
    def __init__(self, config):
        self._octets = config.memory_depth * config.memory_width // 8
        super().__init__({
            "write":  In(1),
            "half":   In(16),
            "begin":  In(1),
            "ready":  Out(1),
            "source": Out(16),
            "step":   In(1),
            "turn":   Out(1),
            "x":      Out(8),
            "y":      Out(8),
            "flags":  Out(Flags()),
            "ended":  Out(1),
            "output": Out(range(self._octets)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(
            shape=16, depth=2 * TURNS, init=[],
            attrs={"ram_style": "block", "no_rw_check": True})
        write = memory.write_port()
        read = memory.read_port()

        # An entry has four halfwords. Its turns are in the first, with the high bits of output.
        COUNT, SOURCE, XY, OUTPUT = range(WALK_HALVES)
        loop   = Signal(range(len(Loop)))
        place  = Signal(range(TURNS))  # of the next halfword that comes from outside
        count  = read.data[:12]
        left   = Cat(Const(0, 2), loop, Const(1, 1))  # its place behind the entries

        turn = Signal()  # one of the loop's turns is over
        turns = Signal(12)
        m.d.comb += turns.eq(count - turn)
        m.d.comb += write.addr.eq(Mux(self.write, place, left))
        m.d.comb += write.data.eq(Mux(self.write, self.half, turns))
        with m.If(self.write):
            m.d.comb += write.en.eq(1)
            m.d.sync += place.eq(place + 1)
        only = Signal()  # one turn is left
        m.d.comb += only.eq(turns == 1)
        lasts = Signal(LOOPS)  # is the next pass in the last turn of each loop?
        part_first = Signal()
        next_flags = {
            "part_first": part_first,
            "part_last": lasts[Loop.PART],
            "across_last": lasts[Loop.ACROSS],
            "window_last": lasts[Loop.ACROSS] & lasts[Loop.DOWN],
            "group_last": lasts[Loop.ACROSS:Loop.TILE].all(),
            "last": lasts.all(),
        }
        m.d.comb += self.source.eq(read.data)
        m.d.comb += self.x.eq(read.data[:8])
        m.d.comb += self.y.eq(read.data[8:])

        def look(half, *, at=loop):
            m.d.comb += read.addr.eq(Cat(Const(half, 2), at))

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.ended.eq(self.flags.last)
                m.d.sync += loop.eq(Loop.PART)
                look(COUNT)
                with m.If(self.begin):
                    m.d.sync += self.output.eq(0)
                    m.next = "FILL"

            with m.State("FILL"):
                # All turns of all loops are to come.
                m.d.comb += write.en.eq(1)
                m.d.sync += lasts.bit_select(loop, 1).eq(only)
                m.d.sync += loop.eq(loop + 1)
                look(COUNT, at=(loop + 1)[:3])
                with m.If(loop == LOOPS - 1):
                    m.d.sync += part_first.eq(1)
                    m.next = "SOURCE"

            with m.State("COUNT"):
                # `count` is what is left of the loop's turns, the present one included.
                look(COUNT)
                with m.If(lasts.bit_select(loop, 1)):
                    m.next = "AGAIN"
                with m.Else():
                    m.d.comb += turn.eq(1)
                    m.d.comb += write.en.eq(1)
                    m.d.sync += lasts.bit_select(loop, 1).eq(only)
                    m.d.sync += part_first.eq(loop != Loop.PART)
                    look(SOURCE)
                    m.next = "READY"

            with m.State("AGAIN"):
                # From the beginning, and on to the next loop.
                m.d.comb += write.en.eq(1)
                m.d.sync += lasts.bit_select(loop, 1).eq(only)
                m.d.sync += loop.eq(loop + 1)
                m.d.comb += read.addr.eq(Cat(Const(0, 2), (loop + 1)[:3], Const(1, 1)))
                m.next = "COUNT"

            with m.State("SOURCE"):
                look(SOURCE)
                m.next = "READY"

            with m.State("READY"):
                m.d.comb += self.ready.eq(1)
                m.d.comb += read.en.eq(self.step)
                look(XY)
                with m.If(self.step):
                    for name, flag in next_flags.items():
                        m.d.sync += getattr(self.flags, name).eq(flag)
                    m.next = "TURN"

            with m.State("TURN"):
                m.d.comb += self.turn.eq(1)
                look(OUTPUT)
                m.next = "OUTPUT"

            with m.State("OUTPUT"):
                m.d.sync += self.output.eq(self.output + read.data)
                look(COUNT)
                m.next = "HIGH"

            with m.State("HIGH"):
                m.d.sync += self.output[16:].eq(self.output[16:] + read.data[12:])
                m.d.sync += loop.eq(Loop.PART)
                m.d.comb += read.addr.eq(Cat(Const(0, 2), Const(Loop.PART, 3), Const(1, 1)))
                m.next = "COUNT"
                with m.If(self.flags.last):
                    m.next = "IDLE"

        return m

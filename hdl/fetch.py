"""Takes the packets of the program apart."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.isa import KEPT_BITS, LAYER_HALVES, WALK_HALVES, Head, Layer, Loop, Opcode


__all__ = ["Fetch"]


class Fetch(wiring.Component):
    """Sends what packets hold where it belongs, in order, a halfword a cycle.

    A packet waits until its content has a place: descriptors while a layer runs, weights and
    levels while their queues are full. Copies from the activation memory fill the weight queue
    with ``memory_width`` bits a cycle, less the cycles that the memory is not granted. Since
    packets are handled in order, the levels of a tile that come before its last weight word are
    there when the drain wants them.

    Members
    -------
    halves : In(stream.Signature(16))
        Packets.
    walk : Out(1)
        The halfword that is taken (``half``: Out(16)) is one of the loops of a layer.
    layers : Out(stream.Signature(Layer))
        Descriptors; each is there until its layer has ended.
    idle : In(1)
        The engine has no layer.
    done : Out(1)
        ``Opcode.END`` was met, and all layers are finished.
    wanting : Out(1)
        The host may write the next part of the input, until it is ``granted`` (In(1)).
    held : Out(1)
        All layers are finished, and that is waited for.
    weight_space, weight_spare : In(1)
        Of the weight queue, as the next five.
    part, lanes, part_data, complete : Out
    level_space : In(1)
        Of the level queue, as the next two.
    level_write, level : Out
    kept, sign_write : Out
        With `Config.signs`: so many weight words are there that stay in the queue; ``level`` is one
        of those that stay.
    request, address, stores, write, write_data : Out
        Access to the activation memory: where ``stores`` is set, a write of the octets in
        ``write``, else a read.
    grant, read_data : In
        The access is made in this cycle; what it reads comes in the next.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "halves":       In(stream.Signature(16)),
            "walk":         Out(1),
            "half":         Out(16),
            "layers":       Out(stream.Signature(Layer)),
            "idle":         In(1),
            "done":         Out(1),
            "wanting":      Out(1),
            "granted":      In(1),
            "held":         Out(1),
            "weight_space": In(1),
            "weight_spare": In(1),
            "part":         Out(range(config.weight_width // config.memory_width)),
            "lanes":        Out(config.memory_width // 16),
            "part_data":    Out(config.memory_width),
            "complete":     Out(1),
            "level_space":  In(1),
            "level_write":  Out(1),
            "level":        Out(signed(config.sum_width)),
            "request":      Out(1),
            "address":      Out(range(config.memory_depth)),
            "stores":       Out(1),
            "write":        Out(config.memory_width // 8),
            "write_data":   Out(config.memory_width),
            "grant":        In(1),
            "read_data":    In(config.memory_width),
        } | ({"kept": Out(KEPT_BITS), "sign_write": Out(1)} if config.signs else {}))

    def elaborate(self, platform):
        config, halves = self._config, self.halves
        m = Module()

        opcode  = Signal(4)
        address = Signal(16)
        count   = Signal(12)
        loops   = len(Loop) * WALK_HALVES
        longest = max(config.weight_width // 16, loops + LAYER_HALVES)
        place   = Signal(range(longest))  # halfwords of a unit that are done
        is_fixed = (opcode == Opcode.FIXED) | (opcode == Opcode.RESIDENT_FIXED)

        lanes = config.memory_width // 16
        inner = exact_log2(lanes)
        lane  = place[:inner]
        whole = config.weight_width // 16                # halfwords of a word of the array
        some  = config.fixed_pe * config.simd // 16      # and of the fixed-point unit
        end_of_word = Signal()
        m.d.comb += end_of_word.eq(place == Mux(is_fixed, some - 1, whole - 1))

        arriving      = Signal()  # `read_data` is a part of a weight word
        arriving_part = Signal.like(self.part)
        arriving_end  = Signal()
        m.d.sync += arriving.eq(0)
        with m.If(arriving):
            m.d.comb += self.part.eq(arriving_part)
            m.d.comb += self.lanes.eq(~0)
            m.d.comb += self.part_data.eq(self.read_data)
            m.d.comb += self.complete.eq(arriving_end)
        with m.Else():
            m.d.comb += self.part.eq(place[inner:])
            m.d.comb += self.part_data.eq(halves.payload.replicate(lanes))

        low = Signal(16)  # the halfword that was taken last
        m.d.comb += self.half.eq(halves.payload)
        m.d.comb += self.address.eq(address)
        m.d.comb += self.write.eq(0b11 << (lane << 1))
        m.d.comb += self.write_data.eq(low.replicate(lanes))

        wide = opcode == Opcode.LEVELS_WIDE
        m.d.comb += self.level.eq(Mux(wide, Cat(low, halves.payload), halves.payload.as_signed()))

        finished = Signal()
        holds = Signal()  # where it is one of those that wait for this
        m.d.comb += holds.eq(opcode[0])
        m.d.comb += finished.eq(self.idle & ~self.layers.valid)
        with m.If(self.granted):
            m.d.sync += self.wanting.eq(0)

        taken = halves.valid & halves.ready
        with m.If(taken):
            m.d.sync += low.eq(halves.payload)
        with m.FSM(name="state"):
            with m.State("HEAD"):
                m.d.comb += halves.ready.eq(1)
                m.d.sync += place.eq(0)
                with m.If(taken):
                    m.d.sync += opcode.eq(Head(halves.payload).opcode)
                    m.d.sync += count.eq(Head(halves.payload).count)
                    m.next = "ADDRESS"

            with m.State("ADDRESS"):
                m.d.comb += halves.ready.eq(1)
                m.d.sync += address.eq(halves.payload)
                with m.If(taken):
                    with m.Switch(opcode):
                        with m.Case(Opcode.LAYER):
                            m.next = "LAYER"
                        with m.Case(Opcode.WEIGHTS, Opcode.FIXED):
                            m.next = "WEIGHTS"
                        with m.Case(Opcode.RESIDENT, Opcode.RESIDENT_FIXED):
                            m.next = "COPY"
                        with m.Case(Opcode.LEVELS, Opcode.LEVELS_WIDE):
                            m.next = "LEVELS"
                        with m.Case(Opcode.STORE):
                            m.next = "STORE"
                        if config.signs:
                            with m.Case(Opcode.KEPT):
                                m.d.comb += self.kept.eq(count)
                                m.next = "HEAD"
                            with m.Case(Opcode.SIGNS):
                                m.next = "SIGNS"
                        with m.Default():  # HOLD or END
                            m.next = "END"

            with m.State("LAYER"):
                m.d.comb += halves.ready.eq(~self.layers.valid)
                m.d.comb += self.walk.eq(taken & (place < loops))
                with m.If(taken):
                    m.d.sync += self.layers.payload.eq(
                        Cat(self.layers.payload.as_value()[16:], halves.payload))
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == loops + LAYER_HALVES - 1):
                        m.d.sync += self.layers.valid.eq(1)
                        m.next = "HEAD"

            with m.State("WEIGHTS"):
                m.d.comb += halves.ready.eq(self.weight_space)
                with m.If(taken):
                    m.d.comb += self.lanes.eq(1 << lane)
                    m.d.comb += self.complete.eq(end_of_word)
                    m.d.sync += place.eq(Mux(end_of_word, 0, place + 1))
                    with m.If(end_of_word):
                        m.d.sync += count.eq(count - 1)
                        with m.If(count == 1):
                            m.next = "HEAD"

            with m.State("COPY"):
                m.d.comb += self.request.eq(
                    (place != 0) | self.weight_spare | (self.weight_space & ~arriving))
                with m.If(self.request & self.grant):
                    last_part = place[inner:] == Mux(is_fixed, some // lanes, whole // lanes) - 1
                    m.d.sync += arriving.eq(1)
                    m.d.sync += arriving_part.eq(place[inner:])
                    m.d.sync += arriving_end.eq(last_part)
                    m.d.sync += address.eq(address + 1)
                    m.d.sync += place.eq(Mux(last_part, 0, place + lanes))
                    with m.If(last_part):
                        m.d.sync += count.eq(count - 1)
                        with m.If(count == 1):
                            m.next = "HEAD"

            with m.State("LEVELS"):
                m.d.comb += halves.ready.eq(self.level_space)
                with m.If(taken):
                    m.d.sync += place.eq(wide & ~place[0])
                    with m.If(~wide | place[0]):
                        m.d.comb += self.level_write.eq(1)
                        m.d.sync += count.eq(count - 1)
                        with m.If(count == 1):
                            m.next = "HEAD"

            if config.signs:
                with m.State("SIGNS"):
                    m.d.comb += halves.ready.eq(1)
                    with m.If(taken):
                        m.d.comb += self.sign_write.eq(1)
                        m.d.sync += count.eq(count - 1)
                        with m.If(count == 1):
                            m.next = "HEAD"

            with m.State("STORE"):
                m.d.comb += halves.ready.eq(1)
                with m.If(taken):
                    m.next = "WRITE"

            with m.State("WRITE"):
                m.d.comb += self.request.eq(1)
                m.d.comb += self.stores.eq(1)
                with m.If(self.grant):
                    m.d.sync += place.eq(Mux(lane == lanes - 1, 0, place + 1))
                    m.d.sync += address.eq(address + (lane == lanes - 1))
                    m.d.sync += count.eq(count - 1)
                    m.next = "STORE"
                    with m.If(count == 1):
                        m.next = "HEAD"

            with m.State("END"):
                m.d.comb += self.done.eq(finished & ~holds)
                m.d.comb += self.held.eq(finished & holds & self.wanting)
                with m.If(finished & ~self.held):
                    m.d.sync += self.wanting.eq(holds & count[0])
                    m.next = "HEAD"

        with m.If(self.layers.valid & self.layers.ready):
            m.d.sync += self.layers.valid.eq(0)

        return m

"""The whole accelerator, without a board around it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hdl.core import Core
from hdl.counters import CAUSES, LAYERS, Counters
from hdl.fetch import Fetch
from hdl.flash import FlashReader
from hdl.flash_pads import FlashPads
from hdl.isa import VERSION, Cause
from hdl.link import Link
from hdl.loader import Loader
from hdl.memory import ActivationMemory


__all__ = ["Accelerator", "Probe"]


class Probe(wiring.Signature):
    """What goes on inside: nothing of it costs anything on a board, where nobody looks.

    Members
    -------
    counting, cause, end : Out
        A frame runs; where this cycle of it goes; it is the last of a layer.
    flash_busy : Out(1)
        The flash bus moves.
    address, write, write_data : Out
        What is written to the activation memory in this cycle.
    """
    def __init__(self, config):
        super().__init__({
            "counting":   Out(1),
            "cause":      Out(Cause),
            "end":        Out(1),
            "flash_busy": Out(1),
            "address":    Out(range(config.memory_depth)),
            "write":      Out(config.memory_width // 8),
            "write_data": Out(config.memory_width),
        })


class Accelerator(wiring.Component):
    """Everything between the flash chip and the serial line of the host.

    The domain ``fast`` has twice the rate of ``sync``, in phase.

    Members
    -------
    pads : Out(FlashPads())
        The flash chip.
    rx, tx : In(1), Out(1)
        The host.
    probe : Out(Probe(config))
        What a simulation wants to see.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "pads":  Out(FlashPads()),
            "rx":    In(1, init=1),
            "tx":    Out(1, init=1),
            "probe": Out(Probe(config)),
        })

    def elaborate(self, platform):
        config = self._config
        m = Module()

        m.submodules.flash    = flash    = FlashReader(config)
        m.submodules.loader   = loader   = Loader(config)
        m.submodules.fetch    = fetch    = Fetch(config)
        m.submodules.memory   = memory   = ActivationMemory(config)
        m.submodules.core     = core     = Core(config)
        m.submodules.counters = counters = Counters()
        m.submodules.link     = link     = Link(config, VERSION,
                                                counter_bytes=LAYERS * CAUSES * 4)

        # Flash to queues
        connect(m, flash.pads, flipped(self.pads))
        connect(m, flash.requests, loader.requests)
        connect(m, flash.halves, loader.halves)
        connect(m, loader.packets, fetch.halves)
        m.d.comb += loader.idle.eq(flash.idle)
        m.d.comb += loader.done.eq(fetch.done)

        # Queues to units
        connect(m, fetch.layers, core.layers)
        m.d.comb += fetch.idle.eq(core.idle)
        m.d.comb += fetch.weight_space.eq(core.space)
        m.d.comb += fetch.weight_spare.eq(core.spare)
        m.d.comb += fetch.level_space.eq(core.level_space)
        for name in ("walk", "half", "part", "lanes", "part_data", "complete", "level_write",
                     "level"):
            m.d.comb += getattr(core, name).eq(getattr(fetch, name))
        if config.signs:
            m.d.comb += core.kept.eq(fetch.kept)
            m.d.comb += core.sign_write.eq(fetch.sign_write)
            m.d.comb += core.back.eq(fetch.done)

        # The memory serves results that cannot wait, the feeder, other results, copies of weights,
        # and the host, in this order.
        access, octets = link.accesses, link.octets
        inner   = exact_log2(config.memory_width // 8)
        asked   = Signal()  # in the cycle before, the host asked for an octet
        counter = Signal()  # of the counters
        lane    = Signal(inner)
        m.d.comb += core.read_data.eq(memory.read_data)
        m.d.comb += fetch.read_data.eq(memory.read_data)
        results = core.pending
        if config.two_ports:
            m.d.comb += core.grant.eq(1)
            m.d.comb += memory.write_address.eq(Mux(results, core.address, memory.address))
        else:
            m.d.comb += core.grant.eq(~core.urgent)
        with m.If(core.request & core.grant):
            m.d.comb += memory.address.eq(core.read_address)
            if config.two_ports:
                m.d.comb += core.written.eq(results)
                m.d.comb += memory.write.eq(results)
        with m.Elif(results):
            m.d.comb += core.written.eq(1)
            m.d.comb += memory.address.eq(core.address)
            m.d.comb += memory.write.eq(1)
        with m.Elif(fetch.request):
            m.d.comb += memory.address.eq(fetch.address)
            m.d.comb += memory.write.eq(fetch.stores)
            m.d.comb += fetch.grant.eq(1)
        with m.Elif(~asked & ~octets.valid):
            m.d.comb += access.ready.eq(1)
            m.d.comb += memory.address.eq(access.payload.address[inner:])
            m.d.comb += memory.write.eq(access.valid & access.payload.write)
        # What would be written is known before it is known who has the memory.
        m.d.comb += memory.mask.eq(1 << access.payload.address[:inner])
        m.d.comb += memory.write_data.eq(access.payload.data.replicate(config.memory_width // 8))
        with m.If(fetch.stores):
            m.d.comb += memory.mask.eq(fetch.write)
            m.d.comb += memory.write_data.eq(fetch.write_data)
        with m.If(results):
            m.d.comb += memory.mask.eq(core.write)
            m.d.comb += memory.write_data.eq(core.write_data)

        m.d.comb += counters.address.eq(access.payload.address)
        m.d.sync += asked.eq(access.valid & access.ready & ~access.payload.write)
        m.d.sync += counter.eq(access.payload.address[-1])
        m.d.sync += lane.eq(access.payload.address[:inner])
        with m.If(octets.ready):
            m.d.sync += octets.valid.eq(0)
        with m.If(asked):
            m.d.sync += octets.valid.eq(1)
            m.d.sync += octets.payload.eq(
                Mux(counter, counters.octet, memory.read_data.word_select(lane, 8)))

        # Host
        m.d.comb += link.rx.eq(self.rx)
        m.d.comb += self.tx.eq(link.tx)
        m.d.comb += loader.run.eq(link.run)
        m.d.comb += loader.reload.eq(link.reload)
        m.d.comb += link.status.eq(loader.status | fetch.wanting)
        m.d.comb += fetch.granted.eq(link.grant)
        connect(m, link.facts, loader.facts)
        m.d.comb += loader.cleared.eq(~counters.clearing)
        m.d.comb += counters.clear.eq(loader.clear)
        m.d.comb += counters.count.eq(loader.counting)
        cause = Signal(Cause)
        m.d.comb += cause.eq(Mux(fetch.held, Cause.HOST, core.cause))
        m.d.comb += counters.cause.eq(cause)
        m.d.comb += counters.step.eq(core.end)

        m.d.comb += self.probe.counting.eq(loader.counting)
        m.d.comb += self.probe.cause.eq(cause)
        m.d.comb += self.probe.end.eq(core.end)
        m.d.comb += self.probe.flash_busy.eq(flash.busy)
        m.d.comb += self.probe.address.eq(
            memory.write_address if config.two_ports else memory.address)
        m.d.comb += self.probe.write.eq(Mux(memory.write, memory.mask, 0))
        m.d.comb += self.probe.write_data.eq(memory.write_data)

        return m

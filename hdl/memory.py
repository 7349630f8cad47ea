"""The activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform


__all__ = ["ActivationMemory"]


SPRAM_WIDTH, SPRAM_DEPTH = 16, 16384


class ActivationMemory(wiring.Component):
    """``memory_width`` bits at each of ``memory_depth`` addresses.

    An access a cycle: a write of the octets in ``mask`` where ``write`` is set, else a read whose
    ``read_data`` comes in the next cycle. On iCE40 UltraPlus it is made of SPRAM, which holds
    anything at power-up.

    With `Config.two_ports`, writes go to ``write_address``, and there is a read in every cycle;
    what is written at the same time reads as anything.
    """
    def __init__(self, config):
        self._config = config
        super().__init__({
            "address":    In(range(config.memory_depth)),
            "write":      In(1),
            "mask":       In(config.memory_width // 8),
            "write_data": In(config.memory_width),
            "read_data":  Out(config.memory_width),
        } | ({"write_address": In(range(config.memory_depth))} if config.two_ports else {}))

    def elaborate(self, platform):
        config = self._config
        is_up5k = (not config.two_ports and isinstance(platform, LatticeICE40Platform)
                   and platform.device.startswith("iCE40UP"))
        if is_up5k and config.memory_depth > SPRAM_DEPTH:
            raise ValueError(f"'memory_depth' must be at most {SPRAM_DEPTH} on "
                             f"{platform.device}, not {config.memory_depth!r}")
        m = Module()

        if is_up5k:
            for index in range(config.memory_width // SPRAM_WIDTH):
                low, high = self.mask[2 * index:2 * index + 2]
                m.submodules[f"spram_{index}"] = Instance("SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(), i_CHIPSELECT=Const(1),
                    i_STANDBY=Const(0), i_SLEEP=Const(0), i_POWEROFF=Const(1),
                    i_ADDRESS=Cat(self.address, Const(0, 14 - len(self.address))),
                    i_WREN=self.write, i_MASKWREN=Cat(low, low, high, high),
                    i_DATAIN=self.write_data.word_select(index, SPRAM_WIDTH),
                    o_DATAOUT=self.read_data.word_select(index, SPRAM_WIDTH),
                )
        else:
            m.submodules.memory = memory = Memory(
                shape=config.memory_width, depth=config.memory_depth, init=[])
            write = memory.write_port(granularity=8)
            read = memory.read_port()
            m.d.comb += write.addr.eq(self.write_address if config.two_ports else self.address)
            m.d.comb += write.data.eq(self.write_data)
            m.d.comb += write.en.eq(Mux(self.write, self.mask, 0))
            m.d.comb += read.addr.eq(self.address)
            m.d.comb += read.en.eq(config.two_ports | ~self.write)
            m.d.comb += self.read_data.eq(read.data)

        return m

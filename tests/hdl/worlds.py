"""One bench, two worlds: Amaranth's simulator, and the Verilog that ships in Icarus.

A bench is a coroutine that takes an `Amaranth` or a `Verilog`, and does the same with either: in
each cycle it sets inputs, waits until they have settled, looks at outputs, and ticks. It begins
with setting all inputs. Ports have the names that they have in Verilog (``halves__valid``), and
values are unsigned.
"""

from functools import reduce

from amaranth import Value
from amaranth.sim import Simulator
from cocotb.triggers import FallingEdge, Timer

from sim.bench import start


__all__ = ["Amaranth", "Verilog", "in_amaranth", "signed"]


class Amaranth:
    """A component in Amaranth's simulator."""

    def __init__(self, ctx, dut):
        self._ctx, self._dut, self._ports = ctx, dut, {}

    def _port(self, name):
        if name not in self._ports:
            self._ports[name] = Value.cast(reduce(getattr, name.split("__"), self._dut))
        return self._ports[name]

    def set(self, name, value):
        self._ctx.set(self._port(name), value)

    def get(self, name):
        port = self._port(name)
        return self._ctx.get(port) & (1 << len(port)) - 1

    async def settle(self):
        """Wait for outputs that depend on inputs of the same cycle: here they do so by themselves.
        """

    async def tick(self):
        await self._ctx.tick()


class Verilog:
    """A component in a simulator of Verilog, by cocotb."""

    def __init__(self, dut):
        self._dut = dut

    @classmethod
    async def begin(cls, dut):
        """Start the clock and reset."""
        await start(dut)
        await FallingEdge(dut.clk)
        return cls(dut)

    def set(self, name, value):
        getattr(self._dut, name).value = value

    def get(self, name):
        return int(getattr(self._dut, name).value)

    async def settle(self):
        await Timer(1, "ps")

    async def tick(self):
        await FallingEdge(self._dut.clk)


def in_amaranth(dut, bench, *arguments, cycles=200_000):
    """Run ``bench(world, *arguments)``, which must end within ``cycles``."""
    async def run(ctx):
        await bench(Amaranth(ctx, dut), *arguments)

    async def watch(ctx):
        await ctx.delay(cycles * 1e-6)
        raise AssertionError(f"the bench did not end in {cycles} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.add_testbench(watch, background=True)
    simulator.run()


def signed(value, width):
    """Return the number that ``value`` means as a signed one of ``width`` bits."""
    return value - (value >> width - 1 << width)

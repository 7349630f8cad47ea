"""Waveforms of the gateware at work: a frame in Amaranth's simulator, which sees every signal.

It is a hundred times slower than `sim.accelerator`, so it suits small networks: a frame of `xor`
takes some ten seconds, most of them for what a host and a board do before it.
"""

import re
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
from amaranth.sim import Simulator

from compiler.deployment import Deployment
from compiler.host import Accelerator
from compiler.schedule.plan import Schedule
from hdl.config import Config
from hdl.protocol import GAP_OCTETS
from hdl.uart import CHARACTER_BITS, divisor
from sim.accelerator import SimulatedAccelerator
from sim.flash_chip import FlashChip


__all__ = ["read", "record"]

DIVISOR = 4             # cycles of a bit on the serial line, the fewest: nothing else waits for it
PATIENCE = 24 * 3600.0  # seconds that a frame may take to simulate
PERIOD = 1e-6           # of a core cycle in the file, seconds
SILENCE = 2 * GAP_OCTETS + 16  # octets after which the board listens

TOP = "bench.top.accelerator"
SCOPE = re.compile(r"\$scope \w+ (\S+) \$end")
VARIABLE = re.compile(r"\$var \w+ \d+ (\S+) (\S+).* \$end")
NUMBER = re.compile(r"\$\d+$")  # that Amaranth gives a module whose name a signal has, too


def record(network: Schedule, frame: np.ndarray, path: Path) -> np.ndarray:
    """Run a frame, and write every signal of the accelerator to a VCD file.

    ``frame`` is one of the inputs that `compiler.deployment.Deployment.inputs` returns; what the
    last layer leaves is returned, as `sim.rtl.Rtl.output` does.
    """
    config = replace(network.config, baud=network.config.clock_hz // DIVISOR)
    bench = Bench(config, network.image().to_bytes())
    with bench.simulator.write_vcd(str(path)):
        board = Accelerator(bench, quiet=SILENCE * CHARACTER_BITS / config.baud,
                            patience=PATIENCE)
        return Deployment.of(network).frame(board, frame)


def read(path: Path, names: list[str]) -> dict[str, list[int | str]]:
    """Return what signals of a file of `record` were in each core cycle of its last frame.

    ``names`` are paths such as ``core.engine.use``, from the accelerator down. Values are unsigned;
    those of states and causes are text. Where two signals of a module have a name, the file tells
    them apart by a number (``use$7``), so it is best to take one where it is made. Raises KeyError
    for a signal that is not there.
    """
    frame: dict[str, list[int | str]] = {name: [] for name in names}
    with path.open() as file:
        codes = codes_of(file)
        clock, counting = codes["bench.top.clk"], codes[f"{TOP}.loader.counting"]
        wanted = [(frame[name], codes[f"{TOP}.{name}"]) for name in names]
        now: dict[str, int | str] = dict.fromkeys(codes.values(), 0)
        ran = False
        for line in file:
            kind, rest = line[0], line[1:].rstrip()
            if kind in "01":
                if rest == clock and kind == "1":
                    if now[counting]:
                        for values, code in wanted:
                            if not ran:
                                values.clear()
                            values.append(now[code])
                    ran = bool(now[counting])
                now[rest] = int(kind)
            elif kind in "bs":
                value, code = rest.rsplit(" ", 1)
                now[code] = int(value, 2) if kind == "b" else value
    return frame


def codes_of(file: TextIO) -> dict[str, str]:
    """Read the head of a file: return what stands for each signal, by its path."""
    codes: dict[str, str] = {}
    scopes: list[str] = []
    for line in file:
        if found := SCOPE.match(line):
            scopes.append(NUMBER.sub("", found[1]))
        elif line.startswith("$upscope"):
            scopes.pop()
        elif found := VARIABLE.match(line):
            codes[".".join([*scopes, found[2]])] = found[1]
        elif line.startswith("$enddefinitions"):
            break
    return codes


class Bench:
    """The accelerator between a flash chip that holds ``image`` and a serial line: a transport
    for `compiler.host.Accelerator`, as `sim.accelerator.Simulation` is."""

    def __init__(self, config: Config, image: bytes):
        self.config = config
        self.dut = SimulatedAccelerator(config)
        self.chip = FlashChip(step_ns=1e9 / config.clock_hz / 4, image=image,
                              offset=config.image_offset)
        self.cycles = 0
        self.bit = divisor(config.clock_hz, config.baud)
        self.to_board: deque[int] = deque()
        self.from_board: deque[int] = deque()
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(PERIOD)
        self.simulator.add_clock(PERIOD / 2, domain="fast")
        for process in (self.flash, self.sends, self.receives):
            self.simulator.add_testbench(process, background=True)

    # Transport

    def write(self, data: bytes) -> None:
        self.to_board.extend(data)

    def read(self, max_bytes: int, timeout: float) -> bytes:
        end = self.cycles + int(timeout * self.config.clock_hz)
        while self.cycles < end and not self.from_board:
            self.simulator.advance()
        return bytes(self.from_board.popleft()
                     for _ in range(min(max_bytes, len(self.from_board))))

    # What surrounds the accelerator

    async def flash(self, ctx):
        dut = self.dut
        pins = dut.cs_n, dut.sck, dut.io_o, dut.io_oe
        while True:
            for _ in range(2):
                _, _, cs_n, sck, out, enable = await ctx.tick("fast").sample(*pins)
                self.chip.step(cs_n, sck & 1, out, enable)
                ctx.set(dut.io_i, self.chip.step(cs_n, sck >> 1, out, enable))
            self.cycles += 1

    async def sends(self, ctx):
        ctx.set(self.dut.rx, 1)
        while True:
            await ctx.tick()
            while self.to_board:
                levels = 1 << CHARACTER_BITS - 1 | self.to_board.popleft() << 1
                for at in range(CHARACTER_BITS):
                    ctx.set(self.dut.rx, levels >> at & 1)
                    await ctx.tick().repeat(self.bit)

    async def receives(self, ctx):
        tx = self.dut.tx
        while True:
            await ctx.negedge(tx)
            await ctx.tick().repeat(self.bit // 2)
            octet = 0
            for at in range(8):
                await ctx.tick().repeat(self.bit)
                octet |= ctx.get(tx) << at
            await ctx.tick().repeat(self.bit)
            self.from_board.append(octet)

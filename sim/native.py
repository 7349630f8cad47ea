"""Compiles the generated C of a network, and runs it from Python."""

import ctypes
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path

import numpy as np

from compiler import golden
from compiler.codegen.c import generate
from compiler.codegen.tensors import Form, Tensor
from compiler.errors import UserError
from compiler.executors import layers_of
from compiler.ir import Binary, Graph, value_range
from compiler.tools import c_compiler, compile_c


__all__ = ["AVX2", "Native", "has_avx2", "pack_bits"]

AVX2 = "-mavx2", "-mpopcnt"  # flags for what most x86 processors can do
CTYPES = {"uint64_t": np.uint64, "uint32_t": np.uint32, "uint16_t": np.uint16,
          "uint8_t": np.uint8, "int32_t": np.int32, "int8_t": np.int8, "float": np.float32}


class Native:
    """The C of a network, compiled with ``cflags`` in ``build_dir`` (temporary where None).

    Raises MissingToolError where there is no C compiler, ToolError where it fails, and a
    UserError where the graph is not one that C can hold.
    """

    def __init__(self, graph: Graph, build_dir: Path | None = None,
                 cflags: tuple[str, ...] = ("-O3", "-march=native")):
        c_compiler()
        self.graph = graph
        self.cflags = cflags
        if build_dir is None:
            build_dir = Path(tempfile.mkdtemp(prefix="xnorloom-"))
            weakref.finalize(self, shutil.rmtree, build_dir, ignore_errors=True)
        self.build_dir = build_dir
        self.plan = generate(graph, build_dir)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return what `golden.run` returns for the batch ``x``, (frames, ...)."""
        values = self.outputs(self.inputs(x))
        values = values.reshape(len(values), *self.plan.output.shape)
        for node in self.plan.suffix:
            values = golden.evaluate(node, values)
        return values

    def trace(self, x: np.ndarray) -> dict[str, np.ndarray | None]:
        """Return the tensor that every step of the body makes, (frames, ...), by name.

        None stands for one that never is whole: a layer goes right into the pool behind it.
        """
        frames = self.inputs(x)
        made = self.plan.traced
        ends = np.cumsum([tensor.count for tensor in made])
        floats = self.plan.output.form is Form.FLOATS
        values = np.empty((len(frames), ends[-1]), np.float32 if floats else np.int32)
        self._traced.native_trace(_pointer(frames), _pointer(self._made(len(frames))),
                                  ctypes.c_size_t(len(frames)), _pointer(values))
        parts = np.split(values if floats else values.astype(np.int64), ends[:-1], axis=1)
        found = {tensor.name: part.reshape(-1, *tensor.shape)
                 for tensor, part in zip(made, parts, strict=True)}
        return {name: found.get(name) for name in layers_of(self.graph)}

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """Turn a batch into frames of `net_run`: (frames, NET_INPUT_LENGTH) of net_input_t."""
        values = golden.evaluate(self.graph.input, np.asarray(x))
        for node in self.plan.host_prefix:
            values = golden.evaluate(node, values)
        given = self.plan.input
        values = values.reshape(len(values), given.count)
        if given.form is Form.PLANES:
            return pack_bits(values, given)
        if given.form is Form.FLOATS:
            return np.ascontiguousarray(values, np.float32)
        low, high = value_range(given.type)
        if values.size and not (low <= values.min() and values.max() <= high):
            raise UserError(f"Values of {given.name!r} must lie between {low} and {high}, "
                            f"not {values.min()} and {values.max()}")
        return np.ascontiguousarray(values, CTYPES[given.ctype])

    def outputs(self, frames: np.ndarray) -> np.ndarray:
        """Run frames as `inputs` makes them; returns (frames, NET_OUTPUTS) of numbers."""
        made = self._made(len(frames))
        self._library.native_run(_pointer(frames), _pointer(made), ctypes.c_size_t(len(frames)))
        if self.plan.output.form is Form.FLOATS:
            return made
        values = made.astype(np.int64)
        return 2 * values - 1 if isinstance(self.plan.output.type, Binary) else values

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes of constants, and of stack that `net_run` takes for tensors."""
        weights, temporaries = (ctypes.c_size_t * 2).in_dll(self._library, "native_memory")
        return weights, temporaries

    def _made(self, frames):
        return np.empty((frames, self.plan.output.count), CTYPES[self.plan.output.ctype])

    @cached_property
    def _library(self):
        return self._load("net.so")

    @cached_property
    def _traced(self):
        return self._load("traced.so", "-DNET_TRACE")

    def _load(self, name, *flags):
        library = self.build_dir / name
        sources = [self.build_dir / "net.c", Path(__file__).with_name("native.c")]
        compile_c(sources, library, (*self.cflags, *flags, "-shared", "-fPIC",
                                     f"-I{self.build_dir}"))
        return ctypes.CDLL(str(library.resolve()))


def has_avx2() -> bool:
    """Whether Linux tells of an x86 processor with AVX2."""
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def pack_bits(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Pack (frames, values) of -1 and +1 into words, the first in the lowest bit of each."""
    pixels = values.reshape(len(values), -1, tensor.channels)
    padded = np.zeros((*pixels.shape[:2], tensor.words * tensor.unit), np.uint8)
    padded[..., :tensor.channels] = pixels > 0
    words = np.packbits(padded, axis=-1, bitorder="little").view(f"<u{tensor.unit // 8}")
    return words.reshape(len(values), -1).astype(CTYPES[tensor.ctype])


def _pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)

"""Times the generated C and ONNX Runtime side by side, for the programs of this folder."""

import argparse
import contextlib
import ctypes
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from sim.native import Native


__all__ = ["DATA", "Runner", "c_runners", "onnx_runner", "options", "print_table",
           "quantized", "take_turns"]

DATA = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))


@dataclass
class Runner:
    """One way to run frames: ``run`` takes the number of frames. Times are in ms a frame, of the
    processor: while others have it, the clock stands."""

    name: str
    run: Callable[[int], object]
    memory: int = 0
    times: list[float] = field(default_factory=list)

    def time(self, frames: int) -> None:
        start = time.process_time()
        self.run(frames)
        self.times.append((time.process_time() - start) * 1e3 / frames)

    def quartiles(self) -> list[float]:
        return np.percentile(self.times, [25, 50, 75]).tolist()


class Peak:
    """Measures by how many ``bytes`` the resident memory of this process grows within a block, at
    its peak; 0 where the system does not tell."""

    bytes = 0

    def __enter__(self) -> "Peak":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again, unseen
            Path("/proc/self/clear_refs").write_text("5")  # of the peak alone
            self._before = resident("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.bytes = resident("VmHWM") - self._before


def resident(field: str) -> int:
    """Bytes of this process in memory: VmRSS now, VmHWM at the peak."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split(f"{field}:")[1].split()[0])


def onnx_runner(name: str, model: onnx.ModelProto, frame: np.ndarray) -> Runner:
    """A peer, in one thread; the model's input is ``x``."""
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(model, file)
        with Peak() as memory:
            session = onnxruntime.InferenceSession(file, chosen,
                                                   providers=["CPUExecutionProvider"])
            session.run(None, {"x": frame})

    def run(frames):
        for _ in range(frames):
            session.run(None, {"x": frame})

    return Runner(name, run, memory.bytes)


class Frames(CalibrationDataReader):
    """Frames from which ONNX Runtime takes the ranges of activations."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self._frames = iter(frames)

    def get_next(self):
        frame = next(self._frames, None)
        return None if frame is None else {"x": frame}


def quantized(model: onnx.ModelProto, frames: Iterable[np.ndarray]) -> onnx.ModelProto:
    """Return a float model in 8 bits, as ONNX Runtime quantizes it with known ranges."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(source, target, Frames(frames), quant_format=QuantFormat.QDQ,
                        per_channel=True)
        return onnx.load(target)


def c_runners(native: Native, pixels: np.ndarray, name: str = "C") -> list[Runner]:
    """Our code, called for each frame and called once; from a library that is not loaded yet."""
    frames = native.inputs(pixels)
    native.outputs(frames[:1])
    fresh = shutil.copy(native.build_dir / "net.so", native.build_dir / "fresh.so")
    outputs = np.zeros((len(frames), native.plan.output.count), np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p)  # and keeps the array
                for array in (frames, outputs)]
    with Peak() as memory:
        library = ctypes.CDLL(str(fresh))
        library.native_run(*pointers, ctypes.c_size_t(len(frames)))

    def run_each(count):
        for _ in range(count):
            library.net_run(*pointers)

    def run_all(count):
        library.native_run(*pointers, ctypes.c_size_t(count))

    return [Runner(f"{name}, from Python", run_each, memory.bytes),
            Runner(name, run_all, memory.bytes)]


def take_turns(runners: list[Runner], rounds: int, frames: int) -> None:
    """Time every runner in every round, so that whatever else the machine does meets all."""
    for _ in range(rounds):
        for runner in runners:
            runner.time(frames)


def options(about: str, arguments: list[str] | None, rounds: int = 200,
            frames: int = 20) -> argparse.Namespace:
    """Read the command line of a benchmark."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rounds", type=int, default=rounds,
                        help="turns of each (default %(default)s)")
    parser.add_argument("--frames", type=int, default=frames,
                        help="frames in a turn (default %(default)s)")
    parser.add_argument("--random", action="store_true", help="do not look for parameters")
    parser.add_argument("--cflags", default="-O3 -march=native",
                        help="of the C compiler (default %(default)s)")
    return parser.parse_args(arguments)


def print_table(runners: list[Runner], native: Native) -> None:
    """One row for each; the first is what the others are compared with."""
    print(f"{'':20}{'ms a frame':>12}{'quartiles':>24}{'faster':>9}{'memory':>12}")
    peer = runners[0].quartiles()[1]
    for runner in runners:
        low, middle, high = runner.quartiles()
        print(f"{runner.name:20}{middle:12.4f}{f'{low:.4f} .. {high:.4f}':>24}"
              f"{peer / middle:8.1f}x{runner.memory / 1e6:9.1f} MB")
    weights, temporaries = native.memory
    print(f"The C has {weights} bytes of constants and takes {temporaries} bytes of stack")

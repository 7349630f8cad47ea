"""Times the generated C of a binary network against ONNX Runtime on a float one of its shape.

    python -m bench.lfc [--rounds 200] [--frames 20] [--random]

Both run LFC, 784-1024-1024-1024-10, one frame at a time in one thread, in turns within the same
run, so that whatever else the machine does meets both. The parameters of the binary network are
those in ``../shared/data`` (or XNORLOOM_DATA), or random with ``--random`` or where there are
none; the float network has random ones, and ReLU between its layers. Times do not depend on them.

Each row is one way to call: the median and the quartiles over the rounds of the mean time of a
frame within a round. ``C, from Python`` pays ctypes for every frame, as ONNX Runtime pays its
binding; ``C`` is the loop over frames in C. ``memory`` is what loading and running adds to the
resident memory of this process.

Needs ``onnxruntime`` (``pip install xnorloom[bench]``) and a C compiler.
"""

import argparse
import ctypes
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from compiler.frontends import load
from compiler.ir import Dense, Fixed, Graph, HighestBit, Input, Threshold
from sim.native import Native


__all__ = ["SIZES", "float_model", "main", "random_network", "trained_network"]

SIZES = (784, 1024, 1024, 1024, 10)
DATA = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))


def random_network(sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Graph:
    """A binary dense network with random weights, on pixels of 0 to 255."""
    rng = np.random.default_rng(seed)
    nodes = [Input(name="pixels", shape=sizes[:1], type=Fixed(8, signed=False)),
             Threshold(name="bits", inputs=("pixels",), levels=np.array([[128]]))]
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        nodes.append(Dense(name=f"dense{index}", inputs=(nodes[-1].name,), bits=1,
                           weights=rng.choice([-1, 1], (channels, fan_in))))
        spread = int(fan_in ** 0.5)
        nodes.append(Threshold(name=f"sign{index}", inputs=(nodes[-1].name,),
                               levels=rng.integers(-spread, spread + 1, (channels, 1))))
    return Graph((*nodes, HighestBit(name="class", inputs=(nodes[-1].name,))), name="random")


def trained_network() -> Graph | None:
    """LFC as BNN-PYNQ trained it, or None where its parameters are not there."""
    folder = DATA / "bnn-pynq" / "mnist" / "lfcW1A1"
    return load(folder) if folder.is_dir() else None


def float_model(sizes: tuple[int, ...] = SIZES, seed: int = 0) -> onnx.ModelProto:
    """A float network of Gemm and ReLU with random weights."""
    rng = np.random.default_rng(seed)
    nodes, constants, name = [], [], "x"
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weights = rng.normal(size=(fan_in, channels)) / fan_in ** 0.5
        constants += [numpy_helper.from_array(weights.astype(np.float32), f"w{index}"),
                      numpy_helper.from_array(np.zeros(channels, np.float32), f"b{index}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{index}", f"b{index}"], [f"y{index}"]))
        name = f"y{index}"
        if index < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [name], [f"r{index}"]))
            name = f"r{index}"
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, size])
            for end, size in (("x", sizes[0]), (name, sizes[-1]))]
    graph = helper.make_graph(nodes, "float", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@dataclass
class Runner:
    """One way to run frames: ``run`` takes the number of frames. Times are in ms a frame."""

    name: str
    run: Callable[[int], object]
    memory: int = 0
    times: list[float] = field(default_factory=list)

    def time(self, frames: int) -> None:
        start = time.perf_counter()
        self.run(frames)
        self.times.append((time.perf_counter() - start) * 1e3 / frames)

    def quartiles(self) -> list[float]:
        return np.percentile(self.times, [25, 50, 75]).tolist()


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def onnx_runner(model: onnx.ModelProto, frame: np.ndarray) -> Runner:
    """The peer."""
    before = resident()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])

    def run(frames):
        for _ in range(frames):
            session.run(None, {"x": frame})

    run(10)
    return Runner("ONNX Runtime fp32", run, resident() - before)


def c_runners(native: Native, pixels: np.ndarray) -> list[Runner]:
    """Our code, called for each frame and called once; from a library that is not loaded yet."""
    frames = native.inputs(pixels)
    native.outputs(frames[:1])
    fresh = shutil.copy(native.build_dir / "net.so", native.build_dir / "fresh.so")
    before = resident()
    library = ctypes.CDLL(str(fresh))
    outputs = np.zeros((len(frames), native.plan.output.count), np.int32)
    pointers = frames.ctypes.data, outputs.ctypes.data

    def run_each(count):
        for _ in range(count):
            library.net_run(ctypes.c_void_p(pointers[0]), ctypes.c_void_p(pointers[1]))

    def run_all(count):
        library.native_run(ctypes.c_void_p(pointers[0]), ctypes.c_void_p(pointers[1]),
                           ctypes.c_size_t(count))

    run_all(len(frames))
    memory = resident() - before
    return [Runner("C, from Python", run_each, memory), Runner("C", run_all, memory)]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the generated C against ONNX Runtime.")
    parser.add_argument("--rounds", type=int, default=200, help="turns of each (default 200)")
    parser.add_argument("--frames", type=int, default=20, help="frames in a turn (default 20)")
    parser.add_argument("--random", action="store_true", help="do not look for parameters")
    options = parser.parse_args(arguments)

    trained = None if options.random else trained_network()
    graph = trained or random_network()
    pixels = np.random.default_rng(1).integers(0, 256, (options.frames, *graph.input.shape))
    frame = (pixels[:1].reshape(1, -1) / 255).astype(np.float32)
    native = Native(graph)
    runners = [onnx_runner(float_model(), frame), *c_runners(native, pixels)]
    for _ in range(options.rounds):
        for runner in runners:
            runner.time(options.frames)
    print(f"{'-'.join(map(str, SIZES))}, {'trained' if trained else 'random'} parameters, "
          f"{options.rounds} rounds of {options.frames} frames, one thread")
    print_table(runners)


def print_table(runners: list[Runner]) -> None:
    """One row for each; the first is what the others are compared with."""
    print(f"{'':20}{'ms a frame':>12}{'quartiles':>20}{'faster':>9}{'memory':>12}")
    peer = runners[0].quartiles()[1]
    for runner in runners:
        low, middle, high = runner.quartiles()
        print(f"{runner.name:20}{middle:12.4f}{f'{low:.4f} .. {high:.4f}':>20}"
              f"{peer / middle:8.1f}x{runner.memory / 1e6:9.1f} MB")


if __name__ == "__main__":
    main()

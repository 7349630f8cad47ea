"""Times the generated C of a binary network against ONNX Runtime on a float one of its shape.

    python -m bench.lfc [--rounds 200] [--frames 20] [--random] [--cflags ...]

Both run LFC, 784-1024-1024-1024-10, one frame at a time in one thread, in turns within the same
run, so that whatever else the machine does meets both. The parameters of the binary network are
those in ``../shared/data`` (or XNORLOOM_DATA), or random with ``--random`` or where there are
none; the float network has random ones, and ReLU between its layers. Times do not depend on them.

Each row is one way to call: the median and the quartiles over the rounds of the mean time of a
frame within a round, in time of the processor. ``C, from Python`` pays ctypes for every frame, as
ONNX Runtime pays its binding; ``C`` is the loop over frames in C. ``memory`` is what loading and
running adds to the resident memory of this process, at its peak.

Needs ``onnxruntime`` (``pip install xnorloom[bench]``) and a C compiler.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.timing import DATA, c_runners, onnx_runner, options, print_table, take_turns
from compiler.frontends import load
from compiler.ir import Dense, Fixed, Graph, HighestBit, Input, Threshold
from sim.native import Native


__all__ = ["SIZES", "float_model", "main", "random_network", "trained_network"]

SIZES = (784, 1024, 1024, 1024, 10)


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


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    chosen = options("Time the generated C against ONNX Runtime.", arguments)
    trained = None if chosen.random else trained_network()
    graph = trained or random_network()
    pixels = np.random.default_rng(1).integers(0, 256, (chosen.frames, *graph.input.shape))
    frame = (pixels[:1].reshape(1, -1) / 255).astype(np.float32)
    native = Native(graph, cflags=tuple(chosen.cflags.split()))
    runners = [onnx_runner("ONNX Runtime fp32", float_model(), frame),
               *c_runners(native, pixels)]
    take_turns(runners, chosen.rounds, chosen.frames)
    print(f"{'-'.join(map(str, SIZES))}, {'trained' if trained else 'random'} parameters, "
          f"{chosen.rounds} rounds of {chosen.frames} frames, one thread")
    print_table(runners, native)


if __name__ == "__main__":
    main()

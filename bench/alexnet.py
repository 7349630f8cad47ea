"""Times the generated C of a binarized AlexNet against ONNX Runtime.

    python -m bench.alexnet [--rounds 50] [--frames 2] [--cflags ...]

All run AlexNet on one picture of 227 x 227 x 3 at a time, in one thread and in turns within the
same run: five convolutions (96, 256, 384, 384 and 256 channels), three pools, and layers of 4096,
4096 and 1000. The C is that of XNOR-Net (`docs/alexnet.md`), whose first and last layers have 8
bits, with random weights. ONNX Runtime runs the same shapes in floats, with ReLU, and in 8 bits,
with ranges that it measured itself.

The columns are those of `bench.cnv`, and so is ``AVX2``. The last lines compare with what Larq
Compute Engine, which is not run here, was measured to take for a binary AlexNet in one thread.

Needs ``onnxruntime`` (``pip install xnorloom[bench]``) and a C compiler.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.timing import c_runners, onnx_runner, options, print_table, quantized, take_turns
from compiler import models
from compiler.frontends import load
from compiler.ir import Conv, Dense, Flatten, Graph, MaxPool
from compiler.passes import to_integer
from sim.native import AVX2, Native, has_avx2


__all__ = ["NETWORK", "float_model", "main", "network"]

NETWORK = "alexnet-xnor"
LARQ_MS = 91.5  # Larq Compute Engine, a binary AlexNet of 227 x 227, one thread


def network(name: str = NETWORK) -> Graph:
    """A described network with random weights, as C takes it."""
    return to_integer(load(models.network(name)))


def float_model(graph: Graph, seed: int = 0) -> onnx.ModelProto:
    """A network of the shapes of ``graph`` in floats: Conv, Gemm, ReLU and MaxPool, with random
    weights."""
    rng = np.random.default_rng(seed)
    nodes, constants, names = [], [], ["x"]

    def add(kind, *parameters, **attributes):
        for values in parameters:
            constants.append(numpy_helper.from_array(values, f"c{len(constants)}"))
        read = [constant.name for constant in constants[len(constants) - len(parameters):]]
        nodes.append(helper.make_node(kind, [names[-1], *read], [f"y{len(names)}"], **attributes))
        names.append(f"y{len(names)}")

    def parameters(*shape):
        weights = rng.standard_normal(shape, np.float32) * np.float32(2 / np.prod(shape[1:])) ** 0.5
        return weights, np.zeros(len(weights), np.float32)

    for node in graph.nodes:
        match node:
            case Conv(weights=weights):
                channels, *kernel, inputs = weights.shape
                add("Conv", *parameters(channels, inputs, *kernel), strides=node.stride,
                    pads=node.pads)
                add("Relu")
            case Dense(weights=weights):
                add("Gemm", *parameters(*weights.shape), transB=1)
                add("Relu")
            case MaxPool():
                add("MaxPool", kernel_shape=node.kernel, strides=node.stride, pads=node.pads)
            case Flatten():
                add("Flatten")
    nodes.pop()  # the last layer has no ReLU
    height, width, channels = graph.input.shape
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, height, width]),
            helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT,
                                          [1, len(numpy_helper.to_array(constants[-1]))])]
    made = helper.make_graph(nodes, "float", ends[:1], ends[1:], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(arguments: list[str] | None = None, name: str = NETWORK) -> None:
    """Print the table."""
    chosen = options("Time the generated C of AlexNet against ONNX Runtime.", arguments,
                     rounds=50, frames=2)
    graph = network(name)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (chosen.frames, *graph.input.shape))
    height, width, channels = graph.input.shape
    frames = rng.normal(size=(3, 1, channels, height, width)).astype(np.float32)
    model = float_model(graph)
    native = Native(graph, cflags=tuple(chosen.cflags.split()))
    runners = [onnx_runner("ONNX Runtime fp32", model, frames[0]),
               onnx_runner("ONNX Runtime int8", quantized(model, frames), frames[0]),
               *c_runners(native, pixels)]
    if has_avx2():
        runners += c_runners(Native(graph, cflags=("-O3", *AVX2)), pixels, "AVX2")
    take_turns(runners, chosen.rounds, chosen.frames)
    print(f"{name}, random weights, {chosen.rounds} rounds of {chosen.frames} frames, one thread")
    print_table(runners, native)
    times = {runner.name: runner.quartiles()[1] for runner in runners}
    for kind in "C", "AVX2":
        if ours := times.get(f"{kind}, from Python"):
            print(f"{kind}, called from Python, is {times['ONNX Runtime fp32'] / ours:.1f}x faster "
                  f"than ONNX Runtime fp32, {times['ONNX Runtime int8'] / ours:.1f}x than its int8"
                  f", and {LARQ_MS / ours:.0f}x than Larq Compute Engine at {LARQ_MS} ms")


if __name__ == "__main__":
    main()

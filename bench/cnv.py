"""Times the generated C of a binary convolutional network against ONNX Runtime.

    python -m bench.cnv [--rounds 200] [--frames 20] [--random] [--cflags ...]

All run CNV on one picture of 32 x 32 x 3 at a time, in one thread and in turns within the same
run: six convolutions of 3 x 3 without border (64, 64, 128, 128, 256 and 256 channels, the second
and the fourth with a pool of 2 x 2 behind them), and layers of 512, 512 and 10. ONNX Runtime runs
it in floats, with ReLU, and in 8 bits, with ranges that it measured itself. The parameters of the
binary network are those of BNN-PYNQ in ``../shared/data`` (or XNORLOOM_DATA), or random with
``--random`` or where there are none; the float network has random ones. Times do not depend on
them.

The columns are those of `bench.lfc`. ``AVX2`` is the C without what newer x86 processors have.
The last lines compare with what Larq Compute Engine, which is not run here, was measured to take
for the same shapes on such a machine in one thread.

Needs ``onnxruntime`` (``pip install xnorloom[bench]``) and a C compiler.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.timing import (
    DATA,
    c_runners,
    onnx_runner,
    options,
    print_table,
    quantized,
    take_turns,
)
from compiler.frontends import load
from compiler.ir import ArgMax, Conv, Dense, Fixed, Flatten, Graph, Input, MaxPool, Threshold
from sim.native import AVX2, Native, has_avx2


__all__ = ["CONVS", "DENSES", "SHAPE", "float_model", "main", "random_network",
           "trained_network"]

SHAPE = 32, 32, 3
CONVS = (64, False), (64, True), (128, False), (128, True), (256, False), (256, False)  # pooled?
DENSES = 512, 512, 10
LARQ_MS = 7.81  # Larq Compute Engine 0.16, the same shapes, one thread


def random_network(seed: int = 0) -> Graph:
    """CNV with random weights of 1 bit, on signed pixels."""
    rng = np.random.default_rng(seed)
    nodes = [Input(name="pixels", shape=SHAPE, type=Fixed(8))]

    def add(kind, **fields):
        nodes.append(kind(name=f"{kind.__name__.lower()}{len(nodes)}",
                          inputs=(nodes[-1].name,), **fields))

    def add_sums(kind, shape, *, last=False):
        spread = int(np.prod(shape[1:]) ** 0.5) * (70 if len(nodes) == 1 else 1)
        add(kind, weights=rng.choice([-1, 1], shape), bits=1)
        if not last:
            add(Threshold, levels=rng.integers(-spread, spread + 1, (shape[0], 1)))

    before = SHAPE[2]
    for channels, pooled in CONVS:
        add_sums(Conv, (channels, 3, 3, before))
        before = channels
        if pooled:
            add(MaxPool, kernel=(2, 2), stride=(2, 2))
    add(Flatten)
    for index, channels in enumerate(DENSES):
        add_sums(Dense, (channels, before), last=index == len(DENSES) - 1)
        before = channels
    add(ArgMax)
    return Graph(tuple(nodes), name="random")


def trained_network() -> Graph | None:
    """CNV as BNN-PYNQ trained it, or None where its parameters are not there."""
    folder = DATA / "bnn-pynq" / "cifar10" / "cnvW1A1"
    return load(folder) if folder.is_dir() else None


def float_model(seed: int = 0) -> onnx.ModelProto:
    """CNV in floats: Conv, Gemm, ReLU and MaxPool, with random weights."""
    rng = np.random.default_rng(seed)
    nodes, constants, names = [], [], ["x"]

    def constant(values):
        constants.append(numpy_helper.from_array(values.astype(np.float32),
                                                 f"c{len(constants)}"))
        return constants[-1].name

    def add(kind, *constant_names, **attributes):
        nodes.append(helper.make_node(kind, [names[-1], *constant_names], [f"y{len(names)}"],
                                      **attributes))
        names.append(f"y{len(names)}")

    def random(*shape):
        return constant(rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5)

    before = SHAPE[2]
    for channels, pooled in CONVS:
        add("Conv", random(channels, before, 3, 3), constant(np.zeros(channels)))
        add("Relu")
        before = channels
        if pooled:
            add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten")
    for channels in DENSES:
        add("Gemm", random(channels, before), constant(np.zeros(channels)), transB=1)
        before = channels
        if channels != DENSES[-1]:
            add("Relu")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, SHAPE[2], *SHAPE[:2]]), (names[-1], [1, DENSES[-1]]))]
    graph = helper.make_graph(nodes, "float", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    chosen = options("Time the generated C of CNV against ONNX Runtime.", arguments)
    trained = None if chosen.random else trained_network()
    graph = trained or random_network()
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 128, (chosen.frames, *SHAPE))
    frames = rng.normal(size=(10, 1, SHAPE[2], *SHAPE[:2])).astype(np.float32)
    native = Native(graph, cflags=tuple(chosen.cflags.split()))
    model = float_model()
    runners = [onnx_runner("ONNX Runtime fp32", model, frames[0]),
               onnx_runner("ONNX Runtime int8", quantized(model, frames), frames[0]),
               *c_runners(native, pixels)]
    if has_avx2():
        runners += c_runners(Native(graph, cflags=("-O3", *AVX2)), pixels, "AVX2")
    take_turns(runners, chosen.rounds, chosen.frames)
    print(f"CNV, {'trained' if trained else 'random'} parameters, {chosen.rounds} rounds of "
          f"{chosen.frames} frames, one thread")
    print_table(runners, native)
    times = {runner.name: runner.quartiles()[1] for runner in runners}
    int8 = times["ONNX Runtime int8"]
    for name in "C", "AVX2":
        if ours := times.get(f"{name}, from Python"):
            print(f"{name}, called from Python, is {int8 / ours:.1f}x faster than ONNX Runtime "
                  f"int8, and {LARQ_MS / ours:.0f}x than Larq Compute Engine at {LARQ_MS} ms")


if __name__ == "__main__":
    main()

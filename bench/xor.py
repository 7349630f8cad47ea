"""Times the generated C of the XOR network against ONNX Runtime on a float one of its shape.

    python -m bench.xor --frames 1000 [--rounds 200] [--cflags ...]

The XOR network that ships with us, 32-64-64-32, is of bits alone, as tinier-nn has it. Rows are
those of `bench.lfc`. A frame takes less than a microsecond: a turn wants many of them.
"""

import numpy as np

from bench.lfc import float_model
from bench.timing import c_runners, onnx_runner, options, take_turns
from compiler.workload import open_workload
from sim.native import Native


__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    chosen = options("Time the C of the XOR network.", arguments)
    work = open_workload("xor")
    sizes = *work.graph.input.shape, *(node.channels for node in work.graph.nodes[1::2])
    x = np.resize(work.samples(None).x, (chosen.frames, sizes[0]))
    native = Native(work.graph, cflags=tuple(chosen.cflags.split()))
    runners = [onnx_runner("ONNX Runtime fp32", float_model(sizes), x[:1].astype(np.float32)),
               *c_runners(native, x)]
    take_turns(runners, chosen.rounds, chosen.frames)
    print(f"{'-'.join(map(str, sizes))}, {chosen.rounds} rounds of {chosen.frames} frames, "
          f"one thread")
    for runner in runners:
        low, middle, high = (1e6 * value for value in runner.quartiles())
        print(f"{runner.name:20}{middle:8.0f} ns a frame, {low:.0f} .. {high:.0f}")
    weights, temporaries = native.memory
    print(f"The C has {weights} bytes of constants and takes {temporaries} bytes of stack")


if __name__ == "__main__":
    main()

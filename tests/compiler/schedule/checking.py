"""Runs schedules on the machine, and holds what its layers leave to the golden model."""

import numpy as np

from compiler import golden
from compiler.stages import on_host
from hdl.config import Config
from tests.compiler.schedule.machine import Machine


__all__ = ["CONFIGS", "PICTURE_CONFIGS", "SIGN_CONFIGS", "check"]


CONFIGS = [
    Config(),
    Config(simd=8, p=4, weight_depth=4, memory_depth=4096),
    Config(simd=16, pe=16, p=2, fixed_pe=2, weight_depth=2),
    Config(simd=8, pe=16, p=4, level_depth=256),
    Config(simd=64, pe=8, fixed_pe=8, p=1, sum_width=32),
]
PICTURE_CONFIGS = [
    Config(),
    Config(p=4),
    Config(p=1),
    Config(memory_depth=2048),
    Config(simd=8, p=4, weight_depth=512),
    Config(simd=16, pe=16, p=2, fixed_pe=2),
    Config(simd=64, pe=8, fixed_pe=8, p=1, sum_width=32),
]
# With bits by groups, and weights that stay where they fit: all of them, few, and none.
SIGN_CONFIGS = [
    Config(p=4, pe=16, simd=16, fixed_pe=8, binary_width=13, weight_depth=4096, sign_depth=64),
    Config(p=2, pe=8, simd=32, binary_width=14, weight_depth=1024, sign_depth=256),
    Config(p=4, pe=32, simd=32, fixed_pe=8, binary_width=14, fixed_width=24, weight_depth=512,
           sign_depth=20),
    Config(p=1, pe=32, simd=64, fixed_pe=8, binary_width=15, fixed_width=26, weight_depth=64,
           sign_depth=8),
    Config(p=8, pe=16, simd=16, fixed_pe=8, binary_width=13, weight_depth=1024, sign_depth=64,
           memory_depth=4096),
]


def check(graph, frames, plan):
    """Run frames on the machine, and compare what every layer leaves."""
    machine = Machine(plan.config, plan.image().to_bytes())
    for frame in frames:
        frame = frame[np.newaxis]
        tensors = {node.name: x[0] for node, x in golden.trace(plan.placed, frame)}
        given = on_host(plan.parts.prefix, golden.evaluate(graph.input, frame))[0]
        parts = iter(plan.pack(given))

        def put(machine=machine, parts=parts):
            for piece in next(parts):
                machine.write(*piece)

        put()
        machine.on_want = put
        machine.run()
        assert not list(parts)
        for name, layer in plan.left.items():
            memory = machine.left[layer]
            place = plan.places[name]
            found = place.unpack(memory[place.address:place.end].tobytes())
            assert (found.reshape(tensors[name].shape) == tensors[name]).all(), name
        last = machine.read(plan.output.address, plan.output.octets)
        assert (plan.output.unpack(last) == found).all()

"""Runs schedules on the machine, and holds what its layers leave to the golden model."""

import numpy as np

from compiler import golden
from compiler.stages import on_host
from hdl.config import Config
from tests.compiler.schedule.machine import Machine


__all__ = ["CONFIGS", "PICTURE_CONFIGS", "check"]


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

"""What a report tells of a schedule: the network, its layers, and the memory while they run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from compiler.ir import Conv, Node, Pool, TensorType
from compiler.schedule.lower import Lowered
from compiler.schedule.packets import Packet
from compiler.schedule.plan import Schedule
from compiler.schedule.streaming import HOME
from compiler.stages import Layer, Pooling, Step, spoken
from compiler.steps import Joining
from hdl.isa import Opcode


__all__ = ["layers_of", "memory_of", "network_of", "peaks_of"]

ARRAY, FIXED, DRAIN, MEMORY, HOST = "array", "fixed", "drain", "memory", "host"  # run a step

BEFORE = -1  # the layer that writes what is there before a frame
READS = Opcode.RESIDENT, Opcode.RESIDENT_FIXED

Facts = dict[str, Any]


def network_of(plan: Schedule) -> Facts:
    """Return the steps of a network in their order, each with the tensors that it reads."""
    node = plan.graph.input
    steps = []
    made = node.result()
    before = node.name
    for step in plan.parts.prefix:
        made = step.result(made)
        steps.append(fact(step.name, kind_of(step), [before], step.name, *made, HOST))
        before = step.name
    units = {lowered.task.part_of or lowered.task.name: unit_of(lowered)
             for lowered in plan.layers}
    steps += [device_step(step, units) for step in plan.parts.body]
    last = plan.parts.body[-1]
    made, before = (last.output_shape, last.output_type), last.output
    for step in plan.parts.suffix:
        made = step.result(made)
        steps.append(fact(step.name, kind_of(step), [before], step.name, *made, HOST))
        before = step.name
    return {"input": {"name": node.name, "shape": list(node.shape),
                      "type": spoken(node.result()[1])},
            "steps": steps}


def device_step(step: Step, units: dict[str, str]) -> Facts:
    node: Node
    match step:
        case Layer():
            inputs = [step.input, *([step.addend] if step.addend else [])]
            node, runs_on = step.sums, units[step.name]
        case Pooling():
            inputs, node, runs_on = [step.input], step.pool, DRAIN
        case Joining():
            inputs, node, runs_on = list(step.inputs), step.concat, MEMORY
    return fact(step.name, kind_of(node), inputs, step.output, step.output_shape,
                step.output_type, runs_on)


def fact(name: str, kind: str, inputs: list[str], output: str, shape: Sequence[int],
         made: TensorType, runs_on: str) -> Facts:
    return {"name": name, "kind": kind, "inputs": inputs, "output": output,
            "shape": list(shape), "type": spoken(made), "on": runs_on}


def kind_of(node: Node) -> str:
    """Name an operation as people do, with the size of its window."""
    words = type(node).__name__
    match node:
        case Conv(kernel=size, stride=stride) | Pool(kernel=size, stride=stride):
            words += f" {size[0]} x {size[1]}"
            if stride != ((1, 1) if isinstance(node, Conv) else size):
                words += f", stride {stride[0]} x {stride[1]}"
    if isinstance(node, Conv) and node.groups > 1:
        words += f", {node.groups} groups"
    return words


def unit_of(lowered: Lowered) -> str:
    return FIXED if lowered.fixed else ARRAY


def layers_of(plan: Schedule) -> list[Facts]:
    """Return what every layer asks for, in the order of the program.

    ``step`` is that of the network, of which a layer may make some lines alone. ``products`` are
    those of a unit: an input of several bit planes has each of its products once for a plane on
    the array. ``fetched_bytes`` come from the flash in the course of the layer, for itself or to
    be stored for a later one.
    """
    fetched = [2 * sum(map(len, plan.program[begin:end]))
               for begin, end in pairwise((0, *plan.ends))]
    return [{
        "name": lowered.task.name,
        "step": lowered.task.part_of or lowered.task.name,
        "unit": unit_of(lowered),
        "products": (math.prod(lowered.task.layer.output_shape)
                     * lowered.task.layer.sums.fan_in * lowered.planes),
        "planes": lowered.planes,
        "weights": lowered.task.layer.sums.weights.size,
        "weight_bits": lowered.task.layer.sums.bits,
        "fetched_bytes": octets,
    } for lowered, octets in zip(plan.layers, fetched, strict=True)]


def peaks_of(plan: Schedule) -> Facts:
    """Return what can be done in a cycle: products of each unit, and bytes of the flash."""
    config = plan.config
    return {ARRAY: config.lanes, FIXED: config.fixed_pe * config.fixed_simd,
            "flash_bytes": 1 / config.octet_cycles}


def memory_of(plan: Schedule) -> Facts:
    """Return what lies in the activation memory, in bytes, from the beginning of layer ``first``
    to the end of layer ``last``.

    What is there before the first layer has ``first`` -1; what stays for the host has the number
    of layers as ``last``.
    """
    step = plan.config.memory_width // 8
    return {
        "bytes": plan.config.memory_depth * step,
        "tensors": [{"name": span.name, "address": span.address, "bytes": span.octets,
                     "first": span.first, "last": span.last}
                    for span in plan.spans if span.name != HOME],  # which weights lie in
        "weights": [
            {"address": begin * step, "bytes": (end - begin) * step, "first": first,
             "last": len(plan.layers) if first == BEFORE else last_read(plan, begin, end, first)}
            for first, begin, end in stored(plan)],
    }


def stored(plan: Schedule) -> Iterator[tuple[int, int, int]]:
    """Yield the layer in whose course weights are stored, and the addresses that they then take."""
    for first, packets in enumerate(packets_of(plan), BEFORE):
        places: list[tuple[int, int]] = []
        for packet in packets:
            if packet.opcode is Opcode.STORE:
                begin = packet.address
                end = begin - (-2 * packet.count // (plan.config.memory_width // 8))
                if places and places[-1][1] == begin:
                    begin = places.pop()[0]
                places.append((begin, end))
        yield from ((first, begin, end) for begin, end in places)


def packets_of(plan: Schedule) -> Iterator[tuple[Packet, ...]]:
    """Yield the packets before the first frame, then those of every layer."""
    yield plan.resident
    for begin, end in pairwise((0, *plan.ends)):
        yield plan.program[begin:end]


def last_read(plan: Schedule, begin: int, end: int, first: int) -> int:
    """Return the last layer that reads weights between two addresses."""
    return max((at for at, packets in enumerate(packets_of(plan), BEFORE) for packet in packets
                if packet.opcode in READS and begin <= packet.address < end), default=first)

"""Writes ``net.c`` and ``weights.h``: a function and its tables for each layer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.codegen import tables
from compiler.codegen.host import choose_class, has_scores, is_classifier
from compiler.codegen.plan import Form, Kernel, Plan, Stage, Tensor
from compiler.ir import Binary, Requantize, TensorType, Threshold, value_range


__all__ = ["Source", "one_line", "write_source"]

Array = np.ndarray[Any, Any]


@dataclass
class Source:
    """The text of ``net.c`` and ``weights.h``, with the bytes that the network takes."""

    net: str = ""
    tables: list[str] = field(default_factory=list)
    weight_bytes: int = 0
    scratch_bytes: int = 0

    def table(self, name: str, values: Array, about: str) -> str:
        """Add a constant array, and return its name."""
        if values.dtype.kind == "i" and values.itemsize > 1:
            values = values.astype(np.int32)
        self.tables.append(f"/* {about} */\n{tables.format_table(name, values)}")
        self.weight_bytes += values.nbytes
        return name


def write_source(plan: Plan) -> Source:
    """Return the C of a network."""
    source = Source()
    first_layer = 0 if plan.stages[0].dense is None else 1
    functions = [_function(stage, _name(index), plan, source)
                 for index, stage in enumerate(plan.stages, first_layer)]
    parts = [f"/* {one_line(plan.graph.name)}: made by xnorloom, not to be edited.\n *\n"
             + "".join(f" * {line}\n" for line in _summary(plan)) + " */",
             '#include "net.h"\n#include "kernels.h"\n#include "trace.h"\n#include "weights.h"',
             *functions, _run(plan, first_layer, source)]
    if is_classifier(plan) and not has_scores(plan):
        parts.append(choose_class(plan.suffix[-1], "outputs").rstrip())
    source.net = "\n\n".join(parts) + "\n"
    return source


def one_line(text: str) -> str:
    """Return ``text`` so that it can stand in a comment."""
    return re.sub(r"[^\x20-\x7e]|\*/|/\*|\\|\?\?", "_", text)


def _name(index: int) -> str:
    return f"layer_{index}" if index else "prepare_input"


def _summary(plan: Plan) -> list[str]:
    return [f"{one_line(plan.input.name)}: {plan.input.count} inputs, {_values(plan.input)}",
            *(_layer_line(stage) for stage in plan.stages)]


def _layer_line(stage: Stage) -> str:
    names = [node.name for node in (stage.dense, *stage.activations) if node]
    sums = ""
    if stage.dense:
        bits = f"{stage.dense.bits} bit{'s'[:stage.dense.bits != 1]}"
        sums = f"{stage.input.count} -> {stage.output.count} channels with weights of {bits}; "
    return f"{one_line(', '.join(names)) or 'input'}: {sums}{_values(stage.output)}"


def _values(tensor: Tensor) -> str:
    match tensor.type:
        case Binary():
            return "-1 or +1 each"
        case kind:
            low, high = value_range(kind)
            return f"{low} .. {high} each"


# One layer

def _function(stage: Stage, name: str, plan: Plan, source: Source) -> str:
    given, made = stage.input, stage.output
    sums = _load(given) if stage.dense is None else _sums(stage, name, source)
    before, inside = sums
    steps = [*inside, *_activations(stage, name, plan, source), _store(made)]
    lanes = ["        const size_t lanes = block_lanes(count);"] if any(
        " lanes," in line for line in steps) else []
    return "\n".join([
        f"/* {_layer_line(stage)} */",
        f"static void {name}(const {given.ctype} *input, {made.ctype} *output)", "{",
        *(f"    {line}" for line in before),
        f"    for (size_t first = 0; first < {made.count}; first += NET_BLOCK) {{",
        f"        const size_t count = block_count(first, {made.count});", *lanes,
        "        int32_t values[NET_BLOCK] = {0};",
        *(f"        {line}" for line in steps), "    }", "}"])


def _load(given: Tensor) -> tuple[list[str], list[str]]:
    return [], [f"load_{_suffix(given)}(input + first, count, values);"]


def _suffix(tensor: Tensor) -> str:
    return {"uint8_t": "u8", "int8_t": "i8", "int32_t": "i32"}[tensor.ctype]


def _sums(stage: Stage, name: str, source: Source) -> tuple[list[str], list[str]]:
    """Statements ahead of the loop over blocks, and inside it, that sum products."""
    dense, given = stage.dense, stage.input
    assert dense is not None
    weights = source.table(f"{name}_weights", tables.weights(stage),
                           f"{one_line(dense.name)}: {dense.channels} channels of "
                           f"{dense.fan_in} weights")
    block = f"{weights} + first * {given.words}"
    before: list[str] = []
    match stage.kernel:
        case Kernel.BINARY:
            inside = [f"binary_sums({block}, lanes, input, {given.count}, values);"]
        case Kernel.INPUT_PLANES:
            facts = f"{given.words}, {given.planes}, {int(given.signed)}"
            before = [f"const int32_t total = plane_total(input, {facts});"]
            inside = [f"plane_sums({block}, 0, lanes, input, {given.words}, {facts}, values);",
                      "double_sums(values, lanes, total);"]
        case Kernel.WEIGHT_PLANES:
            apart = given.words * tables.padded(dense.channels)
            facts = f"{given.words}, {dense.bits}, 1"
            inside = [f"plane_sums({block}, {apart}, lanes, input, 0, {facts}, values);",
                      "double_sums(values, lanes, 0);"]
        case _:
            rows, kind = f"{weights} + first * {given.count}, {given.count}", _suffix(given)
            before = [f"factor_{kind} factors[{given.count}];",
                      f"load_factors_{kind}(input, {given.count}, factors);"]
            inside = [f"byte_sums_{kind}({rows}, factors, count, values);"]
    bias = tables.bias(stage)
    if bias is not None:
        about = ("bias" if stage.kernel is not Kernel.WEIGHT_PLANES else
                 "bias, less the sum of the channel's weights")
        added = source.table(f"{name}_bias", bias, f"{one_line(dense.name)}: {about}")
        inside.append(f"add_bias(values, count, {added} + first);")
    return before, inside


def _activations(stage: Stage, name: str, plan: Plan, source: Source) -> list[str]:
    lines = []
    for index, node in enumerate(stage.activations):
        reads = node.inputs[0]
        if isinstance(node, Requantize):
            low, high = value_range(plan.graph.type(node.name))
            lines.append(f"requantize(values, count, {tables.requantize_shift(node)}, "
                         f"{_int32(low)}, {_int32(high)});")
            continue
        table = f"{name}_levels" + (f"_{index}" if index else "")
        lines += _threshold(node, plan.graph.type(reads), plan.graph.shape(reads), table, source)
        following = stage.activations[index + 1:]
        if isinstance(plan.graph.type(node.name), Binary) and following:
            lines.append("double_sums(values, count, 1);")
    return lines


def _threshold(node: Threshold, kind: TensorType, shape: tuple[int, ...], table: str,
               source: Source) -> list[str]:
    levels = tables.levels(node, kind, shape)
    if levels.size == 1:
        return [f"reach_level(values, count, {_int32(int(levels[0, 0]))});"]
    added = source.table(table, levels, f"{one_line(node.name)}: {node.count} rising "
                         f"level{'s'[:node.count > 1]} for "
                         + ("all" if len(levels) == 1 else f"each of {len(levels)}"))
    if node.count == 1:
        return [f"reach_levels(values, count, {added} + first);"]
    apart = 0 if len(levels) == 1 else node.count
    first = f"{added} + first * {apart}" if apart else added
    return [f"count_levels(values, count, {first}, {apart}, {node.count});"]


def _int32(value: int) -> str:
    return str(value) if value > -1 << 31 else "INT32_MIN"


def _store(made: Tensor) -> str:
    if made.form is Form.PLANES:
        return (f"store_planes(values, count, {made.planes}, {made.words}, "
                "output + first / NET_BLOCK);")
    return f"store_{_suffix(made)}(values, count, output + first);"


# All layers

def _run(plan: Plan, first_layer: int, source: Source) -> str:
    names = ["input", *(f"tensor_{index}" for index in range(first_layer, len(plan.layers))),
             "outputs"]
    middle = [stage.output for stage in plan.stages[:-1]]
    factors = [2 * stage.input.count for stage in plan.layers if stage.kernel is Kernel.BYTES]
    source.scratch_bytes = (sum(tensor.bytes for tensor in middle) + max(factors, default=0)
                            + 4 * tables.BLOCK)
    lines = [f"    {tensor.ctype} {name}[{tensor.length}]; /* {one_line(tensor.name)} */"
             for name, tensor in zip(names[1:], middle, strict=False)]
    lines += [""] if lines else []
    layer = 0
    for index, stage in enumerate(plan.stages):
        made = names[index + 1]
        lines.append(f"    {_name(first_layer + index)}({names[index]}, {made});")
        if stage.dense:
            lines.append(f"    {_trace(layer, made, stage.output)}")
            layer += 1
    return "\n".join(["void net_run(const net_input_t *input, net_output_t *outputs)", "{",
                      *lines, "}"])


def _trace(layer: int, name: str, tensor: Tensor) -> str:
    binary = isinstance(tensor.type, Binary)
    if tensor.form is not Form.PLANES:
        return f"trace_{'flags' if binary else _suffix(tensor)}({layer}, {name}, {tensor.count});"
    if binary:
        return f"trace_bits({layer}, {name}, {tensor.count});"
    return (f"trace_planes({layer}, {name}, {tensor.count}, {tensor.planes}, "
            f"{int(tensor.signed)});")

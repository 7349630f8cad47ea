"""Writes ``net.c`` and ``weights.h``: a function and its tables for each stage."""

from __future__ import annotations

import numpy as np

from compiler.codegen.functions import stage_function, stage_line
from compiler.codegen.host import choose_class, has_scores, integer_scores, is_classifier
from compiler.codegen.plan import Plan
from compiler.codegen.stage import Stage
from compiler.codegen.tensors import Form, Tensor
from compiler.codegen.text import Source, one_line, suffix
from compiler.ir import Affine, Binary


__all__ = ["write_source"]

HEADERS = ("net.h", "activations.h", "pixels.h", "bytes.h", "shifts.h", "pools.h", "trace.h",
           "weights.h")


def write_source(plan: Plan) -> Source:
    """Return the C of a network."""
    source = Source()
    functions = [stage_function(stage, name, plan, source)
                 for stage, name in zip(plan.stages, _names(plan), strict=True)]
    parts = [f"/* {one_line(plan.graph.name)}: made by xnorloom, not to be edited.\n *\n"
             + "".join(f" * {line}\n" for line in _summary(plan)) + " */",
             "\n".join(f'#include "{name}"' for name in HEADERS),
             *functions, _run(plan, source)]
    if is_classifier(plan) and not has_scores(plan):
        compared = "outputs"
        if node := integer_scores(plan):
            compared = "class_score"
            parts.append(_class_score(node, source))
        parts.append(choose_class(plan.suffix[-1], compared).rstrip())
    source.net = "\n\n".join(parts) + "\n"
    return source


def _names(plan: Plan) -> list[str]:
    """Names of the functions."""
    names: list[str] = []
    steps = 0
    for index, stage in enumerate(plan.stages):
        steps += stage.is_step
        kept = f"convert_{index}" if index else "prepare_input"
        names.append(f"layer_{steps}" if stage.is_step else kept)
    return names


def _summary(plan: Plan) -> list[str]:
    return [f"{one_line(plan.input.name)}: {plan.input.count} inputs",
            *(stage_line(stage) for stage in plan.stages)]


# All stages

def _run(plan: Plan, source: Source) -> str:
    """Return the definition of `net_run`."""
    slots = _slots(plan.stages)
    names = {plan.input: "input"}
    lines = []
    for slot, members in enumerate(slots):
        lines.append("    NET_TENSORS union {")
        for index in members:
            tensor = plan.stages[index].output
            names[tensor] = f"slot_{slot}.tensor_{index}"
            lines.append(f"        {tensor.ctype} tensor_{index}[{tensor.length}]; "
                         f"/* {one_line(tensor.name)} */")
        lines.append(f"    }} slot_{slot};")
        made = [plan.stages[index].output for index in members]
        unit = max(tensor.bytes // tensor.length for tensor in made)
        source.scratch_bytes += -(-max(tensor.bytes for tensor in made) // unit) * unit
    source.scratch_bytes += source.stack_bytes
    names[plan.output] = "outputs"
    lines += [""] if lines else []
    layer = 0
    for stage, function in zip(plan.stages, _names(plan), strict=True):
        tensors = ", ".join(names[tensor] for tensor in (*stage.reads, stage.output))
        lines.append(f"    {function}({tensors});")
        if stage.is_step:
            lines.append(f"    {_trace(layer, names[stage.output], stage.output)}")
            layer += 1
    return "\n".join(["void net_run(const net_input_t *input, net_output_t *outputs)", "{",
                      *lines, "}"])


def _class_score(node: Affine, source: Source) -> str:
    """Return the definition of `class_score`."""
    about = f"{one_line(node.name)}: {{}} of each class"
    scales, offsets = (source.table(f"class_{what}s", np.asarray(values), about.format(what))
                       for what, values in (("scale", node.scale), ("offset", node.offset)))
    return (f"/* {one_line(node.name)}: what is the highest for the class. */\n"
            "static int64_t class_score(const net_output_t *outputs, int i)\n{\n"
            f"    return (int64_t){scales}[i] * outputs[i] + {offsets}[i];\n}}")


def _slots(stages: tuple[Stage, ...]) -> list[list[int]]:
    """Share out the outputs of the stages but the last: those in a slot follow one another.

    A tensor goes to the free slot whose size it changes least.
    """
    last_read = {tensor: at for at, stage in enumerate(stages) for tensor in stage.reads}
    slots: list[list[int]] = []
    for at, stage in enumerate(stages[:-1]):
        def growth(slot: list[int], size: int = stage.output.bytes) -> tuple[int, int]:
            room = max(stages[index].output.bytes for index in slot)
            return max(size - room, 0), max(room - size, 0)

        free = [slot for slot in slots if last_read[stages[slot[-1]].output] < at]
        if free:
            min(free, key=growth).append(at)
        else:
            slots.append([at])
    return slots


def _trace(layer: int, name: str, tensor: Tensor) -> str:
    binary = isinstance(tensor.type, Binary)
    height, width, channels = tensor.picture
    facts = f"({layer}, {name}, {height * width}, {channels}"
    if tensor.form is not Form.PLANES:
        kind = "flags" if binary else suffix(tensor)
        return f"trace_{kind}({layer}, {name}, {tensor.count});"
    if binary:
        return f"trace_bits_{suffix(tensor)}{facts});"
    return f"trace_planes_{suffix(tensor)}{facts}, {tensor.planes}, {int(tensor.signed)});"

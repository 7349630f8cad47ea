"""Writes ``net.c`` and ``weights.h``: a function and its tables for each stage."""

from __future__ import annotations

from compiler.codegen.functions import Source, one_line, stage_function, stage_line, suffix
from compiler.codegen.host import choose_class, has_scores, is_classifier
from compiler.codegen.plan import Plan
from compiler.codegen.tensors import Form, Tensor
from compiler.ir import Binary


__all__ = ["write_source"]

HEADERS = ("net.h", "activations.h", "bytes.h", "pools.h", "trace.h", "weights.h")


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
        parts.append(choose_class(plan.suffix[-1], "outputs").rstrip())
    source.net = "\n\n".join(parts) + "\n"
    return source


def _names(plan: Plan) -> list[str]:
    """Names of the functions."""
    layers = [f"layer_{index}" for index in range(1, len(plan.layers) + 1)]
    return layers if len(layers) == len(plan.stages) else ["prepare_input", *layers]


def _summary(plan: Plan) -> list[str]:
    return [f"{one_line(plan.input.name)}: {plan.input.count} inputs",
            *(stage_line(stage) for stage in plan.stages)]


# All stages

def _run(plan: Plan, source: Source) -> str:
    """Return the definition of `net_run`; tensors that are not needed at once share their place."""
    slots: list[list[tuple[int, Tensor]]] = []
    names = ["input"]
    for index, stage in enumerate(plan.stages[:-1]):
        slot = index % 2
        if slot == len(slots):
            slots.append([])
        slots[slot].append((index, stage.output))
        names.append(f"slot_{slot}.tensor_{index}")
    names.append("outputs")
    lines = []
    for slot, members in enumerate(slots):
        lines += ["    union {",
                  *(f"        {tensor.ctype} tensor_{index}[{tensor.length}]; "
                    f"/* {one_line(tensor.name)} */" for index, tensor in members),
                  f"    }} slot_{slot};"]
        source.scratch_bytes += max(tensor.bytes for _, tensor in members)
    source.scratch_bytes += source.stack_bytes
    lines += [""] if lines else []
    first = len(plan.stages) - len(plan.layers)
    for index, (stage, function) in enumerate(zip(plan.stages, _names(plan), strict=True)):
        made = names[index + 1]
        lines.append(f"    {function}({names[index]}, {made});")
        if index >= first:
            lines.append(f"    {_trace(index - first, made, stage.output)}")
    return "\n".join(["void net_run(const net_input_t *input, net_output_t *outputs)", "{",
                      *lines, "}"])


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

"""Writes ``host.c``: what the user's machine does in floating point around `net_run`."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.codegen.plan import CodegenError, Form, Plan
from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Binary,
    Flatten,
    HighestBit,
    Input,
    Node,
    Quant,
    Relu,
    Requantize,
    Threshold,
)


__all__ = ["choose_class", "has_scores", "host_source", "is_classifier"]

Array = np.ndarray[Any, Any]


def is_classifier(plan: Plan) -> bool:
    return bool(plan.suffix) and isinstance(plan.suffix[-1], ArgMax | HighestBit)


def has_scores(plan: Plan) -> bool:
    """Whether real numbers are computed from the outputs of `net_run`."""
    return any(not isinstance(node, ArgMax | HighestBit | Flatten) for node in plan.suffix)


def host_source(plan: Plan) -> str | None:
    """Return ``host.c``, or None where nothing is left to the host."""
    functions = []
    if plan.on_host:
        functions.append(_quantize_input(plan))
    if has_scores(plan):
        functions.append(_scores(plan))
        if is_classifier(plan):
            functions.append(choose_class(plan.suffix[-1], "scores"))
    if not functions:
        return None
    top = ("/* Floating point ahead of net_run() and after it, in double precision. Compile it\n"
           " * without contraction (-ffp-contract=off) for the same results everywhere. */\n"
           "#include <math.h>\n\n#include \"net.h\"\n")
    return "\n".join([top, *functions])


def choose_class(node: Node, scores: str) -> str:
    """Return the definition of `net_classify`; ``scores`` is what it compares."""
    lines = [f"/* {node.name}: {_summary(node)} */",
             "int net_classify(const net_output_t *outputs)", "{"]
    if scores == "scores":
        lines += ["    double scores[NET_OUTPUTS];", "    net_scores(outputs, scores);"]
    better = (f"{scores}[i] > {scores}[chosen]" if isinstance(node, ArgMax)
              else f"{scores}[i] > 0")
    return "\n".join([*lines, "    int chosen = 0;",
                      f"    for (int i = {int(isinstance(node, ArgMax))}; i < NET_OUTPUTS; i++)",
                      f"        if ({better})", "            chosen = i;",
                      "    return chosen;", "}", ""])


def _summary(node: Node) -> str:
    doc = type(node).__doc__ or ""
    return doc.splitlines()[0].rstrip(".")


def _quantize_input(plan: Plan) -> str:
    tables: list[str] = []
    steps = _steps(plan.host_prefix, plan, "", tables)
    target = plan.input
    if target.form is Form.PLANES:
        store = ["        if (value > 0)",
                 "            input[i / 64] |= (uint64_t)1 << i % 64;"]
        clear = ["    for (int i = 0; i < NET_INPUT_LENGTH; i++)", "        input[i] = 0;"]
    else:
        store, clear = ["        input[i] = (net_input_t)value;"], []
    return "\n".join([
        *tables, "void net_quantize_input(const net_raw_t *raw, net_input_t *input)", "{", *clear,
        "    for (int i = 0; i < NET_INPUTS; i++) {", "        double value = raw[i];",
        *steps, *store, "    }", "}", ""])


def _scores(plan: Plan) -> str:
    tables: list[str] = []
    nodes = plan.suffix[:-1] if is_classifier(plan) else plan.suffix
    steps = _steps(nodes, plan, "score_", tables)
    value = "outputs[i] ? 1 : -1" if isinstance(plan.output.type, Binary) else "outputs[i]"
    return "\n".join([
        *tables, "void net_scores(const net_output_t *outputs, double *scores)", "{",
        "    for (int i = 0; i < NET_OUTPUTS; i++) {", f"        double value = {value};",
        *steps, "        scores[i] = value;", "    }", "}", ""])


def _steps(nodes: tuple[Node, ...], plan: Plan, prefix: str, tables: list[str]) -> list[str]:
    """Statements that apply ``nodes`` to ``value``; adds the constants they read to ``tables``."""
    lines = []
    for index, node in enumerate(nodes):
        if isinstance(node, Flatten | Input):
            continue
        channels = plan.graph.shape(node.name)[-1]

        def number(field: str, values: Array | float, channels: int = channels,
                   stem: str = f"{prefix}{index}") -> str:
            return _number(f"{field}_{stem}", values, channels, tables)

        lines.append(f"        /* {node.name}: {type(node).__name__} */")
        lines += [f"        {line}" for line in _statements(node, number, channels)]
    return lines


def _number(name: str, values: Array | float, channels: int, tables: list[str]) -> str:
    """Return an expression for a constant of the channel of element i."""
    flat = np.asarray(values, np.float64).reshape(-1)
    if (flat == flat[0]).all():
        return _literal(flat[0])
    rows = ",\n    ".join(_literal(value) for value in flat)
    tables.append(f"static const double {name}[{len(flat)}] = {{\n    {rows}\n}};\n")
    return f"{name}[i % {channels}]"


def _literal(value: float) -> str:
    text = float(value).hex()
    return f"({text})" if value < 0 else text


def _statements(node: Node, number: Any, channels: int) -> list[str]:
    match node:
        case Affine():
            return [f"value = value * {number('scale', node.scale)};",
                    f"value = value + {number('offset', node.offset)};"]
        case BatchNorm():
            deviation = np.sqrt(node.variance + node.epsilon)
            return [f"value = value - {number('mean', node.mean)};",
                    f"value = value / {number('deviation', deviation)};",
                    f"value = value * {number('gamma', node.gamma)};",
                    f"value = value + {number('beta', node.beta)};"]
        case Relu():
            return ["value = value > 0 ? value : 0;"]
        case Quant():
            return _quant(node)
        case Requantize():
            low = -(1 << node.bits - 1) if node.signed else 0
            return [f"value = rint(value * {_literal(2.0 ** -node.shift)});",
                    *_clip(low, low + (1 << node.bits) - 1)]
        case Threshold() if node.count == 1:
            return [f"value = value >= {number('level', node.levels)} ? 1 : -1;"]
        case Threshold():
            return _count(node, number, channels)
    raise CodegenError(f"Node {node.name!r}: the host must apply it to each value, "
                       f"not {type(node).__name__}")


def _quant(node: Quant) -> list[str]:
    low = -(1 << node.bits - 1) + node.narrow if node.signed else 0
    high = (1 << node.bits - 1) - 1 if node.signed else (1 << node.bits) - 1 - node.narrow
    scale, zero = _literal(node.scale), _literal(node.zero_point)
    return [f"value = value / {scale};", f"value = rint(value + {zero});", *_clip(low, high),
            f"value = value - {zero};", f"value = value * {scale};"]


def _clip(low: int, high: int) -> list[str]:
    return [f"value = value < {low} ? {low} : value > {high} ? {high} : value;"]


def _count(node: Threshold, number: Any, channels: int) -> list[str]:
    levels = np.broadcast_to(node.levels, (channels, node.count))
    lines = ["const double before = value;", "value = 0;"]
    lines += [f"value += before >= {number(f'level{k}', levels[:, k])};"
              for k in range(node.count)]
    return ["{", *(f"    {line}" for line in lines), "}"]

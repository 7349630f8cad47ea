"""Writes ``host.c``: what the user's machine does in floating point around `net_run`."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from compiler.codegen.stage import CodegenError
from compiler.codegen.tensors import Form, Tensor
from compiler.codegen.text import one_line
from compiler.ir import (
    Affine,
    ArgMax,
    AveragePool,
    BatchNorm,
    Binary,
    Flatten,
    Graph,
    HighestBit,
    Input,
    Node,
    Pool,
    Quant,
    Relu,
    Requantize,
    Threshold,
)


__all__ = ["Hosted", "choose_class", "has_scores", "host_source", "integer_scores", "is_classifier",
           "score_count"]

Array = np.ndarray[Any, Any]


class Hosted(Protocol):
    """A network in C with nodes that are left to the host on both sides of `net_run`."""

    @property
    def graph(self) -> Graph: ...

    @property
    def host_prefix(self) -> tuple[Node, ...]: ...

    @property
    def suffix(self) -> tuple[Node, ...]: ...

    @property
    def input(self) -> Tensor: ...

    @property
    def output(self) -> Tensor: ...

    @property
    def on_host(self) -> bool: ...


def is_classifier(plan: Hosted) -> bool:
    """Whether the last node chooses one of all scores.

    Raises CodegenError where it chooses for each of several pixels.
    """
    if not plan.suffix or not isinstance(plan.suffix[-1], ArgMax | HighestBit):
        return False
    last = plan.suffix[-1]
    shape = plan.graph.shape(last.inputs[0])
    if math.prod(shape) != shape[-1]:
        raise CodegenError(f"{type(last).__name__} {last.name!r} must choose once in a frame in C, "
                           f"not {math.prod(shape[:-1])} times")
    return True


def score_count(plan: Hosted) -> int:
    """Numbers that `net_scores` makes."""
    nodes = plan.suffix[:-1] if is_classifier(plan) else plan.suffix
    return math.prod(plan.graph.shape(nodes[-1].name)) if nodes else plan.output.count


def has_scores(plan: Hosted) -> bool:
    """Whether real numbers are computed from the outputs of `net_run`."""
    return integer_scores(plan) is None and any(
        not isinstance(node, ArgMax | HighestBit | Flatten) for node in plan.suffix)


def integer_scores(plan: Hosted) -> Affine | None:
    """The node that makes integers of the outputs, of which the class is the highest, if any."""
    nodes = [node for node in plan.suffix if not isinstance(node, Flatten)]
    match nodes:
        case [Affine(scale=np.ndarray() as scale, offset=np.ndarray() as offset) as node,
              ArgMax()] if scale.dtype.kind == offset.dtype.kind == "i":
            return node
    return None


def host_source(plan: Hosted) -> str | None:
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
    """Return the definition of `net_classify`; ``scores`` is what it compares: "scores",
    "outputs", or a function of the outputs and an index."""
    lines = [f"/* {one_line(node.name)}: {_summary(node)} */",
             "int net_classify(const net_output_t *outputs)", "{"]
    if scores == "scores":
        lines += ["    double scores[NET_SCORES];", "    net_scores(outputs, scores);"]
    each = "{}[{}]" if scores in ("scores", "outputs") else "{}(outputs, {})"
    better = each.format(scores, "i") + " > " + (
        each.format(scores, "chosen") if isinstance(node, ArgMax) else "0")
    count = "NET_SCORES" if scores == "scores" else "NET_OUTPUTS"
    return "\n".join([*lines, "    int chosen = 0;",
                      f"    for (int i = {int(isinstance(node, ArgMax))}; i < {count}; i++)",
                      f"        if ({better})", "            chosen = i;",
                      "    return chosen;", "}", ""])


def _summary(node: Node) -> str:
    doc = type(node).__doc__ or ""
    return doc.splitlines()[0].rstrip(".")


def _quantize_input(plan: Hosted) -> str:
    tables: list[str] = []
    target = plan.input
    lines = _passes(plan.host_prefix, plan, "raw[i]", plan.graph.input.shape, "", tables)
    if target.form is Form.PLANES:
        _, _, channels = target.picture
        at = f"i / {channels} * {target.words} + i % {channels} / {target.unit}"
        store = ["        if (value > 0)",
                 f"            input[{at}]",
                 f"                |= (net_input_t)1 << i % {channels} % {target.unit};"]
        clear = ["    for (int i = 0; i < NET_INPUT_LENGTH; i++)", "        input[i] = 0;"]
    else:
        store, clear = ["        input[i] = (net_input_t)value;"], []
    return "\n".join([
        *tables, "void net_quantize_input(const net_raw_t *raw, net_input_t *input)", "{", *clear,
        *lines, *store, "    }", "}", ""])


def _scores(plan: Hosted) -> str:
    tables: list[str] = []
    nodes = plan.suffix[:-1] if is_classifier(plan) else plan.suffix
    value = "outputs[i] ? 1 : -1" if isinstance(plan.output.type, Binary) else "outputs[i]"
    lines = _passes(nodes, plan, value, plan.output.shape, "score_", tables)
    return "\n".join([
        *tables, "void net_scores(const net_output_t *outputs, double *scores)", "{",
        *lines, "        scores[i] = value;", "    }", "}", ""])


def _passes(nodes: tuple[Node, ...], plan: Hosted, source: str, shape: tuple[int, ...], prefix: str,
            tables: list[str]) -> list[str]:
    """Statements that apply ``nodes`` to the tensor of elements ``source``.

    They end within the loop over the elements i of the result, where ``value`` is one of them.
    """
    lines: list[str] = []
    first = 0
    for index, node in enumerate((*nodes, None)):
        if node is not None and not isinstance(node, Pool):
            continue
        lines += [f"    for (int i = 0; i < {math.prod(shape)}; i++) {{",
                  f"        double value = {source};",
                  *_steps(nodes[first:index], plan, f"{prefix}{first}_", tables)]
        if node is None:
            break
        seen, made = f"{prefix}seen_{index}", f"{prefix}pooled_{index}"
        lines += [f"        {seen}[i] = value;", "    }"]
        before, shape = plan.graph.shape(node.inputs[0]), plan.graph.shape(node.name)
        tables += [f"static double {name}[{math.prod(size)}];\n"
                   for name, size in ((seen, before), (made, shape))]
        lines += _pool(node, before, shape, seen, made)
        source, first = f"{made}[i]", index + 1
    return lines


def _pool(node: Pool, before: tuple[int, ...], shape: tuple[int, ...], seen: str,
          made: str) -> list[str]:
    """Statements that pool the picture ``seen`` of shape ``before`` into ``made``."""
    (rows, columns), (down, across) = node.kernel, node.stride
    top, left = node.pads[:2]
    height, width, channels = before
    mean = isinstance(node, AveragePool)
    step = "value += term;" if mean else "value = term > value ? term : value;"
    result = f"value / {rows * columns}" if mean else "value"
    return [
        f"    /* {one_line(node.name)}: {type(node).__name__} */",
        f"    for (int i = 0; i < {math.prod(shape)}; i++) {{",
        f"        const int y = i / {channels} / {shape[1]} * {down} - {top};",
        f"        const int x = i / {channels} % {shape[1]} * {across} - {left};",
        f"        double value = {'0' if mean else '-INFINITY'};",
        f"        for (int at = 0; at < {rows * columns}; at++) {{",
        f"            const int py = y + at / {columns}, px = x + at % {columns};",
        f"            if (py < 0 || py >= {height} || px < 0 || px >= {width})",
        "                continue;",
        f"            const int from = (py * {width} + px) * {channels} + i % {channels};",
        f"            const double term = {seen}[from];",
        f"            {step}", "        }", f"        {made}[i] = {result};", "    }"]


def _steps(nodes: tuple[Node, ...], plan: Hosted, prefix: str, tables: list[str]) -> list[str]:
    """Statements that apply ``nodes`` to ``value``; adds the constants they read to ``tables``."""
    lines = []
    for index, node in enumerate(nodes):
        if isinstance(node, Flatten | Input):
            continue
        channels = plan.graph.shape(node.name)[-1]

        def number(field: str, values: Array | float, channels: int = channels,
                   stem: str = f"{prefix}{index}") -> str:
            return _number(f"{field}_{stem}", values, channels, tables)

        lines.append(f"        /* {one_line(node.name)}: {type(node).__name__} */")
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

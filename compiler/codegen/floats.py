"""Writes a network of minifloats as C99."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from compiler.codegen.header import (
    FLOATS,
    guarded,
    raw_values,
    scores_and_class,
    trace_of,
)
from compiler.codegen.host import choose_class, has_scores, host_source, is_classifier
from compiler.codegen.stage import CodegenError
from compiler.codegen.tensors import Form, Tensor
from compiler.codegen.text import one_line
from compiler.ir import (
    Add,
    Concat,
    Conv,
    Flatten,
    Graph,
    MaxPool,
    Minifloat,
    Node,
    Real,
    Relu,
    Weighted,
)
from compiler.minifloats import split_minifloats


__all__ = ["FloatPlan", "float_files", "make_float_plan"]

Array = np.ndarray[Any, Any]

WIDTH = 98  # columns of a line of numbers
BYTES = 4   # of a float
FLOAT_MANTISSA, FLOAT_BIAS = 24, 127  # of a float, with the bit that is not stored
MOST_BITS = 16  # of a weight


@dataclass(frozen=True)
class FloatPlan:
    """All of ``net.c``, and the nodes that are left to the host on both sides of it.

    A number is a float everywhere, so the host always makes the input of `net_run`.
    """

    graph: Graph
    host_prefix: tuple[Node, ...]
    body: tuple[Node, ...]
    suffix: tuple[Node, ...]

    @property
    def input(self) -> Tensor:
        return self.tensor(self.graph[self.body[0].inputs[0]])

    @property
    def output(self) -> Tensor:
        return self.tensor(self.body[-1])

    @property
    def on_host(self) -> bool:
        return True

    @property
    def traced(self) -> tuple[Tensor, ...]:
        """The tensors that the layers make."""
        return tuple(self.tensor(node) for node in self.body if not isinstance(node, Flatten))

    @property
    def multiplications(self) -> int:
        """Products of a frame that need a multiplier."""
        return sum(math.prod(self.graph.shape(node.name)[:-1]) * node.weights.size
                   for node in self.body if isinstance(node, Weighted))

    @property
    def weight_bytes(self) -> int:
        """Bytes of constants."""
        return sum(coded(node).nbytes + BYTES * node.channels for node in self.body
                   if isinstance(node, Weighted))

    def tensor(self, node: Node) -> Tensor:
        return Tensor(node.name, self.graph.shape(node.name), Real(), Form.FLOATS)

    @cached_property
    def places(self) -> dict[str, str]:
        """Where each tensor of the body lies, as an expression in C."""
        return _places(self)

    @cached_property
    def slots(self) -> dict[str, int]:
        """The numbers that each array of ``net_run`` holds at most."""
        sizes: dict[str, int] = {}
        for tensor in self.traced:
            place = self.places[tensor.name]
            sizes[place] = max(sizes.get(place, 0), tensor.count)
        sizes.pop("outputs")
        return sizes


def make_float_plan(graph: Graph) -> FloatPlan:
    """Cut a network of minifloats into parts. Raises StageError where it is none."""
    parts = split_minifloats(graph)
    return FloatPlan(graph, parts.prefix, parts.body, parts.suffix)


def _places(plan: FloatPlan) -> dict[str, str]:
    """Share out arrays. What is done to each value is done in its place, if nothing else reads it.
    """
    graph, body = plan.graph, plan.body
    holds = {plan.input.name: "input"}
    owner: dict[str, str] = {}  # by tensor, the first that lay in its array as it does
    last: dict[str, int] = {}   # by owner, where it is read last
    for at, node in enumerate(body):
        source = node.inputs[0]
        alone = len(graph.users(graph[source])) == 1 and owner.get(source) is not None
        inside = isinstance(node, Flatten) or isinstance(node, Relu | Minifloat) and alone
        owner[node.name] = owner.get(source, source) if inside else node.name
        for name in (*node.inputs, node.name):
            last[owner.get(name, name)] = at
    free: list[tuple[int, str]] = []  # from where on, and which
    for at, node in enumerate(body):
        first = owner[node.name]
        if first != node.name:
            holds[node.name] = holds[first]
            continue
        if node is body[-1]:
            holds[node.name] = "outputs"
            continue
        ready = [slot for slot in free if slot[0] < at]
        slot = ready[0][1] if ready else f"slot_{len(free)}"
        free = [entry for entry in free if entry[1] != slot]
        free.append((last[first], slot))
        holds[node.name] = slot
    return holds


def float_files(plan: FloatPlan) -> dict[str, str | None]:
    """Return the files of a network by name."""
    tables: list[str] = []
    lines = [line for at, node in enumerate(plan.body) for line in _steps(plan, at, node, tables)]
    scratch = sum(plan.slots.values())
    arrays = [f"    float {name}[{size}];" for name, size in plan.slots.items()]
    net = [f"/* {one_line(plan.graph.name)}: made by xnorloom, not to be edited. */",
           '#include "net.h"', '#include "floats.h"', '#include "weights.h"',
           "#ifndef NET_TRACE", "#define net_trace(layer, values, count) ((void)0)", "#endif",
           "", "void net_run(const net_input_t *input, net_output_t *outputs)", "{",
           *arrays, *lines, "}"]
    if is_classifier(plan) and not has_scores(plan):
        net += ["", choose_class(plan.suffix[-1], "outputs").rstrip()]
    return {"net.h": _header(plan, BYTES * scratch),
            "net.c": "\n".join(net) + "\n",
            "weights.h": guarded("Constants, in the order in which the layers read them.",
                                 "NET_WEIGHTS_H", "\n".join(tables)),
            "host.c": host_source(plan)}


def _header(plan: FloatPlan, scratch_bytes: int) -> str:
    parts = [FLOATS.format(
        inputs=plan.input.count, outputs=plan.output.count, weight_bytes=plan.weight_bytes,
        scratch_bytes=scratch_bytes, input_name=one_line(plan.input.name),
        output_name=one_line(plan.output.name)), raw_values(plan), *scores_and_class(plan)]
    parts.append(trace_of(plan.traced, "float"))
    return guarded(f"{one_line(plan.graph.name)}: the network in net.c.", "NET_H",
                   "\n".join(parts))


def _steps(plan: FloatPlan, at: int, node: Node, tables: list[str]) -> Iterator[str]:
    """Yield the statements of a node, and add its constants to ``tables``."""
    if isinstance(node, Flatten):
        return
    source, made = (plan.places[name] for name in (node.inputs[0], node.name))
    count = plan.tensor(node).count
    yield f"    /* {one_line(node.name)}: {type(node).__name__} */"
    match node:
        case Minifloat():
            yield f"    float_round_all(&{_form(node, tables)}, {source}, {count}, {made});"
        case Relu():
            yield f"    float_relu({source}, {count}, {made});"
        case Add():
            yield f"    float_add({source}, {plan.places[node.inputs[1]]}, {count}, {made});"
        case Concat():
            height, width, channels = plan.tensor(node).picture
            first = 0
            for name in node.inputs:
                own = plan.tensor(plan.graph[name]).channels
                yield (f"    float_join({plan.places[name]}, {height * width}, {own}, {channels}, "
                       f"{first}, {made});")
                first += own
        case MaxPool():
            tables.append(_window(plan, at, node))
            yield f"    float_pool(&window_{at}, {source}, {made});"
        case Weighted():
            tables += [_window(plan, at, node),
                       *_weights(at, node),
                       _table(f"bias_{at}", "float", map(_literal, _bias(node)))]
            width = 8 * coded(node).dtype.itemsize
            yield (f"    float_layer_{width}(&window_{at}, &code_{at}, {source}, weights_{at}, "
                   f"bias_{at}, {made});")
    layers = [tensor.name for tensor in plan.traced]
    yield f"    net_trace({layers.index(node.name)}, {made}, {count});"


def _form(node: Minifloat, tables: list[str]) -> str:
    """Add the constants of a form of minifloats, once, and return their name."""
    name = f"form_{node.exponent}_{node.mantissa}"
    low = node.least * (1 - 2.0 ** (-node.mantissa - 1))
    numbers = ", ".join(map(_literal, (low, node.least, node.most)))
    table = (f"/* {node.exponent} bits of exponent, {node.mantissa} of mantissa */\n"
             f"static const float_form_t {name} = {{{node.mantissa}, {numbers}}};\n")
    if table not in tables:
        tables.append(table)
    return name


def _window(plan: FloatPlan, at: int, node: Weighted | MaxPool) -> str:
    height, width, channels = plan.tensor(plan.graph[node.inputs[0]]).picture
    down, across, outputs = plan.tensor(node).picture
    numbers: tuple[int, ...] = (1, 1, 1, 1, 0, 0)
    groups = 1
    if isinstance(node, Conv | MaxPool):
        numbers = (*node.kernel, *node.stride, *node.pads[:2])
        groups = node.groups if isinstance(node, Conv) else 1
    numbers = (height, width, channels, *numbers, down, across, outputs, groups)
    return (f"static const float_window_t window_{at} = "
            f"{{{', '.join(map(str, numbers))}}};\n")


@dataclass(frozen=True)
class _Code:
    """How weights are stored: exponents from ``lowest`` on, and ``mantissa`` bits."""

    lowest: int
    exponent: int  # bits
    mantissa: int  # bits

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.mantissa


def _code(node: Weighted) -> _Code:
    """Return the least code for the weights of ``node``; CodegenError where it is too wide."""
    mantissas, exponents = np.frexp(np.abs(node.weights[node.weights != 0]).astype(np.float64))
    if not exponents.size:
        return _Code(0, 1, 0)
    lowest = int(exponents.min()) - 1
    fractions = (mantissas * (1 << FLOAT_MANTISSA)).astype(np.int64)
    zeros = np.log2(fractions & -fractions).astype(int)
    made = _Code(lowest, (int(exponents.max()) - lowest).bit_length(),
                 FLOAT_MANTISSA - 1 - int(zeros.min()))
    if made.bits > MOST_BITS:
        raise CodegenError(f"{type(node).__name__} {node.name!r} must have weights of at most "
                           f"{MOST_BITS} bits in C, not {made.bits}")
    return made


def coded(node: Weighted) -> Array:
    """Return codes of the weights by group and input of the window, outputs side by side."""
    code = _code(node)
    groups = node.groups if isinstance(node, Conv) else 1
    rows = node.weights.reshape(groups, node.channels // groups, -1).swapaxes(1, 2).reshape(-1)
    mantissas, exponents = np.frexp(np.abs(rows).astype(np.float64))
    fractions = (mantissas * (2 << code.mantissa)).astype(np.int64) - (1 << code.mantissa)
    sizes = np.where(rows == 0, 0, (exponents.astype(np.int64) - code.lowest << code.mantissa)
                     + fractions)
    codes = sizes | (rows < 0).astype(np.int64) << code.bits - 1
    return codes.astype(np.uint8 if code.bits <= 8 else np.uint16)


def _weights(at: int, node: Weighted) -> Iterator[str]:
    code, codes = _code(node), coded(node)
    offset = code.lowest + FLOAT_BIAS - 1 << FLOAT_MANTISSA - 1
    yield (f"/* {one_line(node.name)}: {code.exponent} bits of exponent, {code.mantissa} of "
           f"mantissa */\nstatic const float_code_t code_{at} = {{{code.mantissa}, "
           f"{code.bits - 1}, {offset}u}};\n")
    yield _table(f"weights_{at}", f"uint{8 * codes.itemsize}_t", map(str, codes.tolist()))


def _bias(node: Weighted) -> Array:
    return np.zeros(node.channels) if node.bias is None else node.bias


def _literal(value: float) -> str:
    return f"{float(value).hex()}f"


def _table(name: str, kind: str, values: Iterable[str]) -> str:
    texts = list(values)
    each = max(WIDTH // (max(map(len, texts)) + 2), 1)
    lines = [", ".join(texts[at:at + each]) for at in range(0, len(texts), each)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(texts)}] = {{\n    {body}\n}};\n"

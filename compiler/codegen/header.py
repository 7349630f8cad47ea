"""Writes ``net.h``: what the network takes and makes, and its functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compiler.codegen.host import Hosted, has_scores, is_classifier, score_count
from compiler.codegen.plan import Plan
from compiler.codegen.tensors import Form, Tensor
from compiler.codegen.text import Source, one_line
from compiler.ir import Binary, TensorType, value_range


__all__ = ["FLOATS", "guarded", "raw_values", "scores_and_class", "trace_of", "write_header"]

INTERFACE = """\
#include <stddef.h>
#include <stdint.h>

#define NET_INPUTS {inputs}
#define NET_OUTPUTS {outputs}
#define NET_WEIGHT_BYTES {weight_bytes} /* of constants */
#define NET_SCRATCH_BYTES {scratch_bytes} /* of stack that net_run() takes for tensors */

/* A frame: {input_name}, {input_meaning}. */
#define NET_INPUT_LENGTH {input_length}
typedef {input_ctype} net_input_t;

/* The result: {output_name}, {output_meaning}. */
typedef {output_ctype} net_output_t;

/* Run one frame of NET_INPUT_LENGTH values, and write NET_OUTPUTS of them. */
void net_run(const net_input_t *input, net_output_t *outputs);
"""

FLOATS = """\
#include <stddef.h>
#include <stdint.h>

#define NET_REAL /* numbers are float */
#define NET_INPUTS {inputs}
#define NET_OUTPUTS {outputs}
#define NET_WEIGHT_BYTES {weight_bytes} /* of constants */
#define NET_SCRATCH_BYTES {scratch_bytes} /* of stack that net_run() takes for tensors */

/* A frame: {input_name}, which net_run() turns into minifloats. */
#define NET_INPUT_LENGTH NET_INPUTS
typedef float net_input_t;

/* The result: {output_name}. */
typedef float net_output_t;

/* Run one frame of NET_INPUT_LENGTH values, and write NET_OUTPUTS of them. */
void net_run(const net_input_t *input, net_output_t *outputs);
"""

RAW_IS_INPUT = """\
/* What main.c reads is the input as it is. */
#define NET_RAW_LENGTH NET_INPUT_LENGTH
typedef net_input_t net_raw_t;
"""

RAW_IS_QUANTIZED = """\
/* On the host (host.c): turn a frame as the user has it into one that net_run() takes. */
#define NET_QUANTIZES_INPUT
#define NET_RAW_LENGTH {length}
typedef {ctype} net_raw_t;
void net_quantize_input(const net_raw_t *raw, net_input_t *input);
"""

SCORES = """\
/* On the host (host.c): turn outputs into the real numbers that they stand for. */
#define NET_SCORES {count}
void net_scores(const net_output_t *outputs, double *scores);
"""

CLASSIFY = """\
/* Index of the class that the outputs stand for. */
#define NET_CLASSIFIES
int net_classify(const net_output_t *outputs);
"""

TRACE = """\
#ifdef NET_TRACE
/* Yours: called after every layer with its tensor. Layers: {names}. */
#define NET_TRACE_LENGTH {longest}
typedef {kind} net_trace_t;
void net_trace(int layer, const net_trace_t *values, size_t count);
#endif
"""


def write_header(plan: Plan, source: Source) -> str:
    """Return ``net.h``."""
    parts = [INTERFACE.format(
        inputs=plan.input.count, outputs=plan.output.count, weight_bytes=source.weight_bytes,
        scratch_bytes=source.scratch_bytes, input_name=one_line(plan.input.name),
        input_meaning=_meaning(plan.input), input_length=plan.input.length,
        input_ctype=plan.input.ctype, output_name=one_line(plan.output.name),
        output_meaning=_meaning(plan.output), output_ctype=plan.output.ctype)]
    parts += [raw_values(plan), *scores_and_class(plan), trace_of(plan.traced, "int32_t")]
    return guarded(f"{one_line(plan.graph.name)}: the network in net.c.", "NET_H",
                   "\n".join(parts))


def guarded(about: str, macro: str, body: str) -> str:
    """Return a header that may be included twice."""
    return f"/* {about} */\n#ifndef {macro}\n#define {macro}\n\n{body}\n#endif\n"


def _meaning(tensor: Tensor) -> str:
    low, high = value_range(tensor.type)
    each = "1 for +1 and 0 for -1" if isinstance(tensor.type, Binary) else f"{low} .. {high} each"
    if tensor.form is Form.PLANES:
        each = f"{tensor.unit} values a word from its lowest bit on, a bit set for +1"
    if len(tensor.shape) < 3:
        return each
    height, width, channels = tensor.shape
    words = f" in {tensor.words} words" if tensor.form is Form.PLANES else ""
    return (f"{height} rows of {width} pixels of {channels} channels{words}; {each}")


def scores_and_class(plan: Hosted) -> list[str]:
    """What is declared of the functions behind `net_run`."""
    parts = [SCORES.format(count=score_count(plan))] if has_scores(plan) else []
    return [*parts, CLASSIFY + _class_names(plan)] if is_classifier(plan) else parts


def trace_of(tensors: Sequence[Tensor], kind: str) -> str:
    """What is declared for who looks at the tensors of layers, which are shown as ``kind``."""
    return TRACE.format(
        names=", ".join(f"{index} {one_line(tensor.name)}"
                        for index, tensor in enumerate(tensors)),
        longest=max(tensor.count for tensor in tensors), kind=kind)


def raw_values(plan: Hosted) -> str:
    """What is declared of a frame as the user has it."""
    given = plan.graph.input
    if not plan.on_host:
        return RAW_IS_INPUT
    return RAW_IS_QUANTIZED.format(length=math.prod(given.shape), ctype=_raw_ctype(given.type))


def _raw_ctype(kind: TensorType) -> str:
    try:
        low, high = value_range(kind)
    except TypeError:
        return "double"
    if low >= -128 and high <= 127:
        return "int8_t"
    return "uint8_t" if low >= 0 and high <= 255 else "double"


def _class_names(plan: Hosted) -> str:
    names = plan.graph.meta.get("classes") or ()
    quoted = [f'"{one_line(str(name)).replace(chr(34), "_")}"' for name in names]
    return f"#define NET_CLASS_NAMES {', '.join(quoted)}\n" if quoted else ""

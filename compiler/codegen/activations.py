"""Writes what comes behind the sums of a layer in C: thresholds, rounding, storage."""

from __future__ import annotations

from compiler.codegen import tables
from compiler.codegen.plan import Plan
from compiler.codegen.stage import Stage
from compiler.codegen.tensors import Form
from compiler.codegen.text import Source, one_line, suffix
from compiler.ir import Binary, Requantize, TensorType, Threshold, value_range


__all__ = ["activations"]


def activations(stage: Stage, name: str, plan: Plan, source: Source) -> list[str]:
    """Statements that turn ``values`` into what is stored, and store it from ``at`` on."""
    lines = []
    made, graph = stage.output, plan.graph
    for index, node in enumerate(stage.activations):
        reads, last = node.inputs[0], index == len(stage.activations) - 1
        if isinstance(node, Requantize):
            low, high = value_range(graph.type(node.name))
            lines.append(f"requantize(values, count, {tables.requantize_shift(node)}, "
                         f"{_int32(low)}, {_int32(high)});")
            continue
        table = f"{name}_levels" + (f"_{index}" if index else "")
        shape = graph.shape(reads) if len(made.shape) == 1 else graph.shape(reads)[-1:]
        packed = last and made.form is Form.PLANES and node.count == 1
        call = _threshold(node, graph.type(reads), shape, table, source, packed=packed)
        if packed:
            return [*lines, *_keep(stage, name, call)]
        lines.append(f"{call};")
        if isinstance(graph.type(node.name), Binary) and not last:
            lines.append("double_sums(values, count, 1);")
    return [*lines, *_store(stage, name)]


def _keep(stage: Stage, name: str, bits: str) -> list[str]:
    """Statements that store a word of bits. A pooled bit is set where any of its window is."""
    at = "at + first / NET_BLOCK"
    if not stage.spreads:
        return [f"output[{at}] {'|=' if stage.pool else '='} {bits};"]
    height, width, _ = stage.output.picture
    return [f"const uint64_t bits = {bits};",
            f"raise_windows_{suffix(stage.output)}(&{name}_pool, {at}, bits, {height}, {width},",
            "                  output);"]


def _threshold(node: Threshold, kind: TensorType, shape: tuple[int, ...], table: str,
               source: Source, *, packed: bool) -> str:
    """A call that compares ``values`` with levels, to give bits where ``packed``."""
    rows = tables.levels(node, kind, shape)
    if rows.size == 1:
        function = "one_level_bits" if packed else "reach_level"
        return f"{function}(values, count, {_int32(int(rows[0, 0]))})"
    added = source.table(table, tables.level_table(rows),
                         f"{one_line(node.name)}: {node.count} rising level"
                         f"{'s'[:node.count > 1]} for "
                         + ("all" if len(rows) == 1 else f"each of {len(rows)}"))
    if node.count == 1:
        function = "level_bits" if packed else "reach_levels"
        return f"{function}(values, count, {added} + first)"
    if len(rows) == 1:
        return f"search_levels(values, count, {added}, 0, {node.count})"
    if node.count > tables.LINEAR:
        return (f"search_levels(values, count, {added} + first * {node.count}, {node.count}, "
                f"{node.count})")
    return (f"count_levels(values, count, {added} + first, {tables.padded(len(rows))}, "
            f"{node.count})")


def _int32(value: int) -> str:
    return str(value) if value > -1 << 31 else "INT32_MIN"


def _store(stage: Stage, name: str) -> list[str]:
    made = stage.output
    if made.form is not Form.PLANES:
        return [f"store_{suffix(made)}(values, count, output + at + first);"]
    if made.planes == 1:
        return _keep(stage, name, "pack_plane(values, count, 0)")
    return [f"for (size_t plane = 0; plane < {made.planes}; plane++)",
            f"    output[plane * {made.plane_words} + at + first / NET_BLOCK]",
            "        = pack_plane(values, count, plane);"]

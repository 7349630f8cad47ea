"""From a network of floating point to one of few bits: its precision, chosen by its accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compiler import golden
from compiler.build import whole_folder
from compiler.codegen.c import generate, needs
from compiler.datasets import Dataset
from compiler.datasets import load as load_data
from compiler.errors import UserError
from compiler.executors import batches, classes_of
from compiler.frontends import load
from compiler.ir import Graph, Minifloat, Node, Quant, Weighted
from compiler.minifloats import has_minifloats
from compiler.passes import to_integer
from compiler.passes.minifloats import quantize_minifloats, to_minifloats
from compiler.passes.precision import Widths
from compiler.passes.quantize_floats import MODES as INTEGER_MODES
from compiler.passes.quantize_floats import is_quantized, quantized
from compiler.passes.rewriting import PassError
from compiler.progress import Step, quiet
from compiler.qonnx.write import write
from compiler.workload import CALIBRATION, find


__all__ = ["MODES", "Quantized", "Trial", "quantize"]

Array = np.ndarray[Any, Any]

MINIFLOAT = "minifloat"
MODES = *INTEGER_MODES, MINIFLOAT
PARTS = {  # widths that a mode may choose one by one; the others choose one for all
    "dynamic":      ("conv", "dense", "data"),
    "power-of-two": ("data",),
}
FEWEST = 2   # bits that are tried
BATCH = 250  # inputs whose tensors are held at once


@dataclass(frozen=True)
class Trial:
    """Widths that were tried, and the share of inputs whose class was right."""

    widths: Widths
    accuracy: float


@dataclass(frozen=True)
class Quantized:
    """What came of quantizing a network."""

    path: Path
    mode: str
    widths: Widths
    before: float | None   # shares of inputs whose class is right; None without labels
    after: float | None
    tested: int
    data: str
    graph: Graph           # as it is in the file
    multiplications: int   # that the generated C makes in a frame
    weight_bytes: int      # of constants in C
    trials: tuple[Trial, ...]

    def lines(self) -> Iterator[str]:
        """Tell it, one fact a line."""
        for trial in self.trials:
            yield f"tried        {self._bits(trial.widths)}: {100 * trial.accuracy:.2f} %"
        yield f"mode         {self.mode}, {self._bits(self.widths)}"
        for node in self.graph.nodes:
            if told := _told(node):
                yield told
        if self.before is not None and self.after is not None:
            yield (f"accuracy     {100 * self.after:.2f} % of {self.tested} inputs of {self.data}; "
                   f"{100 * self.before:.2f} % before")
        yield f"multipliers  {self.multiplications} products a frame need one"
        yield f"constants    {self.weight_bytes} bytes in C"

    def _bits(self, widths: Widths) -> str:
        if self.mode == "power-of-two":
            return f"{widths.data} bits for data"
        if len({widths.conv, widths.dense, widths.data}) == 1:
            return f"{widths.data} bits"
        return (f"{widths.conv} bits for weights of convolutions, {widths.dense} for those of "
                f"dense layers, {widths.data} for data")


def _told(node: Node) -> str | None:
    """Tell the precision of a node, if it has one."""
    match node:
        case Weighted() if node.shifts:
            exponents = np.log2(np.abs(node.weights * float(node.scale)))
            return (f"weights      {node.name}: powers of two, 2**{exponents.min():.0f} to "
                    f"2**{exponents.max():.0f}")
        case Weighted(bits=int()):
            return (f"weights      {node.name}: {node.bits} bits, fractional length "
                    f"{_length(float(node.scale))}")
        case Quant():
            kind = "bits" if node.signed else "bits unsigned"
            return (f"data         {node.name}: {node.bits} {kind}, fractional length "
                    f"{_length(node.scale)}")
        case Minifloat():
            return (f"data         {node.name}: {node.exponent} bits of exponent, "
                    f"{node.mantissa} of mantissa")
    return None


def _length(scale: float) -> int:
    return -round(math.log2(scale))


def quantize(model: str, data: str, out: str | Path | None = None, *, mode: str = "dynamic",
             bits: int = 8, margin: float | None = None, samples: int | None = None,
             c_dir: str | Path | None = None, input_type: str | None = None,
             progress: Step = quiet) -> Quantized:
    """Quantize the network of floating point in the file ``model``, and write it as QONNX.

    Parameters
    ----------
    data
        What `compiler.datasets.load` reads: the first `CALIBRATION` inputs of its training part
        tell how large the data are, its test part how accurate the network is.
    out
        The file to write; the model's name and the mode where None.
    mode
        One of `MODES`: those of `compiler.passes.quantize_floats.quantized`, and "minifloat"
        (`compiler.passes.minifloats`).
    bits
        Of weights, biases and data; the most of them, where there is a ``margin``.
    margin
        Percentage points of accuracy that may be lost: the bits are halved as long as no more are
        (Ristretto's search, P. Gysel, arXiv:1605.06402). In dynamic mode the weights of
        convolutions, those of dense layers, and the data are so narrowed each for itself, with
        ``bits`` for the others. Where all together lose more, what had lost most by itself is
        widened again.
    samples
        How many inputs of the test part are looked at; all where None.
    c_dir
        A folder that the network is written to as C, too.

    Raises a UserError for a model or data that cannot be used, and where ``bits`` are too few for
    the margin.
    """
    if mode not in MODES:
        raise UserError(f"Mode must be one of {', '.join(MODES)}, not {mode!r}")
    if margin is not None and not 0 <= margin <= 100:
        raise UserError(f"Error margin must be 0 to 100 percentage points, not {margin:g}")
    path, _ = find(model)
    graph = load(path, input_type=input_type)
    if is_quantized(graph):
        raise UserError(f"Network {graph.name!r} must be of floating point to be quantized, "
                        f"not have quantizers of its own")
    target = Path(f"{graph.name}-{mode}.onnx" if out is None else out)
    x = load_data(data, split="train").shaped(graph.input.shape)[:CALIBRATION]
    test = load_data(data)
    test = replace(test, x=test.shaped(graph.input.shape)[:samples],
                   labels=None if test.labels is None else test.labels[:samples])
    if margin is not None and test.labels is None:
        raise UserError(f"Data '{data}' must have labels to keep an error margin, not none")
    with progress(f"floating point: {len(test)} inputs"):
        before = accuracy(graph, test)
    widths, search = Widths.of(bits), None
    if margin is not None:
        assert before is not None
        search = _Search(partial(_tried, graph, x, mode, test), progress, graph.name,
                         before - margin / 100)
        widths = search.run(widths, PARTS.get(mode))
    with progress(f"quantizing: {mode}"):
        made = _quantized(graph, x, mode, widths)
        # The file is read again, since it is what everything goes on with.
        write(made, target, {"precision": mode, "bits": vars(widths)})
        stored = load(target)
        final = _runnable(stored)
    with progress(f"quantized: {len(test)} inputs"):
        after = accuracy(final, test)
    multiplications, weight_bytes = needs(final)
    if c_dir is not None:
        with whole_folder(Path(c_dir)) as folder:
            generate(final, folder)
    return Quantized(target, mode, widths, before, after, len(test), test.name, stored,
                     multiplications, weight_bytes,
                     tuple(search.trials.values()) if search else ())


def accuracy(graph: Graph, data: Dataset) -> float | None:
    """Return the share of inputs whose class is right on the golden model; None without labels."""
    if data.labels is None:
        return None
    answers = np.concatenate([golden.run(graph, x) for _, x in batches(data.x, BATCH)])
    return float((classes_of(answers) == data.labels).mean())


def _quantized(graph: Graph, x: Array, mode: str, widths: Widths) -> Graph:
    if mode == MINIFLOAT:
        return quantize_minifloats(graph, x, widths.data)
    return quantized(graph, x, widths, mode)


def _runnable(graph: Graph) -> Graph:
    return to_minifloats(graph) if has_minifloats(graph) else to_integer(graph)


def _tried(graph: Graph, x: Array, mode: str, test: Dataset, widths: Widths) -> float:
    made = accuracy(_runnable(_quantized(graph, x, mode, widths)), test)
    assert made is not None
    return made


def halves(bits: int) -> list[int]:
    """Return ``bits`` and its halves, and theirs, down to `FEWEST`."""
    return [bits >> times for times in range(bits.bit_length()) if bits >> times >= FEWEST]


@dataclass
class _Search:
    """Looks for the fewest bits whose accuracy is not below ``limit``."""

    accuracy: Callable[[Widths], float]
    progress: Step
    name: str
    limit: float
    trials: dict[Widths, Trial] = field(default_factory=dict)

    def run(self, widest: Widths, parts: tuple[str, ...] | None) -> Widths:
        """Return widths of at most ``widest``; each of ``parts`` has its own, or all have one."""
        if not self.keeps(widest):
            raise UserError(f"Network {self.name!r} must be right for at least "
                            f"{100 * self.limit:.2f} % of the inputs, not for "
                            f"{100 * self.trials[widest].accuracy:.2f} % with {widest.data} bits: "
                            f"allow more bits, or a larger error margin")
        if parts is None:
            return self.narrowest(widest, ("conv", "dense", "data"))
        alone = {part: self.narrowest(widest, (part,)) for part in parts}
        widths = replace(widest, **{part: getattr(alone[part], part) for part in parts})
        while not self.keeps(widths):
            narrow = [part for part in parts if getattr(widths, part) < getattr(widest, part)]
            part = min(narrow, key=lambda part: self.trials[
                replace(widest, **{part: getattr(widths, part)})].accuracy)
            wider = [bits for bits in halves(getattr(widest, part)) if bits > getattr(widths, part)]
            widths = replace(widths, **{part: wider[-1]})
        return widths

    def narrowest(self, widest: Widths, parts: tuple[str, ...]) -> Widths:
        """Halve the width of ``parts`` until the first that does not keep the limit."""
        good = widest
        for bits in halves(getattr(widest, parts[0]))[1:]:
            narrower = replace(good, **dict.fromkeys(parts, bits))
            if not self.keeps(narrower):
                break
            good = narrower
        return good

    def keeps(self, widths: Widths) -> bool:
        if widths not in self.trials:
            with self.progress(f"trying {widths.conv}, {widths.dense} and {widths.data} bits"):
                try:
                    self.trials[widths] = Trial(widths, self.accuracy(widths))
                except PassError:
                    if not self.trials:
                        raise
                    return False  # too few bits for a minifloat
        return self.trials[widths].accuracy >= self.limit

"""Holds what runs a network to the golden model."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler import golden
from compiler.codegen.c import generate
from compiler.executors import Golden, compare
from compiler.host import HostError
from compiler.ir import Binary, Graph, Real, value_range
from compiler.passes import to_integer
from compiler.perf import estimate
from compiler.schedule.plan import schedule
from compiler.tools import compile_c
from hdl.config import Config
from sim.fuzz.builder import Network
from sim.native import Native
from sim.rtl import Rtl


__all__ = ["Differs", "Ready", "as_integers", "hold_c", "hold_program", "hold_rtl"]

FRAMES = 3      # on the gateware
PATIENCE = 600  # seconds that one of them may take


class Differs(AssertionError):
    """Two that must agree do not."""


@dataclass(frozen=True)
class Ready:
    """A network in integers, with inputs, and what they make."""

    graph: Graph
    frames: np.ndarray
    answers: np.ndarray


def as_integers(network: Network) -> Ready:
    """Run the passes, which may change no answer. Raises UserError for what they refuse."""
    graph = to_integer(network.graph)
    answers = golden.run(graph, network.frames)
    expected = golden.run(network.graph, network.frames)
    if not np.array_equal(answers, expected):
        at = tuple(np.argwhere(answers != expected)[0].tolist())
        raise Differs(f"passes: answer {at}: {answers[at]}, not {expected[at]}")
    return Ready(graph, network.frames, answers)


def hold_c(ready: Ready, cflags: tuple[str, ...]) -> None:
    """Compare every layer of the C. Raises UserError for what C cannot hold."""
    native = Native(ready.graph, cflags=cflags)
    check("c", native.trace(ready.frames), Golden(ready.graph).trace(ready.frames))


def hold_program(ready: Ready, cflags: tuple[str, ...]) -> None:
    """Compare what the whole program prints: it may be built with sanitizers."""
    kind = ready.graph.input.type
    raw = np.float64
    if not isinstance(kind, Real):
        raw = np.uint8 if value_range(kind)[0] == 0 else np.int8
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        plan = generate(ready.graph, folder)
        sources = [folder / name for name in ("main.c", "net.c", "host.c")
                   if (folder / name).exists()]
        compile_c(sources, folder / "net", cflags)
        done = subprocess.run([folder / "net"], input=ready.frames.astype(raw).tobytes(),
                              capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise Differs(f"c: the program must end well, not with status {done.returncode}: "
                      f"{done.stderr.decode()[:2000]}")
    printed = np.array([line.partition(" -> ")[0].split()
                        for line in done.stdout.decode().splitlines()], np.int64)
    name = plan.layers[-1].output.name
    expected = Golden(ready.graph).trace(ready.frames)[name]
    if isinstance(plan.output.type, Binary):
        expected = (expected > 0).astype(np.int64)
    check("c", {name: printed}, {name: expected})


def hold_rtl(ready: Ready, config: Config) -> None:
    """Compare every layer that the gateware leaves, and its counters with `compiler.perf`.

    Raises UserError for what it cannot run.
    """
    plan = schedule(ready.graph, config)
    expected = estimate(plan)
    rtl = Rtl(plan, patience=PATIENCE)
    frames = ready.frames[-FRAMES:]
    try:
        made = rtl.trace(frames)
    except HostError as error:
        raise Differs(f"rtl: {error}") from error
    check("rtl", made, Golden(ready.graph).trace(frames))
    for what, found, right in (
            ("counts", rtl.counts, expected.counted),
            ("counters over the line", rtl.counters, expected.counted),
            ("cycles of a frame", rtl.frame_cycles, expected.frame),
            ("cycles of the flash bus", rtl.flash_cycles, expected.flash_busy),
            ("complaints of the flash chip", rtl.complaints, [])):
        if found != right:
            raise Differs(f"rtl: {what}: {found}, not {right}")


def check(name: str, made, expected) -> None:
    if mismatch := compare(name, made, expected):
        raise Differs(str(mismatch))

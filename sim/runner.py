"""Runs a cocotb bench against the Verilog of one component."""

import re
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib.wiring import Component
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


__all__ = ["simulate"]


def simulate(
    dut: Component,
    bench: str,
    build_dir: Path,
    *,
    simulator: str = "icarus",
    only: str | None = None,
    env: dict[str, str] | None = None,
    platform: object | None = None,
    cells: Sequence[Path] = (),
) -> int:
    """Run the cocotb tests in the module ``bench``, and return how many passed.

    ``only`` is a regular expression that names the tests to run, by default all. ``env`` is added
    to the environment of the simulator: it is how a bench gets parameters. ``cells`` are Verilog
    files with the primitives of ``platform``, which the component is elaborated for.
    """
    top = type(dut).__name__
    build_dir.mkdir(parents=True, exist_ok=True)
    source = build_dir / f"{top}.v"
    text = verilog.convert(dut, name=top, platform=platform)
    if simulator == "icarus":
        # At time 0 nothing changes that would wake a process, but it must see initial values, too.
        # All wait for this register as well. With always_comb, Icarus 11 may loop for ever.
        text = re.sub(r"reg (\\\$auto\S+ ) *= 0;", r"reg \1 = 0; initial #0 \1 = 1;", text)
    source.write_text(text)

    runner = get_runner(simulator)
    runner.build(
        sources=[source, *cells],
        hdl_toplevel=top,
        build_dir=build_dir,
        always=True,
        timescale=("1ns", "1ps"),
    )
    results = runner.test(
        hdl_toplevel=top,
        test_module=bench,
        test_filter=only,
        build_dir=build_dir,
        extra_env=dict(env or {}),
    )
    tests, failures = get_results(results)
    if tests == 0:
        raise AssertionError(f"no test in {bench} was run; see {results}")
    if failures:
        raise AssertionError(f"{failures} of {tests} tests in {bench} failed; see {results}")
    return tests

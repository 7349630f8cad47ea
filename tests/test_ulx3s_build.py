"""A build for the second family, with the real tools; it takes minutes."""

import json

import pytest

from compiler.build import build
from tests.compiler.frontends.real_data import shared


@pytest.mark.slow
def test_ulx3s_build(tmp_path, monkeypatch):
    model = shared("bnn-pynq/cifar10/cnvW1A1")
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path / "cache"))
    build(str(model), "ulx3s", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["clock_mhz"]["fmax"] >= report["clock_mhz"]["target"] >= 43
    assert report["fps"] > 3052  # of FINN on a Zynq-7020
    assert report["streamed_bytes"] == 0
    assert 100_000 < (tmp_path / "out" / "bitstream.bin").stat().st_size < 0x20_0000
    log, = (tmp_path / "out").rglob("yosys.log")
    assert "accelerator.memory.memory via $__DP16KD_" in log.read_text()
    assert "emulate_" not in log.read_text()  # logic around a memory

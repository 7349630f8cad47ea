"""The build that the README promises, with the real tools; it takes minutes."""

import json
import time

import pytest

from compiler import models
from compiler.build import build


SECOND_BUILD_SECONDS = 10


@pytest.mark.slow
def test_default_build(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORLOOM_CACHE", str(tmp_path / "cache"))
    build(None, "icebreaker", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["array"]["lanes"] >= 512
    # Both halves of the array, what walks over pictures, planes and shifts; a full chip no longer
    # routes.
    assert report["resources"]["lut4"]["used"] <= 5200
    assert report["clock_mhz"]["fmax"] >= report["clock_mhz"]["target"] >= 27
    assert (tmp_path / "out" / "bitstream.bin").stat().st_size > 100_000
    assert "module top" in (tmp_path / "out" / "top.v").read_text()
    log, = (tmp_path / "out").rglob("yosys.log")
    assert "mapping memory" in log.read_text()
    assert "emulate_" not in log.read_text()  # logic around a memory

    start = time.monotonic()
    again = build(str(models.network()), "icebreaker", tmp_path / "again")
    assert time.monotonic() - start < SECOND_BUILD_SECONDS
    assert again["resources"] == report["resources"]

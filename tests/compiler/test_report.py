import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.bitstream import Placed
from compiler.codegen.memory import Memory
from compiler.perf import estimate
from compiler.pnr_report import Timing
from compiler.report import make_report, print_report
from compiler.schedule.plan import schedule
from compiler.workload import open_workload
from hdl.config import Config


MEMORY = Memory(constants=900, tensors=60, sums=40, input=7, output=8)
CAUSES = ["work", "weights", "activations", "drain", "program", "host"]


@pytest.fixture(scope="module")
def plan():
    return schedule(open_workload(None).graph, Config(), resident_limit=10_000)


@pytest.fixture(scope="module")
def report(plan):
    placed = Placed(Path("b"), Path("v"), Resources(lut4=4321, ebr=21, spram=4, dsp=8),
                    Timing(24_000_000, 25.5e6, 60.25e6, 15.75), 1, cached=False)
    return make_report("digits", BOARDS["icebreaker"], plan, placed, estimate(plan), 12345, MEMORY)


def test_keys_and_sums(plan, report):
    again = json.loads(json.dumps(report))
    assert again == report
    assert report["model"] == "digits"
    assert report["board"] == "icebreaker"
    assert report["target"] == {"lanes": None, "fps": None}
    assert report["array"] == {"p": 2, "pe": 8, "simd": 32, "lanes": 512}
    assert report["resources"] == {"lut4": {"used": 4321, "available": 5280},
                                   "ebr": {"used": 21, "available": 30},
                                   "spram": {"used": 4, "available": 4},
                                   "dsp": {"used": 8, "available": 8}}
    assert report["clock_mhz"] == {"target": 24.0, "fmax": 25.5, "fast_target": 48.0,
                                   "fast_fmax": 60.25}
    assert report["placed"] == {"seed": 1}
    assert report["chip"] == "iCE40UP5K-SG48"
    assert report["accuracy"] is None
    assert report["image_bytes"] == 12345
    assert report["resident_bytes"] + report["streamed_bytes"] == report["weights_bytes"]
    assert 0 < report["resident_bytes"] <= 10_000
    assert report["roofline_ms"] == round(report["streamed_bytes"] / 24e3, 4)
    assert report["frame_ms"] == round(report["cycles"]["frame"] / 24e3, 4)
    assert report["fps"] == pytest.approx(1000 / report["frame_ms"], rel=1e-3)
    assert 0 < report["flash_busy"] <= 1
    assert report["c"] == {"constants_bytes": 900, "tensors_bytes": 60, "sums_bytes": 40,
                           "heap_bytes": 0, "total_bytes": 1000, "input_bytes": 7,
                           "output_bytes": 8}


def test_every_cycle_has_a_cause(report):
    cycles = report["cycles"]
    assert [layer["name"] for layer in cycles["layers"]] == ["fc0", "fc1", "fc2"]
    for layer in cycles["layers"]:
        assert list(layer) == ["name", "total", *CAUSES]
        assert sum(layer[cause] for cause in CAUSES) == layer["total"]
    assert cycles["frame"] == (sum(layer["total"] for layer in cycles["layers"])
                               + sum(cycles["after"].values()))


def test_text_has_the_same(report):
    out = io.StringIO()
    print_report(report, Console(file=out, width=100))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["model", "digits"] in lines
    assert ["lut4", "4321", "5280", "81.8", "%"] in lines
    assert ("C             1000 bytes, without a heap: 900 of constants, 60 of tensors between "
            "layers, 40 of sums\n") in out.getvalue()
    assert ["layer", "total", *CAUSES] in lines
    for layer in report["cycles"]["layers"]:
        assert [str(value) for value in layer.values()] in lines
    total = next(line for line in lines if line[:1] == ["(frame)"])
    assert int(total[1]) == report["cycles"]["frame"] == sum(map(int, total[2:]))
    assert "\x1b" not in out.getvalue()


def test_target_is_told_beside_what_is_reached(report):
    out = io.StringIO()
    print_report(report, Console(file=out, width=100))
    assert "target" not in out.getvalue()
    print_report(report | {"target": {"lanes": 512, "fps": 60}, "fps": 75.25},
                 Console(file=out, width=100))
    assert "target        512 lanes\n" in out.getvalue()
    assert "target        60 frames/s, reached with 75.2\n" in out.getvalue()


def test_half_rate_doubles_the_roofline(plan, report):
    half = schedule(plan.graph, Config(flash_full_rate=False), resident_limit=10_000)
    placed = Placed(Path("b"), Path("v"), Resources(lut4=1, ebr=1, spram=1, dsp=1),
                    Timing(24_000_000, 25.5e6, 60.25e6, 0.0), 1, cached=True)
    slower = make_report("x", BOARDS["icebreaker"], half, placed, estimate(half), 1,
                         MEMORY)
    assert slower["roofline_ms"] == pytest.approx(2 * report["roofline_ms"], abs=1e-3)

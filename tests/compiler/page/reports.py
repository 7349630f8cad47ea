"""Reports to draw: of networks as `build` makes them, and of what no network is like."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.accuracy import Accuracy
from compiler.bitstream import Placed
from compiler.codegen.memory import Memory
from compiler.ir import Binary, Dense, Graph, Input, Threshold
from compiler.perf import estimate
from compiler.pnr_report import Timing
from compiler.report import FORM, make_report
from compiler.schedule.plan import schedule
from hdl.config import Config
from hdl.isa import Cause
from tests.compiler.schedule.joins import random_joined_network
from tests.compiler.schedule.streams import streamed_network


__all__ = ["deep", "joined", "odd_reports", "report_of"]

MEMORY = Memory(constants=900, tensors=60, sums=40, input=7, output=8)
CAUSES = [cause.name.lower() for cause in Cause]
PLACED = Placed(Path("b"), Path("v"), Resources(lut4=4321, ebr=21, spram=4, dsp=8),
                Timing(24_000_000, 25.5e6, 60.25e6, 15.75), 1, cached=False)


def report_of(graph, accuracy=None):
    plan = schedule(graph, Config())
    return make_report(graph.name, BOARDS["icebreaker"], plan, PLACED, estimate(plan), 12345,
                       MEMORY, accuracy=accuracy)


def deep(count=60, size=64):
    """A report of ``count`` dense layers of bits."""
    rng = np.random.default_rng(1)
    nodes = [Input(name="x", shape=(size,), type=Binary())]
    for at in range(count):
        nodes += [Dense(name=f"a_layer_of_a_long_name_{at}", inputs=(nodes[-1].name,), bits=1,
                        weights=rng.choice([-1, 1], (size, size))),
                  Threshold(name=f"bits{at}", inputs=(f"a_layer_of_a_long_name_{at}",),
                            levels=np.zeros((1, 1), int))]
    return report_of(Graph(tuple(nodes), name="deep"), Accuracy("x.npz", 1000, 10_000, 987))


def joined(seed=3):
    """A report of a network that forks and joins."""
    return report_of(random_joined_network(np.random.default_rng(seed)))


def streamed():
    """A report of a network whose picture comes in parts, so that layers run in stripes."""
    return report_of(streamed_network(np.random.default_rng(1), (250, 240, 3), stride=2, pool=3))


SIZES = st.integers(1, 1 << 20)
COUNTS = st.integers(0, 1 << 40)
TEXT = st.text(max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", "</svg></style>", "&amp;", "\"'`", "層" * 30, "a" * 500, "W" * 30,
     "\0\x0b\x1b[31m", "{{ 7 * 7 }}", "{% endraw %}", "\u202egnp.exe", "\U0001f600" * 9])


@st.composite
def odd_reports(draw, text=TEXT, most=40):
    """What has the form of a report, with any names and numbers."""
    count = draw(st.integers(1, most))
    names = [f"{draw(text)}{at}" for at in range(count)]
    units = draw(st.lists(st.sampled_from(["array", "fixed"]), min_size=count, max_size=count))
    causes = [dict.fromkeys(CAUSES, 0) | draw(st.dictionaries(st.sampled_from(CAUSES), COUNTS))
              for _ in range(count + 1)]
    steps = [{"name": name, "kind": draw(text), "output": name, "type": draw(text), "on": unit,
              "inputs": draw(st.lists(st.sampled_from(["x", *names[:at]]), min_size=1,
                                      max_size=3)),
              "shape": draw(st.lists(SIZES, max_size=3))}
             for at, (name, unit) in enumerate(zip(names, units, strict=True))]
    rows = [{"name": name, "total": sum(row.values())} | row
            for name, row in zip(names, causes[:-1], strict=True)]
    size = draw(SIZES)

    def held(octets, first, last):
        begin, end = sorted((first % (count + 2), last % (count + 2)))
        address = octets % size
        return {"address": address, "bytes": min(octets, size - address), "first": begin - 1,
                "last": end - 1}

    places = st.builds(held, SIZES, SIZES, SIZES)
    ratio = st.floats(0, 1)
    clock = st.floats(0.001, 1e4)
    samples = draw(SIZES)
    return {
        "form": FORM, "model": draw(text), "board": draw(text), "board_title": draw(text),
        "chip": draw(text), "target": {"lanes": None, "fps": draw(st.none() | clock)},
        "array": draw(st.fixed_dictionaries(dict.fromkeys(["p", "pe", "simd", "lanes"], SIZES))),
        "resources": draw(st.dictionaries(st.sampled_from(["lut4", "ebr", "spram", "dsp"]),
                                          st.fixed_dictionaries(
                                              {"used": COUNTS, "available": SIZES}))),
        "placed": {"seed": draw(COUNTS)},
        "clock_mhz": draw(st.fixed_dictionaries(dict.fromkeys(
            ["target", "fmax", "fast_target", "fast_fmax"], clock))),
        "cycles": {"frame": sum(map(sum, (row.values() for row in causes))), "layers": rows,
                   "after": causes[-1]},
        "frame_ms": draw(clock), "fps": draw(clock), "weights_bytes": draw(COUNTS),
        "image_bytes": draw(COUNTS), "resident_bytes": draw(COUNTS),
        "streamed_bytes": draw(COUNTS), "flash_busy": draw(ratio), "roofline_ms": draw(clock),
        "accuracy": draw(st.none() | st.fixed_dictionaries(
            {"data": text, "samples": st.just(samples), "given": st.just(samples),
             "correct": st.integers(0, samples)})),
        "c": draw(st.fixed_dictionaries({f"{part}_bytes": COUNTS for part in (
            "constants", "tensors", "sums", "total")})),
        "network": {"input": {"name": "x", "shape": draw(st.lists(SIZES, max_size=3)),
                              "type": draw(text)}, "steps": steps},
        "layers": [{"name": name, "unit": unit, "products": draw(COUNTS),
                    "planes": draw(st.integers(1, 8)), "weights": draw(COUNTS),
                    "weight_bits": draw(st.integers(1, 8)), "fetched_bytes": draw(COUNTS),
                    "step": draw(st.sampled_from(names))}
                   for name, unit in zip(names, units, strict=True)],
        "peaks": {"array": draw(SIZES), "fixed": draw(SIZES),
                  "flash_bytes": draw(st.sampled_from([0.5, 1.0]))},
        "memory": {"bytes": size,
                   "tensors": [{"name": name} | draw(places) for name in names],
                   "weights": draw(st.lists(places, max_size=9))},
    }

"""The cells that synthesis makes of the accelerator compute the same bits in the same cycles."""

import subprocess

import numpy as np
import pytest

from compiler import datasets
from compiler.frontends import load
from compiler.ir import Conv, Dense, MaxPool
from compiler.models import DEFAULT, held_back, network
from compiler.passes import to_integer
from compiler.schedule.plan import schedule
from hdl.config import Config
from sim.cells import MODELS, ice40_cells
from sim.forms import netlist
from tests.compiler.schedule.pictures import random_picture_network
from tests.sim.networks import random_frames
from tests.sim.test_perf import check


@pytest.mark.slow
def test_default_network():
    graph = to_integer(load(network(DEFAULT)))
    check(schedule(graph, Config()), datasets.load(held_back(DEFAULT)).x[:3], netlist)


@pytest.mark.slow
def test_pictures():
    rng = np.random.default_rng(6)
    graph = random_picture_network(rng)
    assert {Conv, MaxPool, Dense} <= {type(node) for node in graph.nodes}
    check(schedule(graph, Config()), random_frames(rng, graph), netlist)


LUTS = """
module bench;
    reg [3:0] in;
    wire [15:0] out;
    genvar i;
    generate
        for (i = 0; i < 16; i = i + 1)
            SB_LUT4 #(.LUT_INIT(1 << i)) lut (.O(out[i]), .I0(in[0]), .I1(in[1]), .I2(in[2]),
                                              .I3(in[3]));
    endgenerate
    integer at;
    initial for (at = 0; at < 16; at = at + 1) begin
        in = at;
        #1 $display("%b", out);
    end
endmodule
"""


@pytest.mark.parametrize("cells", [ice40_cells, lambda _: MODELS], ids=["of Yosys", "ours"])
def test_lut(tmp_path, cells):
    """A table with a single one tells which bit is chosen."""
    (tmp_path / "bench.v").write_text(LUTS)
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "bench", "bench.v",
                    str(cells(tmp_path))], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    assert said.split() == [f"{1 << at:016b}" for at in range(16)]

# amaranth: UnusedElaboratable=no

import shutil
import subprocess

import pytest
from amaranth.back import verilog

from boards.gowin_flash import GowinFlashPads
from boards.tangnano9k import TangNano9kPlatform
from hdl.flash import SimulatedPads
from sim.cells import gowin_cells


# Random levels from fabric and chip; the pins must do what `SimulatedPads` says. There are two data
# lines: nothing is seen of the others.
BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0;
  always #5 clk = ~clk;

  reg        cs_n = 1, level = 0;
  reg  [3:0] io_o = 0, io_oe = 0;
  reg  [1:0] chip = 0;
  wire       pin_cs, pin_clk;
  tri  [1:0] dq;
  wire [3:0] seen, expected_seen, expected_o, expected_oe;
  wire       expected_cs;
  wire [1:0] expected_sck, expected_dq;
  assign (pull1, pull0) dq = chip;
  assign expected_dq = (expected_oe[1:0] & expected_o[1:0]) | (~expected_oe[1:0] & chip);

  GowinFlashPads dut (
    .fast_clk(clk), .fast_rst(1'b0), .cs_n(cs_n), .sck({level, level}), .io_o(io_o),
    .io_oe(io_oe), .io_i(seen), .\\spi_flash_1x_0__cs__io (pin_cs),
    .\\spi_flash_1x_0__clk__io (pin_clk), .\\spi_flash_1x_0__copi__io (dq[0]),
    .\\spi_flash_1x_0__cipo__io (dq[1]));
  SimulatedPads model (
    .fast_clk(clk), .fast_rst(1'b0), .pads__cs_n(cs_n), .pads__sck({level, level}),
    .pads__io_o(io_o), .pads__io_oe(io_oe), .pads__io_i(expected_seen), .cs_n(expected_cs),
    .sck(expected_sck), .io_o(expected_o), .io_oe(expected_oe), .io_i({2'b00, dq}));

  integer cycle, errors = 0;
  task check(input half);
    if (cycle > 3 && {pin_cs, pin_clk, dq, seen}
        !== {expected_cs, expected_sck[half], expected_dq, expected_seen})
      errors = errors + 1;
  endtask
  initial begin
    for (cycle = 0; cycle < 1000; cycle = cycle + 1) begin
      @(posedge clk);
      #1 {cs_n, level, io_o, io_oe} = $random;
      #2 check(0);
      @(negedge clk);
      #1 chip = $random;
      #2 check(1);
    end
    $display("%0d cycles, %0d errors", cycle, errors);
    $finish;
  end
endmodule
"""


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
@pytest.mark.parametrize("driven", ["io_oe", "{io_oe[3:1], 1'b1}"])
def test_pins(driven, tmp_path):
    platform = TangNano9kPlatform()
    dut = GowinFlashPads(platform.request("spi_flash_1x", dir="-"))
    for name, text in {
        "bench": BENCH.replace(".io_oe(io_oe), .io_i", f".io_oe({driven}), .io_i"),
        "pads":  verilog.convert(dut, name="GowinFlashPads", platform=platform),
        "model": verilog.convert(SimulatedPads(), name="SimulatedPads"),
    }.items():
        (tmp_path / f"{name}.v").write_text(text)

    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "bench", "bench.v", "pads.v",
                    "model.v", gowin_cells(tmp_path)], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.startswith("1000 cycles, 0 errors") == (driven == "io_oe"), run.stdout

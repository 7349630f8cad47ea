"""Networks that ship with the compiler: trained ones, each with its recipe and test inputs, and
descriptions of known ones (`compiler.topology`)."""

from pathlib import Path

from compiler.errors import UserError
from compiler.topology import SUFFIX


__all__ = ["DEFAULT", "held_back", "names", "network"]

DEFAULT = "digits"
FOLDER = Path(__file__).parent
SUFFIXES = ".onnx", ".def", SUFFIX


def names() -> list[str]:
    """Return the names of the networks."""
    return sorted(_networks())


def network(name: str = DEFAULT) -> Path:
    """Return the file of a network; `compiler.frontends.load` reads it."""
    networks = _networks()
    if name not in networks:
        raise UserError(f"Network must be one of {', '.join(names())}, not {name!r}")
    return networks[name]


def held_back(name: str = DEFAULT) -> Path | None:
    """Return the file of its test inputs, which `compiler.datasets.load` reads; None where it has
    none."""
    file = network(name).with_suffix(".npz")
    return file if file.exists() else None


def _networks() -> dict[str, Path]:
    return {path.stem: path for path in FOLDER.iterdir() if path.suffix in SUFFIXES}

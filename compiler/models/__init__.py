"""Trained networks that ship with the compiler, each with its recipe and test pictures."""

from pathlib import Path

from compiler.errors import UserError


__all__ = ["DEFAULT", "held_back", "names", "network"]

DEFAULT = "digits"
FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the networks."""
    return sorted(path.stem for path in FOLDER.glob("*.onnx"))


def network(name: str = DEFAULT) -> Path:
    """Return the QONNX file of a network; `compiler.frontends.load` reads it."""
    return _file(name, ".onnx")


def held_back(name: str = DEFAULT) -> Path:
    """Return the file of its test pictures; `compiler.datasets.load` reads it."""
    return _file(name, ".npz")


def _file(name: str, suffix: str) -> Path:
    if name not in names():
        raise UserError(f"Network must be one of {', '.join(names())}, not {name!r}")
    return (FOLDER / name).with_suffix(suffix)

"""Trained networks that ship with the compiler, each with its recipe and test inputs."""

from pathlib import Path

from compiler.errors import UserError


__all__ = ["DEFAULT", "held_back", "names", "network"]

DEFAULT = "digits"
FOLDER = Path(__file__).parent
SUFFIXES = ".onnx", ".def"


def names() -> list[str]:
    """Return the names of the networks."""
    return sorted(_networks())


def network(name: str = DEFAULT) -> Path:
    """Return the file of a network; `compiler.frontends.load` reads it."""
    networks = _networks()
    if name not in networks:
        raise UserError(f"Network must be one of {', '.join(names())}, not {name!r}")
    return networks[name]


def held_back(name: str = DEFAULT) -> Path:
    """Return the file of its test inputs; `compiler.datasets.load` reads it."""
    return network(name).with_suffix(".npz")


def _networks() -> dict[str, Path]:
    return {path.stem: path for path in FOLDER.iterdir() if path.suffix in SUFFIXES}

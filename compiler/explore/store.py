"""What is known of an exploration, in a file for each result: a run that was killed goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from compiler.errors import UserError


__all__ = ["Store", "digest", "sources"]


@dataclass(frozen=True)
class Store:
    """Results by name, as JSON, in a folder."""

    folder: Path

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a result, or None where there is none that is whole."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, result: dict[str, Any]) -> None:
        """Keep a result: all of it or nothing."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = self.folder / f".{name}-{os.getpid()}"
            beside.write_text(json.dumps(result, indent=2) + "\n")
            beside.replace(self.folder / f"{name}.json")
        except OSError as error:
            raise UserError(f"Output '{self.folder}' must be a folder that can be written, but: "
                            f"{error.strerror}") from error


def digest(facts: Any) -> str:
    """Return a name for JSON facts."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@cache
def sources(*packages: str) -> str:
    """Return a name for the Python files of packages, those of the packages within them too."""
    hashed = hashlib.sha256()
    for package in packages:
        for path in sorted(modules(resources.files(package)), key=str):
            hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


def modules(folder: Traversable) -> Iterable[Traversable]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from modules(entry)
        elif entry.name.endswith(".py"):
            yield entry

"""Finds and runs the programs that we need."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from compiler.errors import MissingToolError, ToolError


__all__ = ["cache_folder", "find", "locked", "run"]

LAST_LINES = 5


def find(*names: str, hint: str) -> str:
    """Return the first of the programs ``names`` that is installed.

    Beside the Python that runs us counts, too, so that a virtual environment need not be active.
    Raises `MissingToolError` with ``hint``, which tells how to get it.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise MissingToolError(f"{' or '.join(names)} must be installed; {hint}")


def run(words: Sequence[str | Path], *, folder: Path, log: Path | None = None,
        patience: float | None = None) -> None:
    """Run a program in ``folder``, with its output in ``log``.

    Raises `ToolError` with the last lines where it fails, or is not done after ``patience``
    seconds.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        try:
            status = subprocess.run([str(word) for word in words], cwd=folder, stdout=output,
                                    stderr=subprocess.STDOUT, timeout=patience,
                                    check=False).returncode
            end = f"failed with status {status}"
        except subprocess.TimeoutExpired:
            status, end = 1, f"was not done after {patience:.0f} s"
        except OSError as error:
            status, end = 1, f"could not be run: {error.strerror}"
        output.seek(0)
        said = output.read()
    if log:
        log.write_text(said)
    if status:
        last = "\n  ".join(said.strip().splitlines()[-LAST_LINES:])
        where = f"; its log is {log}" if log else ""
        raise ToolError(f"{Path(words[0]).name} {end}{where}:\n  {last}")


def cache_folder() -> Path:
    """Where built things are kept: ``XNORLOOM_CACHE``, or a folder in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("XNORLOOM_CACHE") or Path(home) / "xnorloom")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out while ``path`` is made, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

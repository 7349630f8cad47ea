"""Finds and runs the programs that we need."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from compiler.errors import MissingToolError, ToolError


__all__ = ["built_once", "c_compiler", "cache_folder", "compile_c", "find", "locked", "run"]

logger = logging.getLogger(__name__)

LAST_LINES = 5
COMPLAINTS = 3  # lines of what a compiler said, in our error
STRICT_C = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off")


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
    logger.info("in %s: %s", folder, shlex.join(map(str, words)))
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


def built_once(stem: str, sources: Iterable[bytes], build: Callable[[Path], Path]) -> Path:
    """Return the file that ``build`` makes of ``sources``, from the cache where it was made before.

    ``build`` takes an empty folder, and returns the path of what it made there; ``stem`` is what
    its name in the cache begins with. Other processes wait in the meantime.
    """
    digest = hashlib.sha256()
    for source in sources:
        digest.update(hashlib.sha256(source).digest())
    kept = cache_folder() / f"{stem}-{digest.hexdigest()[:16]}.so"
    with locked(kept):
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                build(Path(folder)).replace(kept)
    return kept


def c_compiler() -> list[str]:
    """Return the command of the C compiler: what CC says, else cc, gcc or clang."""
    chosen = os.environ.get("CC")
    names = [chosen] if chosen else ["cc", "gcc", "clang"]
    for name in names:
        command = shlex.split(name)
        if command and shutil.which(command[0]):
            return command
    raise MissingToolError(f"A C compiler must be installed (gcc or clang), or named in CC; "
                           f"found none as {', '.join(names)}")


def compile_c(sources: Sequence[Path], output: Path, flags: Sequence[str]) -> None:
    """Compile strictly; raises ToolError with the compiler's complaint where it fails."""
    command = [*c_compiler(), *STRICT_C, *flags, *map(str, sources), "-o", str(output), "-lm"]
    logger.info("%s", shlex.join(command))
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        lines = [line for line in lines if "error" in line][:COMPLAINTS] or lines[-COMPLAINTS:]
        raise ToolError(f"The C compiler must take {sources[0].name}, not fail with status "
                        f"{result.returncode}: " + " / ".join(lines))

"""Trains a network by a recipe, writes it, and measures what was written."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from compiler import golden
from compiler.datasets import Dataset, load
from compiler.errors import MissingToolError
from compiler.frontends import load as load_network
from compiler.passes import to_integer
from compiler.train.qonnx_file import write
from compiler.train.recipe import TASKS, Recipe, Task, TrainError, make_recipe


if TYPE_CHECKING:
    from compiler.train.network import Network


__all__ = ["Training", "train"]

Array = np.ndarray[Any, Any]

PACKAGES = ("numpy", "onnx", "scikit-learn", "torch")


@dataclass(frozen=True)
class Training:
    """What came of a training."""

    path: Path       # the QONNX file; the recipe is beside it, as JSON
    recipe: Recipe
    accuracy: float  # share of the test pictures that the integer network gets right
    tested: int      # how many test pictures
    seconds: float


def train(task: str, out: str | Path, *, data: str | None = None,
          hidden: tuple[int, ...] | None = None, epochs: int | None = None, seed: int = 1,
          keep_test: bool = False, quiet: bool = False) -> Training:
    """Train a binarized dense network, and write it as QONNX.

    Parameters
    ----------
    task
        One of `TASKS`, which also gives what is left out here.
    out
        Where the ``.onnx`` file goes; its recipe goes beside it as ``.json``.
    data
        As `compiler.datasets.load` reads it; it must have a training and a test part.
    hidden
        Widths of the hidden layers.
    keep_test
        Write the test pictures beside the network, too, as ``.npz``.
    quiet
        Show no progress.

    The test part serves only to measure the end, and nothing is chosen by it. Raises
    MissingToolError without PyTorch.
    """
    out = Path(out)
    recipe = make_recipe(task, data, hidden, epochs, seed)
    if out.suffix != ".onnx":
        raise TrainError(f"The network must be written to a file that ends in .onnx, not '{out}'")
    if not out.parent.is_dir():
        raise TrainError(f"'{out.parent}' must be a folder to write to, not missing")
    network_type = _network_type()
    learn, test = (_part(recipe, split) for split in ("train", "test"))
    start = time.monotonic()
    with _own_torch_state(seed):
        network = network_type([learn.x.shape[1], *recipe.hidden, len(learn.classes)],
                               recipe.weight_bits)
        _fit(network, learn, recipe, TASKS[task], quiet)
    facts: dict[str, Any] = {"classes": list(learn.classes), "recipe": _facts(recipe, out)}
    layers, bits = network.layers(), TASKS[task].input_bits
    write(out, layers, bits, facts)
    accuracy = _accuracy(out, test)
    write(out, layers, bits, facts | {"accuracy": f"{accuracy:.4f}"})
    summary = facts["recipe"] | {"accuracy": round(accuracy, 4), "tested": len(test),
                                 "classes": list(learn.classes)}
    out.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n")
    if keep_test:
        np.savez_compressed(out.with_suffix(".npz"), x=test.x.astype(np.uint8),
                            y=_labels(test).astype(np.uint8))
    return Training(out, recipe, accuracy, len(test), time.monotonic() - start)


def _network_type() -> type[Network]:
    try:
        from compiler.train.network import Network
    except ImportError as error:
        raise MissingToolError("Training needs PyTorch: install it with "
                               "`pip install xnorloom[train]`") from error
    return Network


def _part(recipe: Recipe, split: str) -> Dataset:
    task = TASKS[recipe.task]
    part = load(recipe.data, split=split)
    _labels(part)
    high = (1 << task.input_bits) - 1
    if part.x.dtype.kind not in "iu" or not 0 <= part.x.min() <= part.x.max() <= high:
        raise TrainError(f"Pixels of '{recipe.data}' must be integers of 0 to {high}, "
                         f"not {part.x.min()} to {part.x.max()}")
    return Dataset(part.shaped((task.side * task.side,)), part.labels, part.classes, part.name)


def _labels(part: Dataset) -> Array:
    if part.labels is None:
        raise TrainError(f"'{part.name}' must have labels to learn from, not none")
    return part.labels


@contextmanager
def _own_torch_state(seed: int) -> Iterator[None]:
    """One thread, whose sums are the same everywhere, and a generator of our own."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _fit(network: Network, learn: Dataset, recipe: Recipe, task: Task, quiet: bool) -> None:
    import torch
    x, y = learn.x.astype(np.float32), _labels(learn)
    chance = np.random.default_rng(recipe.seed)
    batches = -(-len(x) // recipe.batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, epochs=recipe.epochs,
                                                   steps_per_epoch=batches)
    with _progress(quiet) as progress:
        bar = progress.add_task("training", total=recipe.epochs, loss="")
        for _ in range(recipe.epochs):
            total = 0.0
            moved = _moved(x, task.side, recipe.shift, chance)
            for part in np.array_split(chance.permutation(len(x)), batches):
                logits = network.forward(torch.from_numpy(moved[part]), training=True)
                loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[part]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                network.clip()
                total += loss.item()
            progress.update(bar, advance=1, loss=f"loss {total / batches:.4f}")


def _progress(quiet: bool) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                    TextColumn("{task.fields[loss]}"), TimeRemainingColumn(), disable=quiet)


def _moved(x: Array, side: int, shift: int, chance: np.random.Generator) -> Array:
    """Return each picture moved by up to ``shift`` pixels along each axis, with 0 around it."""
    padded = np.pad(x.reshape(-1, side, side), [(0, 0), (shift, shift), (shift, shift)])
    at = np.arange(side)
    rows, columns = (at + chance.integers(0, 2 * shift + 1, (len(x), 1)) for _ in range(2))
    moved = padded[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.reshape(x.shape)


def _accuracy(path: Path, test: Dataset) -> float:
    """Measure the integer network that the compiler makes of the file."""
    network = to_integer(load_network(path))
    return float((golden.run(network, test.x) == test.labels).mean())


def _facts(recipe: Recipe, out: Path) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"command": recipe.command(out.name), "recipe": recipe.as_dict(), "versions": versions}

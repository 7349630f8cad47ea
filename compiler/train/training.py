"""Trains a network by a recipe, writes it, and measures what was written."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
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
from compiler.executors import classes_of, votes
from compiler.export import export
from compiler.frontends import load as load_network
from compiler.frontends.tinier_nn import WORD_BITS, graph_of
from compiler.passes import to_integer
from compiler.train.batches import batches, count
from compiler.train.layers import Form, TrainError, read_forms
from compiler.train.qonnx_file import write
from compiler.train.recipe import TASKS, Pictures, Recipe, make_recipe


if TYPE_CHECKING:
    from compiler.train.bit_network import BitNetwork
    from compiler.train.network import Network


__all__ = ["Training", "train"]

Array = np.ndarray[Any, Any]

MEASURED = 100  # pictures at once, of which each may take megabytes
PACKAGES = ("numpy", "onnx", "scikit-learn", "torch")


@dataclass(frozen=True)
class Training:
    """What came of a training."""

    path: Path       # of the network; the recipe is beside it, as JSON
    recipe: Recipe
    accuracy: float  # share of the test inputs that the integer network gets right
    tested: int      # how many test inputs
    seconds: float


def train(task: str, out: str | Path | None = None, *, data: str | None = None,
          layers: str | None = None, epochs: int | None = None, seed: int = 1,
          keep_test: bool = False, quiet: bool = False) -> Training:
    """Train a binarized network, and write it as QONNX, or one of bits alone as tinier-nn does.

    Parameters
    ----------
    task
        One of `TASKS`, which also gives what is left out here.
    out
        Where the file goes, ``.onnx`` or ``.def``; its recipe goes beside it as ``.json``. Where
        it is left out, the file bears the name of the task.
    data
        As `compiler.datasets.load` reads it; it must have a training and a test part.
    layers
        All but the last, which has a neuron for each class, such as ``32C3-P2-256``: a convolution
        of 32 channels by 3 x 3 pixels, a max-pool of 2 x 2, a dense layer of 256 neurons
        (`compiler.train.layers.read_forms`).
    keep_test
        Write the test inputs beside the network, too, as ``.npz``.
    quiet
        Show no progress.

    The test part serves only to measure the end, and nothing is chosen by it. Raises
    MissingToolError without PyTorch.
    """
    recipe, suffix = make_recipe(task, data, layers, epochs, seed), TASKS[task].suffix
    out = Path(out or f"{task}{suffix}")
    if out.suffix != suffix:
        raise TrainError(f"The network must be written to a file that ends in {suffix}, "
                         f"not '{out}'")
    if not out.parent.is_dir():
        raise TrainError(f"'{out.parent}' must be a folder to write to, not missing")
    pictures = TASKS[task].pictures
    learn, test = (_part(recipe.data, pictures, split) for split in ("train", "test"))
    start = time.monotonic()
    with _own_torch_state(seed):
        network = _network(recipe, len(learn.classes))
        _fit(network, learn, recipe, quiet)
    facts: dict[str, Any] = {"classes": list(learn.classes), "recipe": _facts(recipe, out),
                             "picture": {"shape": pictures.shape, "white": pictures.white}}
    _write(out, network, pictures, facts)
    given, accuracy = _measure(out, test)
    _write(out, network, pictures, facts | {"accuracy": f"{accuracy:.4f}"})
    summary = facts["recipe"] | {"accuracy": round(accuracy, 4), "tested": len(test),
                                 "classes": list(learn.classes)}
    out.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n")
    if keep_test:
        np.savez_compressed(out.with_suffix(".npz"),
                            x=given.astype(np.int8 if pictures.binary else np.uint8),
                            y=_labels(test).astype(np.uint8))
    return Training(out, recipe, accuracy, len(test), time.monotonic() - start)


def _network(recipe: Recipe, classes: int) -> Network | BitNetwork:
    """Return the network of a recipe before it learns."""
    from compiler.train.bit_network import BitNetwork
    from compiler.train.network import Network
    pictures, forms = TASKS[recipe.task].pictures, read_forms(recipe.layers)
    if pictures.binary:
        return BitNetwork([*forms, Form(WORD_BITS)], pictures.shape)
    return Network([*forms, Form(classes)], pictures.shape, recipe.weight_bits, ebnn=recipe.ebnn)


def _write(out: Path, network: Network | BitNetwork, pictures: Pictures,
           facts: Mapping[str, Any]) -> None:
    from compiler.train.network import Network
    if isinstance(network, Network):
        write(out, network.layers(), pictures.shape, pictures.bits, facts)
    else:
        export(graph_of(network.layers(), out.stem), out)


def _part(data: str, pictures: Pictures, split: str) -> Dataset:
    part = load(data, split=split)
    _labels(part)
    low, high = pictures.ends
    if part.x.dtype.kind not in "iu" or not low <= part.x.min() <= part.x.max() <= high:
        raise TrainError(f"Pixels of '{data}' must be integers of {low} to {high}, "
                         f"not {part.x.min()} to {part.x.max()}")
    return Dataset(part.shaped(pictures.shape), part.labels, part.classes, part.name)


def _labels(part: Dataset) -> Array:
    if part.labels is None:
        raise TrainError(f"'{part.name}' must have labels to learn from, not none")
    return part.labels


@contextmanager
def _own_torch_state(seed: int) -> Iterator[None]:
    """One thread, whose sums are the same everywhere, and a generator of our own."""
    try:
        import torch
    except ImportError as error:
        raise MissingToolError("Training needs PyTorch: install it with "
                               "`pip install xnorloom[train]`") from error
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _fit(network: Network | BitNetwork, learn: Dataset, recipe: Recipe, quiet: bool) -> None:
    """Descend with Adam (D. Kingma and J. Ba, 2014), at a rate that rises and falls once (L. Smith
    and N. Topin, "Super-Convergence", 2017)."""
    import torch
    steps = count(learn.x, recipe)
    chance = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, epochs=recipe.epochs,
                                                   steps_per_epoch=steps)
    with _progress(quiet) as progress:
        bar = progress.add_task("training", total=recipe.epochs * steps, loss="")
        for epoch in range(recipe.epochs):
            total = 0.0
            for x, y in batches(learn.x, _labels(learn), recipe, chance):
                outputs = network.forward(torch.from_numpy(x), training=True)
                loss = network.loss(outputs, torch.from_numpy(y))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                network.clip()
                total += loss.item()
                progress.update(bar, advance=1)
            progress.update(bar, loss=f"epoch {epoch + 1}, loss {total / steps:.4f}")


def _progress(quiet: bool) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                    TextColumn("{task.fields[loss]}"), TimeRemainingColumn(), disable=quiet)


def _measure(path: Path, test: Dataset) -> tuple[Array, float]:
    """Return the inputs as the file takes them, and how often the integer network that the
    compiler makes of it is right."""
    network = to_integer(load_network(path))
    x = test.shaped(network.input.shape)
    answers = np.concatenate([golden.run(network, x[at:at + MEASURED])
                              for at in range(0, len(x), MEASURED)])
    return x, float((classes_of(answers, votes(network)) == test.labels).mean())


def _facts(recipe: Recipe, out: Path) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"command": recipe.command(out.name), "recipe": recipe.as_dict(), "versions": versions}

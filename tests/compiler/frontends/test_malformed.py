"""Spoiled models and folders are refused in sentences, or read; nothing else ever happens."""

import numpy as np
import pytest

from compiler import golden
from compiler.check import check
from compiler.frontends import ModelError, load
from tests.compiler.frontends import test_bnn_pynq_cnv
from tests.compiler.frontends.malformed import BASES, SPOILERS, spoil_bytes, spoil_model
from tests.compiler.frontends.test_bnn_pynq import random_layers, write


def load_or_refuse(path):
    """Return the graph, or None where the model is refused in whole sentences of one line."""
    refusals = check(path)
    if refusals:
        with pytest.raises(ModelError) as caught:
            load(path)
        assert list(caught.value.refusals) == refusals
        for refusal in refusals:
            assert " must " in refusal
            assert refusal.isprintable()
        return None
    graph = load(path)
    with np.errstate(all="ignore"):
        assert len(golden.run(graph, np.ones((2, *graph.input.shape)))) == 2
    return graph


@pytest.mark.parametrize("base", BASES)
def test_good_models_are_read(tmp_path, base):
    path = tmp_path / "model.onnx"
    path.write_bytes(BASES[base](np.random.default_rng(0)).SerializeToString())
    assert load_or_refuse(path) is not None


@pytest.mark.parametrize("spoiler", SPOILERS, ids=lambda spoiler: spoiler.__name__)
@pytest.mark.parametrize("base", BASES)
def test_spoiled_in_one_way(tmp_path, base, spoiler):
    path = tmp_path / "model.onnx"
    for seed in range(10):
        rng = np.random.default_rng(seed)
        model = BASES[base](rng)
        spoiler(model, rng)
        path.write_bytes(model.SerializeToString())
        load_or_refuse(path)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_spoiled_in_several_ways(tmp_path, base, first):
    path = tmp_path / "model.onnx"
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        model = BASES[base](rng)
        spoil_model(model, rng)
        path.write_bytes(model.SerializeToString())
        load_or_refuse(path)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_damaged_file(tmp_path, base, first):
    path = tmp_path / "model.onnx"
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        path.write_bytes(spoil_bytes(BASES[base](rng).SerializeToString(), rng))
        load_or_refuse(path)


@pytest.mark.parametrize("base", BASES)
def test_truncated_file(tmp_path, base):
    data = BASES[base](np.random.default_rng(0)).SerializeToString()
    path = tmp_path / "model.onnx"
    for size in np.linspace(0, len(data) - 1, 100).astype(int):
        path.write_bytes(data[:size])
        assert load_or_refuse(path) is None


@pytest.mark.parametrize("kind", ["dense", "W1A1", "W1A2", "W2A2"])
@pytest.mark.parametrize("seed", range(40))
def test_damaged_folder(tmp_path, seed, kind):
    rng = np.random.default_rng(seed)
    if kind == "dense":
        folder = write(tmp_path / "net", random_layers(seed), ["a", "b"])
    else:
        bits, levels = int(kind[1]), int(kind[3])
        folder = test_bnn_pynq_cnv.write(
            tmp_path / "net", test_bnn_pynq_cnv.random_layers(seed, bits, levels), bits, ["a", "b"])
    files = sorted(folder.iterdir())
    for _ in range(rng.integers(1, 3)):
        file = files[rng.integers(len(files))]
        if rng.integers(4) == 0:
            file.unlink(missing_ok=True)
        elif file.exists() and file.stat().st_size:
            file.write_bytes(spoil_bytes(file.read_bytes(), rng))
    load_or_refuse(folder)

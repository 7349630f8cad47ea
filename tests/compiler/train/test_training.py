import builtins
import json
import re
import sys

import numpy as np
import pytest

from compiler import golden
from compiler.datasets import load as load_data
from compiler.errors import MissingToolError
from compiler.frontends import load
from compiler.ir import Binary, Fixed
from compiler.passes import to_integer
from compiler.stages import split
from compiler.train import train
from compiler.train.recipe import TrainError
from compiler.train.training import _moved


@pytest.fixture
def pictures(tmp_path):
    """Digits of two classes, dark above or dark below, in a folder of MNIST's form."""
    pytest.importorskip("torch")
    from tests.compiler.test_datasets import idx
    chance = np.random.default_rng(0)
    for stem, count in ("train", 200), ("t10k", 50):
        labels = chance.integers(0, 2, count).astype(np.uint8)
        x = chance.integers(0, 100, (count, 28, 28)).astype(np.uint8)
        x[labels == 0, :14] += 100
        x[labels == 1, 14:] += 100
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx(x))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def test_from_pictures_to_integers(pictures):
    out = pictures / "net.onnx"
    made = train("mnist", out, data=str(pictures), hidden=(16, 8), epochs=5, keep_test=True,
                 quiet=True)
    assert made.accuracy > 0.9
    assert made.tested == 50
    before, test = load(out), load_data(out.with_suffix(".npz"))
    after = to_integer(before)
    np.testing.assert_array_equal(golden.run(after, test.x), golden.run(before, test.x))
    assert (golden.run(after, test.x) == test.labels).mean() == pytest.approx(made.accuracy)
    body = split(after).body
    assert [layer.sums.bits for layer in body] == [8, 1, 8]
    assert [layer.on_array for layer in body] == [False, True, False]
    assert [layer.input_type for layer in body] == [Fixed(8, signed=False), Binary(), Binary()]


def test_same_seed_same_file(pictures):
    files = []
    for name, seed in ("a", 3), ("b", 3), ("c", 4):
        folder = pictures / name
        folder.mkdir()
        train("mnist", folder / "net.onnx", data=str(pictures), hidden=(8,), epochs=1, seed=seed,
              quiet=True)
        files.append((folder / "net.onnx").read_bytes())
    assert files[0] == files[1] != files[2]


def test_facts_in_the_file(pictures):
    import onnx
    out = pictures / "net.onnx"
    made = train("mnist", out, data=str(pictures), hidden=(8,), epochs=1, seed=5, quiet=True)
    facts = {item.key: item.value for item in onnx.load(out).metadata_props}
    assert json.loads(facts["classes"]) == ["0", "1"]
    assert float(facts["accuracy"]) == pytest.approx(made.accuracy, abs=1e-4)
    recipe = json.loads(facts["recipe"])
    assert recipe["recipe"]["seed"] == 5
    assert recipe["command"].startswith("python -m compiler train --task mnist --data ")
    assert json.loads(out.with_suffix(".json").read_text())["recipe"] == recipe["recipe"]


def test_leaves_torch_as_it_was(pictures):
    torch = pytest.importorskip("torch")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train("mnist", pictures / "net.onnx", data=str(pictures), hidden=(4,), epochs=1, quiet=True)
    assert torch.get_num_threads() == threads
    assert (torch.get_rng_state() == state).all()


def test_network_in_torch_is_the_one_in_the_file(pictures):
    """Classes of PyTorch's float32 network and of the integers that are made of it."""
    torch = pytest.importorskip("torch")
    from compiler.train.network import Network
    from compiler.train.qonnx_file import write
    torch.manual_seed(0)
    network = Network([64, 32, 32, 10], 8)
    x = np.random.default_rng(0).integers(0, 17, (300, 64))
    batch = torch.from_numpy(x.astype(np.float32))
    with torch.no_grad():
        for _ in range(30):
            network.forward(batch, training=True)
        wanted = network.forward(batch, training=False).argmax(1).numpy()
    write(pictures / "net.onnx", network.layers(), 5, {})
    found = golden.run(to_integer(load(pictures / "net.onnx")), x)
    assert (found == wanted).mean() > 0.99


def test_gradients_pass_between_minus_one_and_one():
    torch = pytest.importorskip("torch")
    from compiler.train.network import _sign
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    y = _sign(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_moved_pictures():
    x = np.arange(2 * 16, dtype=np.float32).reshape(2, 16) + 1
    chance = np.random.default_rng(0)
    seen = {_moved(x, 4, 1, chance)[0].tobytes() for _ in range(200)}
    assert len(seen) == 9
    assert x[0].tobytes() in seen
    np.testing.assert_array_equal(_moved(x, 4, 0, chance), x)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"task": "cats"}, "Task must be one of digits, mnist, not 'cats'"),
    ({"task": "mnist"}, "Task 'mnist' must have --data, the folder of its files, not none"),
    ({"hidden": ()}, "Hidden layers must be one or more of at least 1 neuron, not ()"),
    ({"hidden": (4, 0)}, "Hidden layers must be one or more of at least 1 neuron, not (4, 0)"),
    ({"epochs": 0}, "Epochs must be at least 1, not 0"),
    ({"out": "net.pt"}, "The network must be written to a file that ends in .onnx, not 'net.pt'"),
    ({"out": "none/net.onnx"}, "'none' must be a folder to write to, not missing"),
])
def test_refusals(arguments, sentence):
    with pytest.raises(TrainError, match=f"^{re.escape(sentence)}$"):
        train(**{"task": "digits", "out": "net.onnx", "quiet": True} | arguments)


def test_pixels_out_of_range(pictures):
    with pytest.raises(TrainError, match="must be integers of 0 to 31, not 0 to "):
        train("digits", pictures / "net.onnx", data=str(pictures), epochs=1, quiet=True)


def test_without_torch(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "torch" or name.startswith("torch."):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "compiler.train.network", raising=False)
    with pytest.raises(MissingToolError, match=r"^Training needs PyTorch: install it with "
                                               r"`pip install xnorloom\[train\]`$"):
        train("digits", tmp_path / "net.onnx", quiet=True)

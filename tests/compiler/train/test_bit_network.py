"""Training of the demo of tinier-nn."""

import json

import numpy as np
import pytest

from compiler import golden
from compiler.datasets import load as load_data
from compiler.frontends import load
from compiler.passes import to_integer
from compiler.train import train
from compiler.train.recipe import make_recipe


ORIGINAL_BITS = 123  # of 128 that the network in tinier-nn's repository has right


@pytest.fixture(autouse=True)
def torch():
    return pytest.importorskip("torch")


def right_bits(path):
    """How many of all bits are +1 where the class is 1, and -1 where it is 0."""
    data = load_data("xor")
    answers = golden.run(to_integer(load(path)), data.x)
    return int((answers == np.where(data.labels, 1, -1)[:, None]).sum())


@pytest.mark.parametrize("seed", range(1, 4))
def test_xor(tmp_path, seed):
    made = train("xor", tmp_path / "xor.def", seed=seed, quiet=True)
    assert (made.accuracy, made.tested) == (1, 4)
    assert right_bits(made.path) >= ORIGINAL_BITS
    assert [node.weights.shape for node in load(made.path).nodes[1::2]] == [
        (64, 32), (64, 64), (32, 64)]


def test_other_layers(tmp_path):
    made = train("xor", tmp_path / "xor.def", layers="96", quiet=True)
    assert made.accuracy == 1
    assert load(made.path).nodes[1].weights.shape == (96, 32)


def test_what_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = train("xor", epochs=1, keep_test=True, quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["xor.def", "xor.json", "xor.npz"]
    facts = json.loads((tmp_path / "xor.json").read_text())
    assert facts["command"] == made.recipe.command("xor.def")
    assert facts["recipe"]["weight_bits"] == 1
    assert facts["classes"] == ["different", "equal"]
    kept, own = load_data("xor.npz"), load_data("xor")
    np.testing.assert_array_equal(kept.x, own.x)
    np.testing.assert_array_equal(kept.labels, own.labels)


def test_same_seed_same_file(tmp_path):
    made = [train("xor", tmp_path / f"{name}.def", epochs=20, seed=seed, quiet=True)
            for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    a, b, c = (one.path.read_bytes() for one in made)
    assert a == b != c


def test_network_in_torch_is_the_one_in_the_file(torch, tmp_path):
    """All bits of the answer, for inputs of any kind."""
    from compiler.frontends.tinier_nn import graph_of
    from compiler.train.bit_network import BitNetwork
    from compiler.train.layers import Form
    torch.manual_seed(0)
    network = BitNetwork([Form(64), Form(96), Form(32)], (1, 1, 32))
    x = np.random.default_rng(0).choice([-1, 1], (200, 1, 1, 32))
    with torch.no_grad():
        sums = network.forward(torch.from_numpy(x.astype(np.float32)), training=False).numpy()
    assert (sums == 0).any()
    np.testing.assert_array_equal(golden.run(graph_of(network.layers(), "net"), x[:, 0, 0]),
                                  np.where(sums > 0, 1, -1))


def test_sign_of_nothing_and_its_gradient(torch):
    from compiler.train.bit_network import _sign
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    y = _sign(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, -1, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_loss(torch):
    from compiler.train.bit_network import BitNetwork
    from compiler.train.layers import Form
    network = BitNetwork([Form(32)], (1, 1, 32))
    sums = torch.tensor([[2.0, 0.5], [2.0, -1.0]])
    assert network.loss(sums, torch.tensor([1, 0])).item() == pytest.approx((0.25 + 9) / 4)


def test_shipped_network_is_that_of_its_recipe():
    from compiler.models import network
    facts = json.loads(network("xor").with_suffix(".json").read_text())
    recipe = make_recipe("xor", None, None, None, 1)
    assert facts["command"] == recipe.command("xor.def")
    assert facts["recipe"] == recipe.as_dict()
    assert right_bits(network("xor")) >= ORIGINAL_BITS

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import datasets, golden
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import (
    Affine,
    ArgMax,
    Binary,
    Dense,
    Fixed,
    Input,
    Quant,
    Relu,
    Requantize,
    Threshold,
    value_range,
)
from compiler.passes import to_integer
from compiler.stages import split
from tests.compiler.passes.networks import SIGN, affine, bits_in, chain, dense, kinds, norm, same


DATA = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[4] / "shared" / "data"))


def dyadic(rng, size):
    """Numbers whose products and sums are exact in floating point."""
    return rng.choice([-2.0, -1.0, -0.5, 0.25, 0.5, 1.0, 3.0], size)


def random_layer(rng, at, width):
    """A Dense and what may follow it, up to a quantizer."""
    bits = int(rng.choice([1, 1, 4, 8]))
    weights = (rng.choice([-1, 1], (5, width)) if bits == 1 else
               rng.integers(1 - (1 << bits - 1), 1 << bits - 1, (5, width)))
    nodes = [dense(weights, f"sums{at}", bits,
                   scale=float(rng.choice([0.5, 2.0])),
                   bias=dyadic(rng, 5) if rng.integers(2) else None)
             if rng.integers(2) else dense(weights, f"sums{at}", bits)]
    if rng.integers(2):
        nodes.append(affine(dyadic(rng, 5), dyadic(rng, 5), f"affine{at}"))
    if rng.integers(2):
        nodes.append(norm(rng.normal(size=5), rng.normal(size=5), rng.normal(size=5),
                          rng.random(5) + 0.1, f"norm{at}"))
    if rng.integers(2):
        nodes.append(Relu(name=f"relu{at}"))
    return [*nodes, *random_quantizer(rng, at)]


def random_quantizer(rng, at):
    match rng.integers(3):
        case 0:
            return [Threshold(name=f"sign{at}", levels=dyadic(rng, (5, 1))),
                    affine(float(rng.choice([-0.5, 1.0, 4.0])), dyadic(rng, 5), f"alpha{at}")]
        case 1:
            return [Threshold(name=f"counts{at}", levels=np.sort(rng.normal(size=(1, 6))))]
    quant = Quant(name=f"quant{at}", bits=int(rng.integers(1, 9)),
                  scale=float(2.0 ** rng.integers(-3, 3)), signed=bool(rng.integers(2)),
                  zero_point=float(rng.integers(-2, 3)))
    return [quant] if rng.integers(2) else [quant, Relu(name=f"after{at}")]


@settings(max_examples=150)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_random_networks(seed):
    """Real numbers between the layers are exact here, so nothing may change at all."""
    rng = np.random.default_rng(seed)
    kind = [Binary(), Fixed(3), Fixed(8, signed=False)][rng.integers(3)]
    nodes = [Input(name="x", shape=(5,), type=kind)]
    for at in range(int(rng.integers(1, 4))):
        nodes += random_layer(rng, at, 5)
    last = rng.integers(-128, 128, (4, 5))
    before = chain(*nodes, dense(last, "logits", 8, scale=0.5, bias=np.ones(4)))
    low, high = value_range(kind)
    x = rng.integers(low, high + 1, (64, 5))
    same(before, to_integer(before), np.where(x == 0, 1, x) if kind == Binary() else x)


def test_real_input_ends_in_its_quantizer():
    before = chain(Input(name="x", shape=(2,)), affine(2.0, -1.0),
                   Quant(name="quant", bits=4, scale=0.125), dense([[1, -1]], "a"), norm(0.3, 0.1),
                   SIGN, dense([[1], [-1]], "b"), ArgMax(name="class"))
    after = to_integer(before)
    assert kinds(after) == [Input, Affine, Affine, Requantize, Dense, Threshold, Dense, ArgMax]
    x = np.random.default_rng(0).normal(0, 0.5, (500, 2))
    same(before, after, x)
    assert [layer.on_array for layer in split(after).body] == [False, True]


def test_scales_of_activations_go_on_to_the_next_levels():
    before = chain(bits_in(4), dense([[1, 1, -1, 1]] * 3, "a"), SIGN, affine(0.37, 0.0, "alpha"),
                   dense([[1, -1, 1]], "b", scale=0.2, bias=np.array([-0.05])), norm(-1.0),
                   Threshold(name="y", levels=np.array([[0.01]])))
    after = to_integer(before)
    assert kinds(after) == [Input, Dense, Threshold, Dense, Threshold]
    same(before, after, 2 * (np.arange(16)[:, None] >> np.arange(4) & 1) - 1)


def test_scales_of_the_last_layer_stay_on_the_host():
    before = chain(bits_in(2), dense([[1, 1], [1, -1]], scale=np.array([0.1, 0.3]),
                                     bias=np.array([0.0, -0.2])), ArgMax(name="class"))
    after = to_integer(before)
    assert kinds(after) == [Input, Dense, Affine, ArgMax]
    same(before, after, np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]))


def test_meta_and_name_are_kept():
    before = chain(bits_in(2), dense([[1, 1]]))
    before = type(before)(before.nodes, "named", {"classes": ("a",)})
    after = to_integer(before)
    assert (after.name, after.meta) == ("named", {"classes": ("a",)})


@pytest.mark.parametrize(("nodes", "sentence"), [
    ([Input(name="x", shape=(2,)), dense([[1, 1]], "a"), SIGN, dense([[1]], "b")],
     ("Dense 'a' must read bits or integers of at most 8 bits (from the input, or a quantizer "
      "behind it), not real numbers")),
    ([bits_in(2), dense([[1, 1]], "a"), Relu(name="r"), dense([[1]], "b"), SIGN],
     "Dense 'a' must be followed by a Threshold or a Requantize, not Relu 'r'"),
    ([bits_in(2), dense([[0.1, 1]], "a", None), SIGN, dense([[1]], "b")],
     "Dense 'a' must have integer weights, not real ones"),
    ([bits_in(2), dense([[300, 1]], "a", 16), SIGN],
     "Dense 'a' must have weights of at most 8 bits, not 16"),
    ([bits_in(2), SIGN], "Graph 'net' must have at least one Dense or Conv layer, not none"),
    ([Input(name="x", shape=(9,), type=Fixed(8, signed=False)),
      dense(np.full((1, 9), 127), "a", 8, bias=np.array([2 ** 31]))],
     "Dense 'a' must have sums of at most 32 bits, not a sum of 2147483648"),
])
def test_refusals(nodes, sentence):
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        to_integer(chain(*nodes))


needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"needs real data in {DATA}")


@needs_data
@pytest.mark.parametrize(("model", "correct"), [
    ("bnn-pynq/mnist/lfcW1A1", 9840), ("finn-tfc-w1a1/model.onnx", 9296),
    ("brevitas/mlp_w1a1.onnx", None), ("brevitas/mlp_w1a1_clean.onnx", None),
])
def test_trained_networks(model, correct):
    """All of MNIST's test pictures: not one answer changes."""
    before = load(DATA / model)
    after = to_integer(before)
    test = datasets.load(DATA / "mnist")
    same(before, after, test.x)
    if correct:
        assert (golden.run(after, test.x) == test.labels).sum() == correct


@needs_data
def test_trained_convolutions():
    """CNV on the first twenty test pictures of CIFAR-10, of which it knows seventeen."""
    before = load(DATA / "bnn-pynq" / "cifar10" / "cnvW1A1")
    after = to_integer(before)
    test = datasets.load(DATA / "cifar10" / "test20.bin")
    same(before, after, test.x)
    assert (golden.run(after, test.x) == test.labels).sum() == 17
    assert [layer.on_array for layer in split(after).layers] == [False] + 8 * [True]


@needs_data
@pytest.mark.parametrize("model", ["cnn_w1a1.onnx", "cnn_w1a1_clean.onnx"])
def test_exported_convolutions(model):
    before = load(DATA / "brevitas" / model)
    after = to_integer(before)
    assert len(split(after).body) == 5
    with np.load(DATA / "brevitas" / "cnn_w1a1_expected.npz") as expected:
        same(before, after, expected["x"])


@needs_data
def test_float_convolutions_in_eight_bits():
    before = load(DATA / "mnist-conv" / "model.onnx")
    test = datasets.load(DATA / "mnist")
    after = to_integer(before, test.x[-100:])
    was, now = ((golden.run(graph, test.x[:400]).argmax(-1) == test.labels[:400]).mean()
                for graph in (before, after))
    assert was >= 0.98
    assert now >= was - 0.005

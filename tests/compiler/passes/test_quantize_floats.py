import numpy as np
import pytest

from compiler import golden
from compiler.ir import (
    Affine,
    ArgMax,
    Dense,
    Fixed,
    Graph,
    Input,
    Real,
    Relu,
    Requantize,
    Weighted,
)
from compiler.passes import to_integer
from compiler.passes.precision import Widths
from compiler.passes.quantize_floats import quantize_floats, quantized
from compiler.passes.rewriting import PassError
from tests.compiler.passes.networks import affine, bits_in, chain, dense, kinds, norm


CLASSES, FEATURES, HIDDEN = 4, 16, 24


@pytest.fixture(scope="module")
def task():
    """Noisy pictures of classes, as bytes, and what they are."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, 3000)
    middles = rng.integers(0, 256, (CLASSES, FEATURES))
    x = (middles[labels] + rng.normal(0, 60, (3000, FEATURES))).clip(0, 255).astype(np.uint8)
    return x, labels


@pytest.fixture(scope="module")
def network(task):
    """Random features and least squares: a float network that knows its task."""
    x, labels = task
    rng = np.random.default_rng(2)
    first, beta = rng.normal(size=(HIDDEN, FEATURES)), rng.normal(size=HIDDEN)
    hidden = np.maximum((x / 255) @ first.T + beta, 0)
    design = np.c_[hidden, np.ones(len(x))][:2000]
    last = np.linalg.lstsq(design, np.eye(CLASSES)[labels[:2000]], rcond=None)[0].T

    def make(kind):
        return chain(Input(name="x", shape=(FEATURES,), type=kind),
                     affine(1 / 255, 0.0, "scaled"), dense(first, "a", None),
                     norm(np.ones(HIDDEN), beta, variance=1 - 1e-5), Relu(name="relu"),
                     dense(last[:, :-1], "b", None, bias=last[:, -1].copy()),
                     ArgMax(name="class"))

    return make


@pytest.mark.parametrize("kind", [Real(), Fixed(8, signed=False)])
@pytest.mark.parametrize(("bits", "drop"), [(8, 0.005), (6, 0.02), (4, 0.2)])
def test_accuracy_drop(task, network, kind, bits, drop):
    x, labels = task[0][2000:], task[1][2000:]
    before = network(kind)
    after = to_integer(before, task[0][:500], bits)
    was, now = ((golden.run(graph, x) == labels).mean() for graph in (before, after))
    assert was > 0.9
    assert now >= was - drop


def test_form(task, network):
    after = to_integer(network(Fixed(8, signed=False)), task[0][:500])
    assert kinds(after) == [Input, Dense, Requantize, Dense, Affine, ArgMax]
    assert not after["relu"].signed
    assert after["a"].bias.dtype.kind == "i"
    real = to_integer(network(Real()), task[0][:500])
    assert kinds(real)[:4] == [Input, Affine, Affine, Requantize]


def test_values_are_near(task, network):
    """Logits of 8 bits differ from real ones by a few per cent of their range."""
    before = network(Real())
    after = quantize_floats(before, task[0][:500], 8)
    before, after = (Graph(graph.nodes[:-1]) for graph in (before, after))
    was, now = golden.run(before, task[0]), golden.run(after, task[0])
    assert np.abs(was - now).mean() < 0.03 * np.ptp(was)


def test_without_data(network):
    with pytest.raises(PassError, match="^Network 'net' must have quantizers, or inputs to learn "
                                        "its ranges from \\(give some with --data\\), "
                                        "not neither$"):
        to_integer(network(Real()))


def test_bits(network, task):
    with pytest.raises(PassError, match="^A network can be quantized to 2 to 8 bits, not 9$"):
        to_integer(network(Real()), task[0], bits=9)


def test_integer_network_of_one_layer_stays():
    before = chain(bits_in(2), dense([[1, -1]]))
    assert quantize_floats(before, None, 8) is before


@pytest.mark.parametrize(("mode", "low", "high"), [
    ("static", 8, 8), ("static", 6, 6), ("power-of-two", 2, 8),
])
def test_modes(task, network, mode, low, high):
    """Widths of weights count for nothing where they are powers of two."""
    x, labels = task
    widths = Widths(low, low, high)
    made = quantized(network(Real()), x[:500], widths, mode)
    after = to_integer(made)
    assert (golden.run(after, x[2000:]) == labels[2000:]).mean() >= 0.9
    assert all(node.shifts == (mode == "power-of-two") for node in after.nodes
               if isinstance(node, Weighted))


def test_static_has_one_length_for_data_and_one_for_weights(task, network):
    made = quantized(network(Real()), task[0][:500], Widths.of(8), "static")
    data = {node.fl for node in made.nodes if isinstance(node, Requantize)}
    first, last = (node for node in made.nodes if isinstance(node, Dense))
    assert len(data) == 1
    length, = data
    total = made["relu"].shift + length
    values = next(node for node in made.nodes if node.name == "b.values")
    assert values.scale == 2.0 ** -total
    largest = max(np.abs(node.weights).max() for node in (first, last))
    assert 64 <= largest <= 128


def test_widths_of_parts(task, network):
    made = quantized(network(Real()), task[0][:500], Widths(conv=2, dense=3, data=5))
    assert {node.bits for node in made.nodes if isinstance(node, Dense)} == {3}
    assert {node.bits for node in made.nodes if isinstance(node, Requantize)} == {5}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_are_finite(network, value):
    x = np.ones((3, FEATURES))
    x[1, 2] = value
    with pytest.raises(PassError, match="^Inputs to learn ranges from must be finite, "
                                        "not infinite or NaN$"):
        to_integer(network(Real()), x)


def test_mode():
    with pytest.raises(ValueError, match="^Mode must be one of dynamic, static, power-of-two, "
                                         "not 'ternary'$"):
        quantized(chain(bits_in(2), dense([[1, -1]])), None, Widths.of(8), "ternary")

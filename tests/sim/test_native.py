import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from compiler import golden
from compiler.codegen.tensors import Form, Tensor
from compiler.errors import MissingToolError, ToolError, UserError
from compiler.executors import Golden, compare
from compiler.frontends import load
from compiler.ir import (
    Affine,
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    Input,
    MaxPool,
    Threshold,
)
from sim.native import Native, pack_bits
from tests.compiler.codegen.networks import dense_graph, networks


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(networks())
def test_run(network):
    graph, x = network
    np.testing.assert_array_equal(Native(graph, cflags=("-O1",)).run(x), golden.run(graph, x))


def picture_network():
    """3 x 4 pixels, a binary last layer, and a class."""
    rng = np.random.default_rng(0)
    return Graph((
        Input(name="x", shape=(3, 4, 1), type=Fixed(8, signed=False)),
        Flatten(name="flat", inputs=("x",)),
        Threshold(name="bits", inputs=("flat",), levels=np.array([[128]])),
        Dense(name="dense", inputs=("bits",), weights=rng.choice([-1, 1], (5, 12)), bits=1),
        Threshold(name="sign", inputs=("dense",), levels=np.zeros((5, 1), int)),
        HighestBit(name="class", inputs=("sign",)),
    ))


def test_trace_and_outputs(tmp_path):
    graph = picture_network()
    x = np.random.default_rng(1).integers(0, 256, (20, 3, 4, 1))
    native = Native(graph, tmp_path, cflags=("-O1",))
    expected = {node.name: value for node, value in golden.trace(graph, x)}
    layers = native.trace(x)
    assert list(layers) == ["sign"]
    np.testing.assert_array_equal(layers["sign"], expected["sign"])
    np.testing.assert_array_equal(native.outputs(native.inputs(x)), expected["sign"])
    np.testing.assert_array_equal(native.run(x), expected["class"])
    assert native.outputs(native.inputs(x[:0])).shape == (0, 5)
    assert (tmp_path / "net.c").exists()


def test_pool_on_the_way():
    """A layer that goes right into the pool behind it has no tensor, and `compare` knows that."""
    graph = Graph((
        Input(name="x", shape=(4, 6, 3), type=Binary()),
        Conv(name="sums", inputs=("x",), weights=np.ones((5, 1, 1, 3), int), bits=1),
        Threshold(name="bits", inputs=("sums",), levels=np.array([[2]])),
        MaxPool(name="pool", inputs=("bits",), kernel=(2, 2), stride=(2, 2)),
        Conv(name="last", inputs=("pool",), weights=np.ones((2, 2, 1, 5), int), bits=1)))
    x = np.random.default_rng(3).choice([-1, 1], (2, 4, 6, 3))
    made = Native(graph, cflags=("-O1",)).trace(x)
    assert list(made) == ["bits", "pool", "last"]
    assert made["bits"] is None
    assert compare("c", made, Golden(graph).trace(x)) is None


def test_real_prefix_and_suffix():
    rng = np.random.default_rng(2)
    nodes = picture_network().nodes
    graph = Graph((
        Input(name="x", shape=(3, 4, 1)),
        Affine(name="scaled", inputs=("x",), scale=0.5),
        Flatten(name="flat", inputs=("scaled",)),
        Threshold(name="bits", inputs=("flat",), levels=np.array([[0.25]])),
        *nodes[3:5],
        Affine(name="real", inputs=("sign",), scale=rng.normal(size=5), offset=0.5),
    ))
    x = rng.normal(size=(50, 3, 4, 1))
    np.testing.assert_array_equal(Native(graph, cflags=("-O1",)).run(x), golden.run(graph, x))


def test_temporary_folder_is_removed():
    native = Native(picture_network())
    folder = native.build_dir
    assert folder.exists()
    del native
    assert not folder.exists()


def test_values_out_of_range():
    native = Native(dense_graph(np.ones((1, 2), int), bits=1, kind=Fixed(4)))
    with pytest.raises(UserError, match=(
            r"^Values of 'x' must lie between -8 and 7, not -8 and 8$")):
        native.inputs(np.array([[-8, 8]]))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_pack_bits(count):
    values = np.random.default_rng(count).choice([-1, 1], (3, count))
    words = pack_bits(values, Tensor("x", (count,), Binary(), Form.PLANES))
    assert words.shape == (3, -(-count // 64))
    for row, packed in zip(values, words, strict=True):
        number = sum(int(word) << 64 * at for at, word in enumerate(packed))
        assert number == sum(1 << at for at, value in enumerate(row) if value > 0)


@pytest.mark.parametrize(("channels", "bits", "words"), [
    (1, 8, 1), (8, 8, 1), (9, 16, 1), (17, 32, 1), (33, 64, 1), (64, 64, 1), (65, 64, 2),
])
def test_pack_pixels(channels, bits, words):
    """Every pixel begins with a word of its own."""
    values = np.random.default_rng(channels).choice([-1, 1], (2, 3, 5, channels))
    packed = pack_bits(values, Tensor("x", values.shape[1:], Binary(), Form.PLANES))
    assert (packed.shape, packed.dtype.itemsize) == ((2, 3 * 5 * words), bits // 8)
    for pixel, row in zip(values.reshape(-1, channels), packed.reshape(-1, words), strict=True):
        number = sum(int(word) << bits * at for at, word in enumerate(row))
        assert number == sum(1 << at for at, value in enumerate(pixel) if value > 0)


def test_no_c_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match=(
            r"^A C compiler must be installed \(gcc or clang\), or named in CC; "
            r"found none as cc, gcc, clang$")):
        Native(dense_graph(np.ones((1, 2), int), bits=1, kind=Binary()))


def test_flags_that_the_compiler_refuses():
    native = Native(picture_network(), cflags=("-no-such-flag",))
    with pytest.raises(ToolError, match=re.escape("no-such-flag")):
        native.outputs(np.zeros((1, 12), np.uint8))


def shared_data(*names):
    """Folders beside the checkout, or in XNORLOOM_DATA."""
    data = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folders = [data / name for name in names]
    for folder in folders:
        if not folder.is_dir():
            pytest.skip(f"needs {folder}")
    return folders


def test_trained_convolutions():
    """CNV as BNN-PYNQ trained it: 976 of 1,000 pictures that it knows, 17 of 20 that it does not.
    """
    cifar, parameters = shared_data("cifar10", "bnn-pynq/cifar10/cnvW1A1")
    graph = load(parameters)
    native = Native(graph)
    for name, right in ("train_first1000.bin", 976), ("test20.bin", 17):
        records = np.frombuffer((cifar / name).read_bytes(), np.uint8).reshape(-1, 3073)
        x = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        assert (native.run(x) == records[:, 0]).sum() == right
    layers = native.trace(x)
    for node, expected in golden.trace(graph, x):
        if layers.get(node.name) is not None:
            np.testing.assert_array_equal(layers.pop(node.name), expected, node.name)
    assert set(layers.values()) <= {None}


def test_trained_network():
    """LFC as BNN-PYNQ trained it, on all of the MNIST test set: 98.40 % as measured there."""
    mnist, parameters = shared_data("mnist", "bnn-pynq/mnist/lfcW1A1")
    graph = load(parameters)
    with gzip.open(mnist / "t10k-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(10_000, 784)
    with gzip.open(mnist / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    native = Native(graph)
    assert (native.run(x) == labels).sum() == 9840
    layers = native.trace(x[:100])
    for node, expected in golden.trace(graph, x[:100]):
        if node.name in layers:
            np.testing.assert_array_equal(layers[node.name], expected)

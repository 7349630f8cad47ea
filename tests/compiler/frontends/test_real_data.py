import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from compiler import datasets, golden
from compiler.frontends import load
from compiler.ir import ArgMax, Conv, Dense, Fixed, HighestBit, Real, Weighted
from compiler.passes import to_integer
from tests.compiler.frontends.real_data import mnist_test, shared


def correct(graph):
    images, labels = mnist_test()
    return int((golden.run(graph, images).reshape(-1) == labels).sum())


def test_lfc():
    graph = load(shared("bnn-pynq/mnist/lfcW1A1"))
    assert graph.name == "lfcW1A1"
    assert graph.input.shape == (784,)
    assert [node.weights.shape for node in graph.nodes if isinstance(node, Dense)] == [
        (1024, 784), (1024, 1024), (1024, 1024), (10, 1024)]
    assert isinstance(graph.output, HighestBit)
    assert graph.meta["classes"] == list("0123456789")
    assert correct(graph) == 9840


def test_tfc_on_mnist():
    graph = load(shared("finn-tfc-w1a1/model.onnx"))
    assert graph.input.type == Fixed(8, signed=False)
    assert isinstance(graph.output, ArgMax)
    assert [node.bits for node in graph.nodes if isinstance(node, Dense)] == [1] * 4
    assert correct(graph) == 9296


def test_tfc_on_its_own_input():
    folder = shared("finn-tfc-w1a1")
    graph = load(folder / "model.onnx")
    np.testing.assert_array_equal(golden.run(graph, np.load(folder / "input.npy")),
                                  np.load(folder / "expected_output.npy"))


@pytest.mark.parametrize("name", ["mlp_w1a1", "mlp_w1a1_clean"])
def test_brevitas(name):
    graph = load(shared(f"brevitas/{name}.onnx"))
    assert graph.input.type == Real()
    assert [node.bits for node in graph.nodes if isinstance(node, Dense)] == [1] * 4
    expected = np.load(shared("brevitas/mlp_w1a1_expected.npz"))
    np.testing.assert_allclose(golden.run(graph, expected["x"]), expected["y"], atol=1e-4)


@pytest.mark.parametrize("name", ["cnn_w1a1", "cnn_w1a1_clean"])
def test_brevitas_convolutions(name):
    graph = load(shared(f"brevitas/{name}.onnx"))
    assert graph.input.shape == (28, 28, 1)
    assert [(type(node), node.bits) for node in graph.nodes if isinstance(node, Weighted)] == [
        (Conv, 1), (Conv, 1), (Dense, 1)]
    expected = np.load(shared("brevitas/cnn_w1a1_expected.npz"))
    pictures = expected["x"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(golden.run(graph, pictures), expected["y"], atol=1e-4)


def test_float_convolutions_on_mnist():
    graph = load(shared("mnist-conv/model.onnx"), input_type="uint8")
    assert graph.input.shape == (28, 28, 1)
    images, labels = mnist_test()
    found = [golden.run(graph, images[at:at + 200]).argmax(-1) for at in range(0, 10000, 200)]
    assert (np.concatenate(found) == labels).sum() == 9891


def test_float_convolutions_on_their_own_input():
    folder = shared("mnist-conv/test_data_set_0")
    given, expected = (numpy_helper.to_array(TensorProto.FromString((folder / name).read_bytes()))
                       for name in ("input_0.pb", "output_0.pb"))
    graph = load(shared("mnist-conv/model.onnx"))
    np.testing.assert_allclose(golden.run(graph, given.transpose(0, 2, 3, 1)), expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "count", "right"), [("test20", 20, 17),
                                                      ("train_first1000", 1000, 976)])
def test_cnv(name, count, right):
    graph = load(shared("bnn-pynq/cifar10/cnvW1A1"))
    assert graph.name == "cnvW1A1"
    assert graph.input.shape == (32, 32, 3)
    assert graph.meta["classes"][:2] == ["Airplane", "Automobile"]
    assert [node.weights.shape for node in graph.nodes if isinstance(node, Weighted)] == [
        (64, 3, 3, 3), (64, 3, 3, 64), (128, 3, 3, 64), (128, 3, 3, 128), (256, 3, 3, 128),
        (256, 3, 3, 256), (512, 256), (512, 512), (10, 512)]
    data = datasets.load(shared(f"cifar10/{name}.bin"))
    assert len(data) == count
    forms = [graph, to_integer(graph)] if count < 100 else [graph]  # as a thousand take their time
    for form in forms:
        found = [golden.run(form, data.x[at:at + 100]) for at in range(0, count, 100)]
        assert (np.concatenate(found) == data.labels).sum() == right

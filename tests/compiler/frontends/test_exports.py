"""Convolutional networks as PyTorch and Brevitas export them."""

import warnings

import numpy as np
import onnx
import pytest

from compiler import golden
from compiler.frontends import load
from compiler.ir import Add, AveragePool, Concat, Conv, Dense, MaxPool, Weighted
from tests.compiler.frontends.models import channels_last, run_model


@pytest.fixture(scope="module")
def torch():
    """PyTorch with a dice of our own, and one thread."""
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield torch


@pytest.fixture(params=["dynamo", "torchscript"])
def dynamo(request):
    if request.param == "dynamo":
        pytest.importorskip("onnxscript")
    return request.param == "dynamo"


def export(torch, model, shape, path, dynamo):
    """Write a model as ONNX, with norms that are not what a new one has."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            for tensor in module.running_mean, module.running_var, module.weight, module.bias:
                tensor.data.uniform_(0.5, 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (torch.randn(shape),), path, input_names=["x"],
                          dynamo=dynamo, verbose=False)
    return path


def holds(torch, model, shape, folder, dynamo):
    """Export a model, compare it with PyTorch, and return the kinds of its nodes."""
    path = export(torch, model, shape, folder / "model.onnx", dynamo)
    graph = load(path)
    x = torch.randn(3, *shape[1:])
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(golden.run(graph, channels_last(x.numpy())), expected, atol=1e-4)
    return [type(node) for node in graph.nodes]


def residual_network(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, channels, stride):
            super().__init__()
            self.main = nn.Sequential(
                nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels),
                nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1, groups=channels),
                nn.BatchNorm2d(channels))
            self.side = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x):
            return nn.functional.relu(self.main(x) + self.side(x))

    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1), Block(8, 1), Block(8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 5))


def test_residual_network(torch, tmp_path, dynamo):
    kinds = holds(torch, residual_network(torch), (1, 3, 30, 26), tmp_path, dynamo)
    assert [kinds.count(kind) for kind in (Conv, MaxPool, AveragePool, Add, Dense)] == [
        6, 1, 1, 2, 1]


def branching_network(torch):
    nn = torch.nn

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 6, 3)
            self.left = nn.Conv2d(6, 4, (1, 3), padding=(0, 1))
            self.right = nn.Conv2d(6, 2, (3, 1), stride=1, padding=(1, 0))
            self.norm = nn.BatchNorm1d(6 * 3 * 4)
            self.last = nn.Linear(6 * 3 * 4, 4)

        def forward(self, x):
            x = torch.relu(self.first(nn.functional.pad(x, (1, 0, 2, 0))))
            x = torch.cat([self.left(x), self.right(x)], 1)
            x = nn.functional.avg_pool2d(nn.functional.max_pool2d(x, 2, ceil_mode=True), 2, 1)
            return self.last(torch.relu(self.norm(x.reshape(x.shape[0], -1))))

    return Branches()


def test_branching_network(torch, tmp_path, dynamo):
    kinds = holds(torch, branching_network(torch), (1, 2, 7, 10), tmp_path, dynamo)
    assert [kinds.count(kind) for kind in (Conv, MaxPool, AveragePool, Concat, Dense)] == [
        3, 1, 1, 1, 1]


@pytest.fixture(scope="module")
def brevitas(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("brevitas.nn")


@pytest.mark.parametrize("bits", [1, 4])
def test_quantized_network(torch, brevitas, tmp_path, bits):
    """QONNX of Brevitas, held to qonnx's own executor."""
    pytest.importorskip("qonnx")
    model = quantized_network(torch, brevitas, bits)
    path = tmp_path / "model.onnx"
    shape = 1, 2, 9, 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.export import export_qonnx
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.util.cleanup import cleanup_model
        model(torch.randn(8, *shape[1:]))
        export_qonnx(model.eval(), torch.randn(shape), export_path=str(path), input_names=["x"])
        clean = cleanup_model(ModelWrapper(str(path)))
        given, made = clean.graph.input[0].name, clean.graph.output[0].name
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        expected = execute_onnx(clean, {given: x})[made]
    onnx.save(clean.model, tmp_path / "clean.onnx")
    for name in "model.onnx", "clean.onnx":
        graph = load(tmp_path / name)
        assert {node.bits for node in graph.nodes if isinstance(node, Weighted)} == {bits}
        np.testing.assert_allclose(golden.run(graph, channels_last(x)), expected, atol=1e-4)


def quantized_network(torch, brevitas, bits):
    from brevitas.quant import (
        Int8ActPerTensorFloat,
        Int8WeightPerChannelFloat,
        SignedBinaryActPerTensorConst,
        SignedBinaryWeightPerTensorConst,
    )
    nn = torch.nn
    if bits == 1:
        def act():
            return brevitas.QuantIdentity(act_quant=SignedBinaryActPerTensorConst)
        weights = {"weight_quant": SignedBinaryWeightPerTensorConst, "bias": False}
    else:
        def act():
            return brevitas.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=bits)
        weights = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": bits,
                   "bias": False}
    return nn.Sequential(
        act(), brevitas.QuantConv2d(2, 6, 3, padding=1, **weights), nn.BatchNorm2d(6), act(),
        nn.MaxPool2d(2), brevitas.QuantConv2d(6, 8, 2, groups=2, **weights), nn.BatchNorm2d(8),
        act(), nn.Flatten(), brevitas.QuantLinear(8 * 3 * 3, 5, **weights))


def test_run_model_is_a_judge(torch, tmp_path, dynamo):
    """ONNX Runtime, which other tests ask, agrees with PyTorch."""
    model = residual_network(torch)
    path = export(torch, model, (1, 3, 20, 20), tmp_path / "model.onnx", dynamo)
    x = torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(run_model(onnx.load(path), x.numpy()), expected, atol=1e-4)

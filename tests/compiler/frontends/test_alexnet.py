"""XNOR-Net AlexNet of PyTorch, an eighth as wide, exported as QONNX."""

import warnings

import numpy as np
import pytest

from compiler import golden, models, topology
from compiler.cost import cost, cost_of_graph
from compiler.frontends import load
from compiler.ir import Threshold, Weighted
from compiler.passes import to_integer
from compiler.verify import verify
from compiler.workload import Workload


NET = topology.read(models.network("alexnet-xnor-8th"))
DOMAIN = "qonnx.custom_op.general"


def network(torch):
    nn, functional = torch.nn, torch.nn.functional

    def constant(g, value):
        return g.op("Constant", value_t=torch.tensor(float(value)))

    class Sign(torch.autograd.Function):
        """Straight through where it is not saturated, as XNOR-Net trains."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.where(x >= 0, 1.0, -1.0)

        @staticmethod
        def backward(ctx, gradient):
            x, = ctx.saved_tensors
            return gradient * (x.abs() < 1)

        @staticmethod
        def symbolic(g, x):
            return g.op(f"{DOMAIN}::BipolarQuant", x, constant(g, 1)).setType(x.type())

    class Octets(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale, signed):
            low = -128 if signed else 0
            return (x / scale).round().clamp(low, low + 255) * scale

        @staticmethod
        def backward(ctx, gradient):
            return gradient, None, None

        @staticmethod
        def symbolic(g, x, scale, signed):
            return g.op(f"{DOMAIN}::Quant", x, constant(g, scale), constant(g, 0), constant(g, 8),
                        signed_i=int(signed), narrow_i=0, rounding_mode_s="ROUND"
                        ).setType(x.type())

    class Binary(nn.Module):
        def __init__(self, inputs, outputs, kernel, pad=0, pool=False):
            super().__init__()
            self.norm = nn.BatchNorm2d(inputs, eps=1e-4)
            self.conv = nn.Conv2d(inputs, outputs, kernel, padding=pad, bias=False)
            self.pool = nn.MaxPool2d(3, 2) if pool else nn.Identity()

        def forward(self, x):
            weight = self.conv.weight
            alpha = weight.detach().abs().mean((1, 2, 3)).reshape(1, -1, 1, 1)
            x = functional.conv2d(Sign.apply(self.norm(x)), Sign.apply(weight),
                                  padding=self.conv.padding)
            return self.pool(x * alpha)

    class Edge(nn.Module):
        def __init__(self, *arguments, **keys):
            super().__init__()
            self.conv = nn.Conv2d(*arguments, **keys)

        def forward(self, x):
            weight = self.conv.weight
            scale = float(weight.abs().max() / 127)
            return functional.conv2d(x, Octets.apply(weight, scale, True), self.conv.bias,
                                     self.conv.stride, self.conv.padding)

    class AlexNet(nn.Module):
        def __init__(self, width):
            super().__init__()
            n = [int(width * count) for count in (96, 256, 384, 384, 256, 4096, 4096)]
            self.register_buffer("mean", torch.tensor(NET.mean).reshape(1, 3, 1, 1) * 255)
            self.register_buffer("std", torch.tensor(NET.std).reshape(1, 3, 1, 1) * 255)
            self.first = Edge(3, n[0], 11, stride=4, padding=2, bias=False)
            self.body = nn.Sequential(
                nn.BatchNorm2d(n[0]), nn.ReLU(), nn.MaxPool2d(3, 2),
                Binary(n[0], n[1], 5, 2, True), Binary(n[1], n[2], 3, 1),
                Binary(n[2], n[3], 3, 1), Binary(n[3], n[4], 3, 1, True), Binary(n[4], n[5], 6),
                Binary(n[5], n[6], 1), nn.BatchNorm2d(n[6], eps=1e-3), nn.ReLU())
            self.last = Edge(n[6], 1000, 1)

        def forward(self, x):
            x = Octets.apply((x - self.mean) / self.std, 2.75 / 127, True)
            x = Octets.apply(self.body(self.first(x)), 2.0 ** -6, False)
            return self.last(x).flatten(1)

    return AlexNet(1 / 8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("onnx") / "alexnet.onnx"
    x = np.random.default_rng(0).integers(0, 256, (4, *NET.input), np.uint8)
    pictures = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.random.fork_rng(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = network(torch)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean of all that it sees
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        model.train()(pictures)
        model.eval()
        torch.onnx.export(model, (pictures[:1],), path, input_names=["x"], dynamo=False,
                          opset_version=17, custom_opsets={DOMAIN: 1})
        expected = model(pictures).numpy()
    return path, x, expected


def test_it_is_the_network_that_is_described(exported):
    graph = load(exported[0], input_type="uint8")
    assert graph.input.shape == NET.input
    ours, described = cost_of_graph(graph), cost(models.network("alexnet-xnor-8th"))
    assert [(layer.weights, layer.macs, layer.bits, layer.becomes_bits) for layer in ours.layers
            ] == [(layer.weights, layer.macs, layer.bits, layer.becomes_bits)
                  for layer in described.layers]


def test_it_answers_as_pytorch_does(exported):
    path, x, expected = exported
    graph = load(path, input_type="uint8")
    assert [node.bits for node in graph.nodes if isinstance(node, Weighted)] == [
        8, 1, 1, 1, 1, 1, 1, 8]
    assert sum(isinstance(node, Threshold) for node in graph.nodes) == 6
    found = golden.run(graph, x)
    # A sum of the first layer that lies at its level, but for rounding, is another bit.
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_it_runs_in_integers_and_in_c(exported):
    path, x, _ = exported
    graph = load(path, input_type="uint8")
    made = to_integer(graph)
    np.testing.assert_allclose(golden.run(made, x), golden.run(graph, x), atol=1e-9)
    assert verify(Workload("alexnet", made, None), "c", 2).agree

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden, models, topology
from compiler.frontends import ModelError, load
from compiler.ir import Binary, Fixed, Requantize, Weighted
from compiler.passes import to_integer
from compiler.stages import split
from compiler.verify import verify
from compiler.workload import Workload
from tests.compiler.frontends import torch7


WIDTH = 1 / 32
NETWORKS = {"xnor": torch7.xnor, "bwn": torch7.bwn}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def normal(torch, x):
    """What the networks are trained on, of octets (batch, height, width, channels)."""
    net = topology.read(models.network("alexnet-xnor"))
    values = (x / 255 - np.array(net.mean)) / np.array(net.std)
    return torch.from_numpy(values.astype(np.float32).transpose(0, 3, 1, 2).copy())


@pytest.fixture(scope="module", params=NETWORKS)
def saved(request, torch, tmp_path_factory):
    """A network with norms that fit it, its file, and some pictures."""
    chance = np.random.default_rng(5)
    network = NETWORKS[request.param](chance, WIDTH)
    x = chance.integers(0, 256, (6, 227, 227, 3), np.uint8)
    list(torch7.forward(torch, network, normal(torch, x), learn=True))
    path = torch7.write(tmp_path_factory.mktemp("t7") / f"{request.param}.t7", network)
    return request.param, network, path, x


def test_structure(saved):
    name, _, path, _ = saved
    graph = load(path)
    assert graph.name == name
    assert graph.input.shape == (227, 227, 3)
    weighted = [node for node in graph.nodes if isinstance(node, Weighted)]
    assert [node.bits for node in weighted] == [8, 1, 1, 1, 1, 1, 1, 8]
    assert [node.weights.shape for node in weighted] == [
        (3, 11, 11, 3), (8, 5, 5, 3), (12, 3, 3, 8), (12, 3, 3, 12), (8, 3, 3, 12), (128, 288),
        (128, 128), (10, 128)]
    layers = split(to_integer(graph)).layers
    kinds = [layer.input_type for layer in layers]
    octets = Fixed(8, signed=False)
    assert kinds[1:] == ([Binary()] * 6 if name == "xnor" else kinds[1:7]) + [kinds[7]]
    assert all(kind.bits == 8 and not kind.signed for kind in kinds[1:] if kind != Binary())
    assert kinds[7].bits == octets.bits
    assert isinstance(layers[6].activation, Requantize)  # slopes go into the last weights


def of_torch(torch, values):
    """Turn our (batch, ..., channels) into (batch, channels, height, width)."""
    values = values if values.ndim == 4 else values[:, None, None, :]
    return torch.from_numpy(values.astype(np.float32).transpose(0, 3, 1, 2).copy())


def marked(ours, kind):
    """Return the tensors of ``kind`` by the number of their module."""
    return {int(name.removeprefix(kind)): values for name, values in ours.items()
            if name.startswith(kind)}


def test_every_layer_is_what_pytorch_makes(saved, torch):
    """PyTorch takes what one of our layers leaves, and makes what our next one leaves."""
    name, network, path, x = saved
    ours = {node.name: values for node, values in golden.trace(load(path), x[:3])}
    modules = list(torch7.opened(network))
    found = marked(ours, "sign" if name == "xnor" else "octets")
    assert len(found) == (6 if name == "xnor" else 7)
    for begin, stop in itertools.pairwise(sorted(found)):
        unit = 1.0 if name == "xnor" else step(modules[begin - 2])
        *made, (_, last) = itertools.islice(torch7.forward(
            torch, network, of_torch(torch, found[begin]) * unit, start=begin), stop - begin)
        here = of_torch(torch, found[stop])
        if name == "xnor":  # but for sums that are at the level but for rounding
            sure = made[-1][1].abs() > 1e-5
            assert sure.float().mean() > 0.95
            assert (here == last)[sure].all()
        elif stop < max(found):
            wanted = (last / step(modules[stop - 2])).clip(0, 255)
            assert (here - wanted).abs().max() < 0.501


def step(module):
    """What one of 255 steps up to three deviations of a norm is worth."""
    fields = module.fields
    return float((fields["bias"] + 3 * abs(fields["weight"])).max()) / 255


def test_edges_are_near_those_of_pytorch(saved, torch):
    """Pictures, weights of edges, and what the last layer reads, have 8 bits here."""
    name, network, path, x = saved
    ours = {node.name: values for node, values in golden.trace(load(path), x)}
    found = marked(ours, "sign" if name == "xnor" else "octets")
    first, last = min(found), sorted(found)[-1 if name == "xnor" else -2]
    *_, (_, expected) = itertools.islice(
        torch7.forward(torch, network, normal(torch, x)), first)
    assert np.corrcoef(of_torch(torch, found[first]).ravel(), expected.ravel())[0, 1] > 0.98
    unit = 1.0 if name == "xnor" else step(list(torch7.opened(network))[last - 2])
    *_, (_, expected), _ = torch7.forward(torch, network, of_torch(torch, found[last]) * unit,
                                          start=last)
    answers = list(ours.values())[-1]
    assert answers.shape == expected.shape == (6, 10)
    assert np.abs(answers - expected.numpy()).max() < 0.1 * expected.std()


def test_the_c_answers_alike(saved):
    name, _, path, x = saved
    graph = load(path)
    work = Workload(name, to_integer(graph), None)
    np.testing.assert_allclose(golden.run(work.graph, x), golden.run(graph, x), atol=1e-6)
    assert verify(work, "c", 2).agree


def file_of(tmp_path, *modules):
    return torch7.write(tmp_path / "net.t7", torch7.sequential(*modules))


def with_fields(module, **changes):
    return torch7.Module(module.kind, {**module.fields, **changes})


CHANCE = np.random.default_rng(1)
CONV = torch7.convolution(CHANCE, 3, 2, 2, stride=99)
NORM = torch7.norm(CHANCE, 2, 1e-3)


def test_a_module_that_is_written_once_is_read_twice(tmp_path):
    last = torch7.convolution(CHANCE, 2, 2, 1)
    shared = file_of(tmp_path, CONV, NORM, torch7.relu(), last, NORM, torch7.relu(), last)
    assert [node.weights.shape for node in load(shared).nodes if isinstance(node, Weighted)] == [
        (2, 2, 2, 3), (2, 1, 1, 2), (2, 1, 1, 2)]


@pytest.mark.parametrize(("modules", "message"), [
    ([NORM], "must hold at least one SpatialConvolution, not none"),
    ([CONV, torch7.Module("nn.Tanh", {})], r"Module 2 \(Tanh\) must be one of SpatialConv"),
    ([CONV, torch7.relu(), torch7.convolution(CHANCE, 2, 2, 1)],
     r"Module 2 \(ReLU\) must follow a SpatialBatchNormalization, which tells how large"),
    ([CONV, NORM, torch7.convolution(CHANCE, 2, 2, 1)],
     r"Module 3 \(SpatialConvolution\) must follow the picture, a ReLU or a BinActiveZ"),
    ([torch7.convolution(CHANCE, 4, 2, 1)], r"must read what the one ahead makes, .*not 4 ch"),
    ([with_fields(CONV, groups=2)], "must have 1 group, not 2"),
    ([with_fields(CONV, kW=0)], "must have a whole number of at least 1 as kW, not 0"),
    ([with_fields(CONV, kW="3")], "must have a whole number of at least 1 as kW, not b'3'"),
    ([with_fields(CONV, weight=CONV.fields["bias"])], "a tensor of 24 numbers as weight, not 2"),
    ([with_fields(CONV, weight=None)], "a tensor of 24 numbers as weight, not None"),
    ([with_fields(CONV, weight=np.full((2, 3, 2, 2), np.nan, np.float32))],
     "must have finite numbers as weight"),
    ([with_fields(CONV, kH=300, weight=np.ones((2, 3, 300, 2), np.float32))],
     r"a kernel of \(300, 2\) must fit the picture"),
    ([CONV, with_fields(NORM, running_var=np.full(2, -1, np.float32))], "variances above 0"),
    ([CONV, with_fields(NORM, eps=None)], "must have a number as eps, not None"),
    ([CONV, with_fields(torch7.pool(2, 2), ceil_mode=True)], "must take whole windows, not begin"),
    ([CONV, torch7.dropout(1.0)], "must keep a share of its input, not 0.0"),
    ([CONV, *torch7.end(2)], r"Module 2 \(View\) must read one place, not a picture of 3 x 3"),
])
def test_refusals(tmp_path, modules, message):
    with pytest.raises(ModelError, match=message):
        load(file_of(tmp_path, *modules))


def test_its_input_is_octets(tmp_path):
    path = file_of(tmp_path, CONV)
    with pytest.raises(ModelError, match="must be uint8, not Binary"):
        load(path, input_type="binary")
    assert load(path, input_type="uint8").name == "net"


def test_a_network_within_itself(tmp_path):
    network = torch7.sequential(CONV)
    network.fields["modules"][2] = network
    with pytest.raises(ModelError, match="not one within itself"):
        load(torch7.write(tmp_path / "net.t7", network))


@pytest.mark.parametrize("content", [{"modules": {}}, {1: 2}])
def test_what_is_no_network(tmp_path, content):
    path = torch7.write(tmp_path / "net.t7", torch7.Module("nn.Sequential", content))
    with pytest.raises(ModelError, match="^A (Torch7 file|Sequential) must "):
        load(path)


GOOD = torch7.encoded(torch7.sequential(CONV, NORM, torch7.relu(),
                                        torch7.convolution(CHANCE, 2, 3, 3), *torch7.end(3)))


def taken(path, content):
    """Whether a file is taken; else it must be refused."""
    path.write_bytes(content)
    try:
        load(path)
    except ModelError:
        return False
    return True


def test_cut_files(tmp_path):
    assert taken(tmp_path / "net.t7", GOOD)
    for length in range(4, len(GOOD), 3):
        assert not taken(tmp_path / "net.t7", GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_damaged_files(tmp_path_factory, at, octets):
    folder = tmp_path_factory.getbasetemp()
    taken(folder / "damaged.t7", GOOD[:at] + octets + GOOD[at + len(octets):])

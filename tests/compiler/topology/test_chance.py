import numpy as np
import pytest

from compiler import golden, models
from compiler.frontends import load
from compiler.ir import Binary, Fixed, Requantize
from compiler.passes import to_integer
from compiler.stages import split
from compiler.topology import read, with_random_weights
from compiler.topology.chance import POINTS, highest, moments, normal
from compiler.verify import verify
from compiler.workload import open_workload


RUNNING = [name for name in models.names() if name.startswith("alexnet-")
           and name.endswith("-8th")]


def test_highest_of_some():
    chance = np.random.default_rng(0)
    values = chance.normal(3, 2, (20_000, 9)).max(1)
    found = highest(normal(np.array([3.0]), np.array([4.0])), 9)[0]
    assert found.shape == (POINTS,)
    assert found.mean() == pytest.approx(values.mean(), rel=0.02)
    assert found.std() == pytest.approx(values.std(), rel=0.03)


@pytest.mark.parametrize("groups", [1, 2])
def test_moments(groups):
    chance = np.random.default_rng(0)
    weights = chance.integers(-9, 9, (4, 3, 3, 6 // groups))
    seen = np.sort(chance.normal(1, 2, (6, POINTS)), 1)
    mean, variance = moments(weights, seen, groups)
    for out in range(4):
        source = seen if groups == 1 else np.split(seen, 2)[out // 2]
        sums = np.einsum("yxc,cyxn->n", weights[out],
                         np.stack([chance.choice(row, (3, 3, 4000)) for row in source]))
        assert mean[out] == pytest.approx(sums.mean(), abs=4 * sums.std() / 60)
        assert variance[out] == pytest.approx(sums.var(), rel=0.15)


@pytest.mark.parametrize("name", RUNNING)
def test_values_do_not_degenerate(name):
    graph = load(models.network(name))
    x = np.random.default_rng(3).integers(0, 256, (2, *graph.input.shape), np.uint8)
    for node, values in golden.trace(graph, x):
        if isinstance(graph.type(node.name), Binary) and "sign" in node.name:
            assert 0.35 < (values > 0).mean() < 0.65
            assert (values[0] != values[1]).mean() > 0.3
            same = (values == values[:1, ..., :]).all((0, *range(1, values.ndim - 1)))
            assert values.ndim == 2 or same.mean() < 0.05
        if node.name.startswith("quantize"):
            assert 0.3 < (values == 0).mean() < 0.7
            assert (values == values.max()).mean() < 0.02


@pytest.mark.parametrize("name", RUNNING)
def test_the_integer_network_and_the_c_answer_alike(name):
    work = open_workload(name)
    x = work.samples(2).x
    np.testing.assert_array_equal(golden.run(work.graph, x),
                                  golden.run(load(models.network(name)), x))
    assert verify(work, "c", 2).agree


def test_kinds_of_layers():
    xnor, bwn = (split(to_integer(load(models.network(name)))).layers
                 for name in ("alexnet-xnor-8th", "alexnet-bwn-8th"))
    bits = [8, 1, 1, 1, 1, 1, 1, 8]
    assert [layer.sums.bits for layer in xnor] == [layer.sums.bits for layer in bwn] == bits
    assert [layer.on_array for layer in xnor] == [False, *[True] * 6, False]
    octets = Fixed(8, signed=False)
    assert all(layer.input_type.bits == 8 for layer in bwn)
    assert all((layer.input_type.signed == octets.signed) for layer in bwn[1:])
    assert all(isinstance(layer.activation, Requantize) for layer in bwn[:-1])


def test_a_seed_is_a_network(tmp_path):
    path = tmp_path / "net.toml"
    nets = []
    for seed in (1, 1, 2):
        path.write_text(f"input = [8, 8, 2]\nseed = {seed}\nlayers = [{{dense = 3, bits = 1}}]")
        nets.append(with_random_weights(read(path)).nodes[-1].weights)
    assert (nets[0] == nets[1]).all()
    assert (nets[0] != nets[2]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet-xnor", "alexnet-bwn"])
def test_full_size(name):
    assert verify(open_workload(name), "c", 1).agree


def test_inputs_that_do_not_vary(tmp_path):
    """A picture is never negative, so its signs are all the same."""
    path = tmp_path / "net.toml"
    path.write_text("""input = [8, 8, 1]
layers = ["sign", {dense = 16, bits = 1}, "sign", {dense = 10, bits = 1}]""")
    graph = with_random_weights(read(path))
    assert np.isfinite(graph.nodes[-1].scale).all()

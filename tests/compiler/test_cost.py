"""Published and recomputed sizes of known networks; the sources are in `docs/alexnet.md`."""

from dataclasses import replace
from pathlib import Path

import pytest

from compiler import models
from compiler.cost import Widths, cost, cost_of_graph, cost_of_topology
from compiler.frontends import load
from compiler.topology import read


def described(name, **changes):
    return replace(read(models.network(name)), **changes)


def with_real_edges(net):
    return replace(net, rows=tuple(replace(row, bits=None) if row.bits == 8 and row.weighted
                                   else row for row in net.rows))


# Octets of every layer in binarynet-tensorflow's structures of weights.
SIZES = {
    "alexnet-xnor": [36_400, 77_344, 111_408, 166_704, 111_136, 4_727_296, 2_129_920, 4_112_000],
    "alexnet-bwn":  [36_384, 78_848, 113_664, 168_960, 112_640, 4_751_360, 2_129_920, 4_112_000],
}
REAL_EDGES = {"alexnet-xnor": (139_792, 16_388_000), "alexnet-bwn": (139_776, 16_388_000)}
TOTALS = {"alexnet-xnor": (11_472_208, 23_851_600), "alexnet-bwn": (11_503_776, 23_883_168)}


@pytest.mark.parametrize("name", SIZES)
def test_alexnet_is_as_large_as_published(name):
    net = described(name)
    octets = [layer.octets() for layer in cost_of_topology(net).layers]
    assert octets == SIZES[name]
    real = cost_of_topology(with_real_edges(net))
    first, last = REAL_EDGES[name]
    assert [layer.octets() for layer in real.layers] == [first, *octets[1:-1], last]
    assert (cost_of_topology(net).octets(), real.octets()) == TOTALS[name]
    # The figures of its README, in MiB.
    published = {"alexnet-xnor": (10.9, 22.7), "alexnet-bwn": (11.0, 22.8)}[name]
    for total, rounded in zip(TOTALS[name], published, strict=True):
        assert abs(total / 2 ** 20 - rounded) <= 0.05


def test_the_page_has_these_figures():
    """`docs/alexnet.md` names every size, and the cost of every network."""
    page = (Path(__file__).parents[2] / "docs" / "alexnet.md").read_text()
    rows = [tuple(cell.strip(" `") for cell in line.split("|")[1:-1])
            for line in page.splitlines() if line.startswith("|")]
    xnor, bwn = (cost(models.network(name)) for name in ("alexnet-xnor", "alexnet-bwn"))
    for ours, other in zip(xnor.layers, bwn.layers, strict=True):
        assert (ours.name, f"{ours.octets():,}", f"{other.octets():,}") in rows
    assert ("all", f"{xnor.octets():,}", f"{bwn.octets():,}") in rows
    for name in ("mobilenet-v1", "mobilenet-v1-half-160", "mobilenet-v2", "squeezenet",
                 "mobilefacenet"):
        net = cost(models.network(name))
        assert (name, f"{net.parameters:,}", f"{net.macs:,}") in [row[:3] for row in rows]
    described = page.partition("`alexnet-xnor` is\n\n```toml\n")[2].partition("```")[0]
    file = models.network("alexnet-xnor").read_text()
    assert file.endswith(described)


def test_other_widths():
    layers = cost_of_topology(described("alexnet-xnor-8th")).layers
    none = Widths(real=0, integer=0, level=0, scale=0, mask=0)
    assert [layer.octets(none) for layer in layers] == [
        layer.weights if layer.bits == 8 else layer.weights // 8 for layer in layers]
    assert layers[1].octets(replace(none, level=3)) == layers[1].weights // 8 + 3 * 32
    assert layers[6].octets(replace(none, scale=3)) == layers[6].weights // 8 + 3 * 512


@pytest.mark.parametrize("name", [name for name in models.names() if name.endswith("-8th")])
def test_a_graph_costs_what_its_description_does(name):
    graph, net = cost_of_graph(load(models.network(name))), cost_of_topology(described(name))
    assert [replace(layer, name="", others=0) for layer in graph.layers] == [
        replace(layer, name="", others=0) for layer in net.layers]
    if name.startswith("alexnet-xnor"):  # elsewhere norms are merged
        assert graph.parameters == net.parameters - 2 * 512


def test_products_of_alexnet():
    net = cost_of_topology(described("alexnet-xnor", input=(224, 224, 3)))
    assert [layer.macs for layer in net.layers] == [
        105_415_200, 447_897_600, 149_520_384, 224_280_576, 149_520_384, 37_748_736, 16_777_216,
        4_096_000]
    assert net.weights == 62_367_776
    wider = cost_of_topology(described("alexnet-xnor"))
    assert wider.layers[0].output == (56, 56, 96)
    assert wider.layers[0].macs == 105_415_200 // 55 ** 2 * 56 ** 2


def test_grouped_alexnet():
    net = cost(models.network("alexnet"))
    assert [layer.weights for layer in net.layers] == [
        34_848, 307_200, 884_736, 663_552, 442_368, 37_748_736, 16_777_216, 4_096_000]
    assert net.weights == 60_954_656


@pytest.mark.parametrize(("name", "changes", "macs", "parameters"), [
    ("mobilenet-v1", {}, 568_740_352, 4_231_976),
    ("mobilenet-v1-half-160", {}, 76_524_800, 1_331_592),
    ("mobilenet-v2", {}, 300_774_272, 3_504_872),
    ("squeezenet", {}, 832_667_936, 1_248_424),
    ("mobilefacenet", {}, 220_965_376, 976_000 + 19_584 + 7_552),
])
def test_mobile_networks(name, changes, macs, parameters):
    net = cost_of_topology(described(name, **changes))
    assert (net.macs, net.parameters) == (macs, parameters)


@pytest.mark.parametrize(("shape", "millions"), [
    ((112, 112, 3), 221.0), ((112, 96, 3), 189.4), ((96, 96, 3), 162.4)])
def test_mobilefacenet_on_smaller_pictures(shape, millions):
    assert round(cost_of_topology(described("mobilefacenet", input=shape)).macs / 1e6, 1) == (
        millions)


def cost_of_rows(tmp_path, size, channels, *rows):
    path = tmp_path / "net.toml"
    path.write_text(f"input = [{size}, {size}, {channels}]\nlayers = [{', '.join(rows)}]")
    return cost(path)


@pytest.mark.parametrize(("kernel", "channels", "times"), [
    (3, 32, 7.02), (3, 64, 7.89), (3, 128, 8.41), (5, 32, 14.04), (7, 32, 19.36)])
def test_what_separable_convolutions_save(tmp_path, kernel, channels, times):
    """As many times fewer products as `1 / (1 / channels + 1 / kernel ** 2)`."""
    pad = f"pad = {kernel // 2}"
    full = cost_of_rows(tmp_path, 14, 16, f"{{conv = {channels}, kernel = {kernel}, {pad}}}")
    cut = cost_of_rows(tmp_path, 14, 16, f"{{depthwise = {kernel}, {pad}}}",
                       f"{{conv = {channels}}}")
    assert round(full.macs / cut.macs, 2) == times


@pytest.mark.parametrize(("size", "channels", "row", "macs", "weights"), [
    (14, 512, "{conv = 512, kernel = 3, pad = 1}", 462.42, 2.359),
    (14, 512, "{separable = 512}", 52.28, 0.267),
    (14, 384, "{separable = 384}", 29.58, 0.151),
    (10, 384, "{separable = 384}", 15.09, 0.151),
])
def test_a_layer_of_512_channels(tmp_path, size, channels, row, macs, weights):
    net = cost_of_rows(tmp_path, size, channels, row)
    assert (round(net.macs / 1e6, 2), round(net.weights / 1e6, 3)) == (macs, weights)

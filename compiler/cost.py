"""What a network costs wherever it runs: parameters, products, and octets to store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from compiler import topology
from compiler.frontends import load
from compiler.ir import BatchNorm, Graph, Node, Quant, Requantize, Threshold, Weighted
from compiler.topology import Row, Topology


__all__ = [
    "BINARYNET",
    "Cost",
    "LayerCost",
    "Widths",
    "cost",
    "cost_facts",
    "cost_of_graph",
    "cost_of_topology",
    "cost_table",
]

MASKED = 128  # channels of a mask


@dataclass(frozen=True)
class Widths:
    """Octets of the fields that go with a layer's weights, for each channel that it makes."""

    real: int     # behind real weights
    integer: int  # behind integer weights of several bits
    level: int    # behind weights of one bit whose results become bits
    scale: int    # behind weights of one bit whose results become numbers
    mask: int     # for every `MASKED` channels that become bits


# github.com/jonathanmarek1/binarynet-tensorflow: a bias; bias, scale, zero point and sum of the
# weights; a threshold; a slope and an offset; channels of which a negative slope turns the bits.
BINARYNET = Widths(real=4, integer=16, level=2, scale=8, mask=16)


@dataclass(frozen=True)
class LayerCost:
    """A layer with weights, and the norms and activations behind it."""

    name: str
    output: tuple[int, ...]  # shape, channels last
    weights: int
    others: int              # parameters: biases, norms (two a channel), slopes
    bits: int | None         # of a weight; None for a real number, which takes 32
    becomes_bits: bool       # whether the next activation is a sign

    @property
    def parameters(self) -> int:
        return self.weights + self.others

    @property
    def macs(self) -> int:
        """Products of a frame, and as many sums."""
        return self.weights * math.prod(self.output[:-1])

    def octets(self, widths: Widths = BINARYNET) -> int:
        """Octets of the weights and what goes with them, in fields of these ``widths``."""
        channels = self.output[-1]
        if self.bits is None:
            field = widths.real
        elif self.bits > 1:
            field = widths.integer
        else:
            field = widths.level if self.becomes_bits else widths.scale
        mask = widths.mask * -(-channels // MASKED) if self.becomes_bits else 0
        return -(-self.weights * (self.bits or 32) // 8) + channels * field + mask


@dataclass(frozen=True)
class Cost:
    """A network's layers."""

    name: str
    layers: tuple[LayerCost, ...]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def octets(self, widths: Widths = BINARYNET) -> int:
        return sum(layer.octets(widths) for layer in self.layers)


def cost(path: Path) -> Cost:
    """Return the cost of a description, or of any model that `compiler.frontends.load` reads.

    Raises UserError for one that cannot be read.
    """
    if path.suffix == topology.SUFFIX:
        return cost_of_topology(topology.read(path))
    return cost_of_graph(load(path))


def cost_of_topology(net: Topology) -> Cost:
    """Return the cost of a network without its weights."""
    def becomes_bits(row: Row) -> bool:
        return any(reader.op == "sign" or reader.op != "quantize" and not reader.weighted
                   and becomes_bits(reader) for reader in net.readers[row.name])

    def layers() -> Iterator[LayerCost]:
        for row in net.rows:
            if row.weighted:
                yield LayerCost(row.name, net.shape(row.name), math.prod(net.weight_shape(row)),
                                row.channels * row.bias, row.bits, becomes_bits(row))

    behind = {"norm": 2, "prelu": 1}
    extra = [(row.inputs[0], row.name, behind.get(row.op, 0) * net.shape(row.name)[-1])
             for row in net.rows if not row.weighted]
    return Cost(net.name, _with(list(layers()), extra))


def cost_of_graph(graph: Graph) -> Cost:
    """Return the cost of an imported graph."""
    def becomes_bits(node: Node) -> bool:
        return any(isinstance(user, Threshold) and user.count == 1
                   or not isinstance(user, Threshold | Quant | Requantize | Weighted)
                   and becomes_bits(user) for user in graph.users(node))

    layers = [LayerCost(node.name, graph.shape(node.name), node.weights.size,
                        0 if node.bias is None else node.channels, node.bits, becomes_bits(node))
              for node in graph.nodes if isinstance(node, Weighted)]
    extra = [(node.inputs[0], node.name,
              2 * graph.shape(node.name)[-1] if isinstance(node, BatchNorm) else 0)
             for node in graph.nodes[1:] if not isinstance(node, Weighted)]
    return Cost(graph.name, _with(layers, extra))


def _with(layers: list[LayerCost], extra: list[tuple[str, str, int]]) -> tuple[LayerCost, ...]:
    """Add parameters to the layers that they follow.

    ``extra`` has what a node reads, its name, and how many it has, in their order. What follows no
    layer has none to be counted with, and is left out.
    """
    owner = {layer.name: at for at, layer in enumerate(layers)}
    for source, name, count in extra:
        if source in owner:
            at = owner[name] = owner[source]
            layers[at] = replace(layers[at], others=layers[at].others + count)
    return tuple(layers)


def cost_table(net: Cost) -> Table:
    """Return the cost as a table, with its sum as the last row."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, left in (("layer", True), ("output", True), ("bits", False), ("weights", False),
                        ("parameters", False), ("MACs", False), ("octets", False)):
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for layer in net.layers:
        table.add_row(layer.name, " x ".join(map(str, layer.output)), str(layer.bits or "real"),
                      *(f"{value:,}" for value in (layer.weights, layer.parameters, layer.macs,
                                                   layer.octets())))
    table.add_row("(network)", "", "", *(f"{value:,}" for value in (
        net.weights, net.parameters, net.macs, net.octets())))
    return table


def cost_facts(net: Cost) -> dict[str, Any]:
    """Return what the table tells, for JSON."""
    return {"name": net.name, "weights": net.weights, "parameters": net.parameters,
            "macs": net.macs, "octets": net.octets(),
            "layers": [{"name": layer.name, "output": list(layer.output), "bits": layer.bits,
                        "weights": layer.weights, "parameters": layer.parameters,
                        "macs": layer.macs, "octets": layer.octets()} for layer in net.layers]}

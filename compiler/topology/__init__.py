"""Networks that are described, layer by layer, without weights (`docs/alexnet.md`)."""

from compiler.topology.chance import with_random_weights
from compiler.topology.description import SUFFIX, read
from compiler.topology.rows import Row, Topology


__all__ = ["SUFFIX", "Row", "Topology", "read", "with_random_weights"]

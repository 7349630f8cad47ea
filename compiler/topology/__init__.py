"""Networks that are described, layer by layer, without weights (`docs/alexnet.md`)."""

from compiler.topology.chance import with_random_weights
from compiler.topology.description import SUFFIX, read
from compiler.topology.pictures import pictures, steps
from compiler.topology.rows import Row, Topology


__all__ = ["SUFFIX", "Row", "Topology", "pictures", "read", "steps", "with_random_weights"]

"""What the C of a network takes of a microcontroller's memory, and whether it fits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from compiler.codegen.plan import Plan
from compiler.codegen.source import write_source
from compiler.errors import UserError


__all__ = ["Memory", "check_fits", "memory_of", "read_size"]

SIZE = re.compile(r"(?P<number>[1-9]\d{0,11}) ?(?P<unit>B|kB|KB|KiB|MB|MiB)?")
UNITS = {None: 1, "B": 1, "kB": 1000, "KB": 1000, "KiB": 1 << 10, "MB": 10 ** 6, "MiB": 1 << 20}


@dataclass(frozen=True)
class Memory:
    """Bytes that ``net.c`` takes; it has no heap.

    The caller of `net_run` holds the input and the output, which come beside the total.
    """

    constants: int  # weights, biases, levels, and the numbers of windows
    tensors: int    # between layers: those that are needed at once
    sums: int       # of the layer that takes most: integers of a few pixels, and what they see
    input: int
    output: int

    @property
    def temporaries(self) -> int:
        return self.tensors + self.sums

    @property
    def total(self) -> int:
        return self.constants + self.temporaries

    def __str__(self) -> str:
        return (f"{self.constants} bytes of constants and {self.temporaries} of temporaries "
                f"({self.tensors} of tensors between layers, {self.sums} of sums)")


def memory_of(plan: Plan) -> Memory:
    """Count what the C of ``plan`` takes, from the tables and arrays that are written."""
    source = write_source(plan)
    return Memory(source.weight_bytes, source.scratch_bytes - source.stack_bytes,
                  source.stack_bytes, plan.input.bytes, plan.output.bytes)


def check_fits(name: str, memory: Memory, limit: int) -> None:
    """Refuse a network whose C takes more than ``limit`` bytes, with a UserError."""
    if memory.total > limit:
        raise UserError(f"The C of '{name}' must take at most {limit} bytes, not {memory.total}: "
                        f"{memory}")


def read_size(text: str) -> int:
    """Return the bytes of a size such as 15KiB, 15kB or 15360. Raises UserError for others."""
    match = SIZE.fullmatch(text)
    if not match:
        raise UserError(f"A size must be a number of bytes, perhaps with a unit of "
                        f"{', '.join(filter(None, UNITS))}, not {text!r}")
    return int(match["number"]) * UNITS[match["unit"]]

"""What the writers of C have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.codegen.tables import format_table
from compiler.codegen.tensors import Form, Tensor


__all__ = ["Source", "one_line", "pixel_start", "suffix"]

Array = np.ndarray[Any, Any]

WINDOW_FIELD = 4  # bytes of each number of a window_t


@dataclass
class Source:
    """The text of ``net.c`` and ``weights.h``, with the bytes that the network takes."""

    net: str = ""
    tables: list[str] = field(default_factory=list)
    weight_bytes: int = 0
    scratch_bytes: int = 0
    stage_bytes: int = 0  # that a stage takes beside the tensors
    stack_bytes: int = 0  # of the stage that takes most

    def table(self, name: str, values: Array, about: str) -> str:
        """Add a constant array, and return its name."""
        if values.dtype.kind == "i" and values.itemsize > 1:
            values = values.astype(np.int32)
        self.tables.append(f"/* {about} */\n{format_table(name, values)}")
        self.weight_bytes += values.nbytes
        return name

    def window(self, name: str, numbers: tuple[int, ...]) -> str:
        """Count a `window_t` among the constants, and return its definition."""
        self.weight_bytes += WINDOW_FIELD * len(numbers)
        return f"static const window_t {name} = {{{', '.join(map(str, numbers))}}};\n"

    def choice(self, name: str, about: str, condition: str, values: Array, others: Array) -> str:
        """Add a constant array that is ``values`` where C finds ``condition``, or as long ones."""
        either = [format_table(name, array).rstrip() for array in (values, others)]
        self.tables.append(f"/* {about} */\n#if {condition}\n{either[0]}\n#else\n{either[1]}\n"
                           "#endif\n")
        self.weight_bytes += values.nbytes
        return name


def one_line(text: str) -> str:
    """Return ``text`` so that it can stand in a comment."""
    return re.sub(r"[^\x20-\x7e]|\*/|/\*|\\|\?\?", "_", text)


def suffix(tensor: Tensor) -> str:
    """What the functions for the elements of a tensor end in."""
    return tensor.ctype.replace("uint", "u").replace("int", "i").removesuffix("_t")


def pixel_start(tensor: Tensor, pixel: str) -> str:
    """Expression for the first element of a pixel (of its lowest plane)."""
    each = tensor.words if tensor.form is Form.PLANES else tensor.channels
    return pixel if pixel == "0" or each == 1 else f"{pixel} * {each}"

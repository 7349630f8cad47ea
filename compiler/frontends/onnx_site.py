"""What a handler of an ONNX operation sees of its node, and how it adds to our graph."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from compiler.frontends.onnx_values import Constant, Operand, Tensor
from compiler.frontends.refusal import Refusal, quoted
from compiler.ir import Flatten, Node, Result


__all__ = ["ACTIVATION_LIMIT", "Builder", "Site", "channels_first"]

Array = np.ndarray[Any, Any]
Number = TypeVar("Number", float, Array, Array | float)
Proto = Any

MAX_AXES = 8  # of any tensor
ACTIVATION_LIMIT = 1 << 24  # elements of any tensor that depends on the input
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7  # AttributeProto.Type


class Builder:
    """Our graph so far, and what is known of the ONNX graph as a whole."""

    def __init__(self, live: Sequence[Proto], output: str, folder: Path) -> None:
        self.output = output
        self.folder = folder  # of external data
        self.batch = 1
        self.nodes: list[Node] = []
        self._results: dict[str, Result] = {}
        self._readers: dict[str, list[Proto]] = {}
        self._kinds = {proto.op_type for proto in live}
        for proto in live:
            for name in dict.fromkeys(proto.input):
                self._readers.setdefault(name, []).append(proto)

    def readers(self, name: str) -> list[Proto]:
        """The ONNX nodes that read a tensor, of those that the output depends on."""
        return self._readers.get(name, [])

    def has(self, kinds: Collection[str]) -> bool:
        """Whether the model has an operation of one of ``kinds``."""
        return not self._kinds.isdisjoint(kinds)

    def is_used(self, name: str) -> bool:
        """Whether a node reads a tensor, or the model puts it out."""
        return name == self.output or bool(self.readers(name))

    def is_class(self, tensor: Tensor) -> bool:
        """Whether a tensor is the number of a class, after which a network ends."""
        return not self._results[tensor.name][0]

    def channels(self, of: Tensor) -> int:
        """How many channels a tensor of our graph has."""
        return self._results[of.name][0][-1]

    def add(self, node: Node, index: Array | None = None) -> Tensor:
        """Add a node; raises `GraphError` at once where it does not fit what it reads.

        Its elements are where ``index`` has them, or a picture's channels first, or in order.
        """
        result = node.result(*(self._results[name] for name in node.inputs))
        if math.prod(result[0]) > ACTIVATION_LIMIT:
            raise Refusal(f"Node {quoted(node.name)} must make at most {ACTIVATION_LIMIT} "
                          f"elements, not {math.prod(result[0])}")
        self._results[node.name] = result
        self.nodes.append(node)
        if index is None:
            index = channels_first(result[0])
        return Tensor(node.name, index)

    def emit(self, kind: type[Node], of: Tensor, name: str, **fields: Any) -> Tensor:
        """Add a node that keeps every element in its place."""
        return self.add(kind(name=self.free(name), inputs=(of.name,), **fields), of.index)

    def shape(self, of: Tensor) -> tuple[int, ...]:
        """The shape that a tensor has in our graph, channels last."""
        return self._results[of.name][0]

    def is_picture(self, of: Tensor) -> bool:
        """Whether a tensor is a picture of (channels, height, width) for ONNX, as it is, but for
        the order of its axes, in our graph."""
        shape = self.shape(of)
        return len(shape) == 3 and bool(np.array_equal(of.index, channels_first(shape)))

    def flat(self, of: Tensor) -> Tensor:
        """Return a tensor that is flat in our graph too, its elements in the same places."""
        if len(self.shape(of)) <= 1:
            return of
        return self.emit(Flatten, of, f"{of.name}_flat")

    def free(self, name: str) -> str:
        """Return ``name``, or a name like it that no node has."""
        free, count = name, 2
        while free in self._results:
            free, count = f"{name}_{count}", count + 1
        return free

    def spread(self, of: Tensor, values: Array) -> Array | float:
        """Return a constant of the shape that ONNX knows, without the batch axis, as our graph
        wants it: one number, or one for each channel.

        Raises ValueError where the values differ within a channel or do not fit the shape.
        """
        first = values.reshape(-1)[:1]
        if values.size and (values == first).all() and values.ndim <= of.index.ndim:
            np.broadcast_to(values, of.index.shape)
            return float(first[0])
        placed = np.empty(of.features, values.dtype)
        placed[of.index.reshape(-1)] = np.broadcast_to(values, of.index.shape).reshape(-1)
        rows = placed.reshape(-1, self.channels(of))
        if (rows != rows[0]).any():
            raise ValueError("values that differ within a channel")
        return rows[0]


def channels_first(shape: tuple[int, ...]) -> Array:
    """Return where each element of an ONNX tensor is in ours of ``shape``, if it is a picture
    with its axes in the usual order, or else if nothing has moved."""
    index = np.arange(math.prod(shape)).reshape(shape)
    return index.transpose(2, 0, 1) if len(shape) == 3 else index


class Site:
    """One node of the ONNX graph; ``operands`` are what its inputs stand for."""

    def __init__(self, builder: Builder, proto: Proto, operands: Sequence[Operand | None]) -> None:
        self.builder = builder
        self.kind = f"{proto.domain}.{proto.op_type}" if proto.domain else str(proto.op_type)
        self.output = str(proto.output[0]) if proto.output else ""
        self.proto = proto
        self._operands = operands
        self._attributes = {item.name: item for item in proto.attribute}

    def refusal(self, sentence: str) -> Refusal:
        """A refusal that begins with the name and the type of the node."""
        name = quoted(self.proto.name or self.output)
        return Refusal(f"Node {name} ({quoted(self.kind)[1:-1]}) {sentence}")

    # Inputs

    def has(self, at: int) -> bool:
        """Whether the optional input number ``at`` is given."""
        return at < len(self._operands) and self._operands[at] is not None

    def operand(self, at: int) -> Operand:
        operand = self._operands[at] if at < len(self._operands) else None
        if operand is None:
            raise self.refusal(f"must have at least {at + 1} inputs, not {len(self._operands)}")
        return operand

    def tensor(self, at: int) -> Tensor:
        """An input that depends on the input of the model."""
        operand = self.operand(at)
        if not isinstance(operand, Tensor):
            raise self.refusal(f"must read a tensor that depends on the input of the model, "
                               f"not the constant {quoted(self.proto.input[at])}")
        return operand

    def constant(self, at: int) -> Constant:
        """An input that does not."""
        operand = self.operand(at)
        if not isinstance(operand, Constant):
            raise self.refusal(f"must have a constant as input {at}, "
                               f"not {quoted(self.proto.input[at])}, which depends on the input "
                               f"of the model")
        return operand

    def numbers(self, at: int) -> list[int]:
        """A constant input that is a short list of integers."""
        values = self.constant(at).values.reshape(-1)
        if values.dtype.kind != "i" or values.size > 8:
            raise self.refusal(f"must have a few integers as input {at}, not "
                               f"{values.size} values of {values.dtype}")
        return [int(value) for value in values]

    def scalar(self, at: int, what: str) -> float:
        """A constant input that is the same number everywhere."""
        values = self.constant(at).values
        if values.size == 0 or (values != values.reshape(-1)[0]).any():
            raise self.refusal(f"must have one {what} for the whole tensor, "
                               f"not shape {values.shape}")
        return float(values.reshape(-1)[0])

    def axes(self) -> tuple[int, ...] | None:
        """Axes that are input 1 in newer opsets, and an attribute in older ones."""
        axes = self.numbers(1) if self.has(1) else self.integers("axes")
        if axes is not None and any(abs(axis) > MAX_AXES for axis in axes):
            raise self.refusal(f"must have axes of up to {MAX_AXES}, not {axes}")
        return None if axes is None else tuple(axes)

    # Attributes

    def _attribute(self, name: str, *kinds: int) -> Proto | None:
        item = self._attributes.get(name)
        if item is not None and item.type not in kinds:
            raise self.refusal(f"must have another type of attribute '{name}', as ONNX "
                               f"defines it")
        return item

    def integer(self, name: str, default: int) -> int:
        item = self._attribute(name, _INT)
        return default if item is None else int(item.i)

    def integers(self, name: str) -> list[int] | None:
        item = self._attribute(name, _INTS)
        return None if item is None else [int(value) for value in item.ints]

    def pair(self, name: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Two integers of at least 1, along y and along x."""
        values = self.integers(name) or (None if default is None else list(default))
        if values is None or len(values) != 2 or min(values) < 1:
            raise self.refusal(f"must have two integers of at least 1 as '{name}', not {values}")
        return values[0], values[1]

    def number(self, name: str, default: float) -> float:
        item = self._attribute(name, _FLOAT, _INT)
        if item is None:
            return default
        value = float(item.i if item.type == _INT else item.f)
        if not math.isfinite(value):
            raise self.refusal(f"must have a finite '{name}', not {value}")
        return value

    def text(self, name: str, default: str) -> str:
        item = self._attribute(name, _STRING)
        return default if item is None else item.s.decode("ascii", "replace")

    def constant_attribute(self) -> tuple[bool, Any]:
        """The value of a Constant node, and whether it is a tensor in protobuf."""
        fields = {_FLOAT: "f", _INT: "i", _TENSOR: "t", _FLOATS: "floats", _INTS: "ints"}
        for item in self._attributes.values():
            if item.type in fields:
                return item.type == _TENSOR, getattr(item, fields[item.type])
        raise self.refusal("must have its value as a tensor or as numbers")

    # Results

    def finite(self, values: Number) -> Number:
        """Return ``values``, none of which may be infinite or NaN."""
        if not np.isfinite(values).all():
            raise self.refusal("must make finite numbers")
        return values

    def emit(self, kind: type[Node], of: Tensor, suffix: str = "", **fields: Any) -> Tensor:
        """Add a node to our graph that keeps every element in its place."""
        return self.builder.emit(kind, of, self.output + suffix, **fields)

    def spread(self, of: Tensor, values: Array, what: str) -> Array | float:
        """`Builder.spread`, with a refusal in place of ValueError."""
        try:
            return self.builder.spread(of, values)
        except ValueError:
            raise self.refusal(f"must have a {what} for each channel of "
                               f"{of.index.shape}, not shape {values.shape}") from None

    def along_channels(self, of: Tensor, at: int, what: str, *, last: bool = False) -> Array:
        """A constant input of one value, or one row, for each channel: (channels or 1, ...)."""
        values = self.constant(at).values
        axis = -1 if last else 0
        if of.index.ndim == 0 or values.ndim == 0 or (
                len(values) not in (1, of.index.shape[axis])) or values.size == 0:
            channels = of.index.shape[axis] if of.index.ndim else 0
            raise self.refusal(f"must have a {what} for each of its {channels} channels, "
                               f"not shape {values.shape}")
        return values

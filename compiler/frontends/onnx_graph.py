"""Walks an ONNX graph from its input to its output, and makes our graph of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.frontends.onnx_facts import facts
from compiler.frontends.onnx_file import read_tensor
from compiler.frontends.onnx_ops import (
    AFTER_CLASS,
    AFTER_CLIP,
    AFTER_PAD,
    AFTER_TRUTH,
    DOMAINS,
    HANDLERS,
    LATER,
    NETWORK,
    PICTURES,
)
from compiler.frontends.onnx_site import ACTIVATION_LIMIT, Builder, Site, channels_first
from compiler.frontends.onnx_values import Clipped, Constant, Operand, Padded, Tensor, Truth
from compiler.frontends.refusal import ModelError, Refusal, quoted
from compiler.ir import Binary, Fixed, Graph, Input, Node, Real, TensorType, Weighted


__all__ = ["read"]

Array = np.ndarray[Any, Any]
Proto = Any

_FLOATS = (1, 10, 11, 16)  # TensorProto.FLOAT, FLOAT16, DOUBLE, BFLOAT16
_UINT8, _INT8 = 2, 3


def read(model: Proto, path: Path, input_type: TensorType | None = None) -> Graph:
    """Return the graph of the ONNX ``model`` that was in the file ``path``.

    Pictures are (channels, height, width) in ONNX, and (height, width, channels) in our graph, the
    user's own among them: a model's input of (1, 3, 32, 32) is given as (batch, 32, 32, 3).
    Nodes that the output does not depend on are left out. Raises `ModelError` with every reason
    found why the model is not taken: what is wrong with a node hides only what depends on it.
    """
    output, live = _live_nodes(model.graph)
    builder = Builder(live, output, path.parent)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    walk = _Walk(builder, constants)
    walk.begin(model.graph, input_type)
    for proto in live:
        walk.step(proto)
    walk.end()
    producer = f"{model.producer_name} {model.producer_version}".strip()
    source = f"{path.name} ({producer})" if producer else path.name
    return Graph(_needed(builder.nodes), name=path.stem, meta={"source": source} | facts(model))


def _needed(nodes: list[Node]) -> tuple[Node, ...]:
    """Leave out what was read only to ask for its shape."""
    needed = {nodes[0].name, nodes[-1].name}
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return tuple(node for node in nodes if node.name in needed)


def _live_nodes(graph: Proto) -> tuple[str, list[Proto]]:
    """Return the output, and the nodes that it depends on, in the order of the file."""
    names = [value.name for value in graph.output]
    if len(names) != 1:
        raise Refusal(f"Graph {quoted(graph.name)} must have one output, "
                      f"not {len(names)} ({', '.join(map(quoted, names[:4]))})")
    given = {value.name for value in (*graph.input, *graph.initializer)}
    makers: dict[str, int] = {}
    for at, proto in enumerate(graph.node):
        for name in filter(None, proto.output):
            if name in makers or name in given:
                raise Refusal(f"Tensor {quoted(name)} must have one maker, not two")
            makers[name] = at
    live: set[int] = set()
    waiting = [makers[names[0]]] if names[0] in makers else []
    while waiting:
        at = waiting.pop()
        if at not in live:
            live.add(at)
            waiting += [makers[name] for name in graph.node[at].input if name in makers]
    return names[0], [graph.node[at] for at in sorted(live)]


class _Walk:
    """Every name met so far with what it stands for; None where that could not be told."""

    def __init__(self, builder: Builder, initializers: Mapping[str, Proto]) -> None:
        self._builder = builder
        self._initializers = initializers
        self._operands: dict[str, Operand | None] = {"": None}
        self._refusals: list[str] = []

    def begin(self, graph: Proto, given: TensorType | None) -> None:
        """Make the Input."""
        inputs = [value for value in graph.input if value.name not in self._initializers]
        if len(inputs) != 1:
            raise Refusal(f"Graph {quoted(graph.name)} must have one input, not {len(inputs)} "
                          f"({', '.join(quoted(value.name) for value in inputs[:4])})")
        annotations = {item.tensor_name: {pair.key: pair.value for pair
                                          in item.quant_parameter_tensor_names}
                       for item in graph.quantization_annotation}
        notes = annotations.get(inputs[0].name, {})
        try:
            tensor = _make_input(self._builder, inputs[0], notes, given)
        except UserError as error:
            self._refusals.append(str(error))
            self._operands[inputs[0].name] = None
        else:
            self._operands[inputs[0].name] = tensor

    def step(self, proto: Proto) -> None:
        """Read one node; what is wrong with it is kept for later."""
        made: tuple[Operand | None, ...] = (None,) * len(proto.output)
        try:
            made = self._handle(proto) or made
        except UserError as error:
            self._refusals.append(str(error))
        self._operands.update(zip(filter(None, proto.output), made, strict=False))

    def _handle(self, proto: Proto) -> tuple[Operand | None, ...] | None:
        site = Site(self._builder, proto, ())
        if proto.domain not in DOMAINS or proto.op_type not in HANDLERS:
            need, why = LATER.get(proto.op_type, (NETWORK, ""))
            raise site.refusal(f"must be {need}{why}")
        operands = tuple(self._operand(name, site) for name in proto.input)
        if any(operand is None and name for operand, name
               in zip(operands, proto.input, strict=True)):
            return None  # a node before this one was refused
        for operand in operands:
            self._check_reader(site, proto.op_type, operand)
        with np.errstate(all="ignore"):  # handlers check what they make
            made = HANDLERS[proto.op_type](Site(self._builder, proto, operands))
        return made if isinstance(made, tuple) else (made,)

    def _check_reader(self, site: Site, kind: str, operand: Operand | None) -> None:
        """Not every operation can read every tensor."""
        if not isinstance(operand, Tensor):
            return
        if self._builder.is_class(operand) and kind not in AFTER_CLASS:
            raise site.refusal("must not follow the ArgMax or TopK that ends the model")
        if isinstance(operand, Truth) and kind not in AFTER_TRUTH:
            raise site.refusal("must read numbers, as Where or Cast make of a comparison")
        if isinstance(operand, Clipped) and kind not in AFTER_CLIP:
            raise site.refusal("must be a sign or Quant, as it follows a Clip that is not ReLU")
        if isinstance(operand, Padded) and kind not in AFTER_PAD:
            raise site.refusal("must be Conv or AveragePool, as it follows a Pad")

    def _operand(self, name: str, site: Site) -> Operand | None:
        if name not in self._operands:
            if name not in self._initializers:
                raise site.refusal(f"must read tensors that the model has or an earlier node "
                                   f"makes, not {quoted(name)}")
            self._operands[name] = None  # one refusal is enough
            values = read_tensor(self._initializers[name], self._builder.folder)
            self._operands[name] = Constant(values)
        return self._operands[name]

    def end(self) -> None:
        """Check that our graph makes what the model puts out."""
        builder = self._builder
        if not self._refusals:
            output = self._operands.get(builder.output)
            if isinstance(output, Truth | Clipped | Padded):
                self._refusals.append(f"Output {quoted(builder.output)} must hold what a layer "
                                      f"made, not a comparison or what a Clip or Pad made of it")
            elif not isinstance(output, Tensor) or builder.nodes[-1].name != output.name:
                self._refusals.append(f"Output {quoted(builder.output)} must depend on the input")
            elif not any(isinstance(node, Weighted) for node in _needed(builder.nodes)):
                self._refusals.append("The model must have at least one layer with weights "
                                      "(Conv, Gemm or MatMul)")
            elif not output.in_order and not builder.is_picture(output):
                self._refusals.append(f"Output {quoted(builder.output)} must have the channels of "
                                      f"a layer in their order")
        if self._refusals:
            raise ModelError(self._refusals)


def _make_input(builder: Builder, value: Proto, facts: Mapping[str, str],
                given: TensorType | None) -> Tensor:
    """Add the Input; and a Flatten behind a picture if nothing needs it as one, so that the
    elements of a dense network have whatever each of them is given."""
    batch, shape = _input_shape(value)
    builder.batch = batch
    places = np.arange(int(np.prod(shape))).reshape(shape)
    if len(shape) == 3 and not _channels_last(builder, value.name, facts):
        channels, height, width = shape
        shape = height, width, channels
        places = channels_first(shape)
    elif len(shape) == 2:
        shape = *shape, 1
    node = Input(name=value.name, shape=shape, type=given or _input_type(value, facts))
    tensor = builder.add(node, places)
    return tensor if builder.has(PICTURES) else builder.flat(tensor)


def _input_shape(value: Proto) -> tuple[int, tuple[int, ...]]:
    """Return the batch size (1 where the model leaves it open) and the shape of one sample."""
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    text = "x".join("?" if size is None else str(size) for size in sizes[:6]) or "none"
    if not 2 <= len(sizes) <= 4:
        raise Refusal(f"Input {quoted(value.name)} must have a batch axis and one to three more, "
                      f"not shape {text}")
    batch = sizes[0] or 1  # 0 is how some exporters leave it open
    shape = tuple(size for size in sizes[1:] if size is not None)
    if len(shape) != len(sizes) - 1 or min(batch, *shape) < 1:
        raise Refusal(f"Input {quoted(value.name)} must have a known size along each axis but the "
                      f"first, not shape {text}")
    total = batch
    for size in shape:
        total *= size
    if total > ACTIVATION_LIMIT:
        raise Refusal(f"Input {quoted(value.name)} must have at most {ACTIVATION_LIMIT} elements, "
                      f"not shape {text}")
    return batch, shape


def _channels_last(builder: Builder, name: str, facts: Mapping[str, str]) -> bool:
    """Whether a picture comes as (height, width, channels), as exporters of Keras have it."""
    layout = re.findall("[A-Z]", facts.get("tensor_layout", ""))
    if layout:
        return layout == ["N", "H", "W", "C"]
    perms = [[list(item.ints) for item in reader.attribute if item.name == "perm"]
             for reader in builder.readers(name)]
    return bool(perms) and all(perm == [[0, 3, 1, 2]] for perm in perms)


def _input_type(value: Proto, facts: Mapping[str, str]) -> TensorType:
    """What the model says of its input: its element type, or FINN's annotation."""
    note = facts.get("finn_datatype", "")
    match = re.fullmatch(r"(U?)INT(\d)", note, re.ASCII)
    kind = value.type.tensor_type.elem_type
    if note == "BIPOLAR":
        return Binary()
    if match and 1 <= int(match[2]) <= 8:
        return Fixed(int(match[2]), signed=not match[1])
    if kind in (_UINT8, _INT8):
        return Fixed(8, signed=kind == _INT8)
    if kind not in _FLOATS:
        raise Refusal(f"Input {quoted(value.name)} must hold floating point, uint8 or int8, "
                      f"not element type {kind}")
    return Real()

"""Opens ONNX files, and takes the tensors out of them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from compiler.frontends.refusal import Refusal, quoted


__all__ = ["ELEMENT_LIMIT", "open_model", "read_tensor"]

Array = np.ndarray[Any, Any]
Proto = Any  # what onnx makes of protobuf has no types

FILE_LIMIT = 1 << 31     # bytes; a protobuf cannot be longer
ELEMENT_LIMIT = 1 << 28  # of one tensor
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)  # before 7, Add had rules of its own

_TYPES = onnx.TensorProto
_WIDTHS = {  # bytes of an element in raw data
    _TYPES.FLOAT: 4, _TYPES.DOUBLE: 8, _TYPES.FLOAT16: 2, _TYPES.BFLOAT16: 2, _TYPES.BOOL: 1,
    _TYPES.INT8: 1, _TYPES.INT16: 2, _TYPES.INT32: 4, _TYPES.INT64: 8,
    _TYPES.UINT8: 1, _TYPES.UINT16: 2, _TYPES.UINT32: 4,
}
_FIELDS = {  # where typed data are, if not in `int32_data`
    _TYPES.FLOAT: "float_data", _TYPES.DOUBLE: "double_data", _TYPES.INT64: "int64_data",
    _TYPES.UINT32: "uint64_data",
}


def open_model(path: Path) -> Proto:
    """Return the ONNX model in the file ``path``, its external data not yet read."""
    size = path.stat().st_size
    if not 0 < size < FILE_LIMIT:
        raise Refusal(f"File '{path}' must be an ONNX model of less than 2 GiB, not {size} bytes")
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError:
        raise Refusal(f"File '{path}' must be an ONNX model, and is none, or damaged") from None
    if not model.ir_version or not model.graph.node:
        raise Refusal(f"File '{path}' must be an ONNX model with at least one node")
    if not all(isinstance(text, str) for text in _texts(model)):
        raise Refusal(f"File '{path}' must be an ONNX model with all its names in UTF-8")
    _check_opset(model, path)
    return model


def _texts(message: Proto) -> Iterator[str | bytes]:
    """Every string in a message; protobuf hands over bytes for what is not UTF-8."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield from [value] if isinstance(value, str | bytes) else value
        elif field.type == field.TYPE_MESSAGE:
            for item in [value] if hasattr(value, "ListFields") else value:
                yield from _texts(item)


def _check_opset(model: Proto, path: Path) -> None:
    version = next((entry.version for entry in model.opset_import
                    if entry.domain in ("", "ai.onnx")), 0)
    if version not in OPSETS:
        raise Refusal(f"File '{path}' must use operators of opset {OPSETS.start} to "
                      f"{OPSETS.stop - 1}, not {version or 'none'}")


def read_tensor(tensor: Proto, folder: Path) -> Array:
    """Return a tensor as float64 or int64; external data lie in ``folder``."""
    label = f"Tensor {quoted(tensor.name)}"
    shape = tuple(tensor.dims)
    if tensor.data_type not in _WIDTHS:
        known = sorted(_TYPES.DataType.Name(kind) for kind in _WIDTHS)
        kind = (_TYPES.DataType.Name(tensor.data_type)
                if tensor.data_type in _TYPES.DataType.values() else tensor.data_type)
        raise Refusal(f"{label} must be of type {', '.join(known)}, not {kind}")
    if min(shape, default=1) < 0 or len(shape) > 8 or math.prod(shape) > ELEMENT_LIMIT:
        raise Refusal(f"{label} must have at most 8 axes and {ELEMENT_LIMIT} elements, "
                      f"not shape {_short(shape)}")
    if tensor.HasField("segment"):
        raise Refusal(f"{label} must be stored in one piece, not in segments")
    values = _values(tensor, label, math.prod(shape), folder)
    if not np.isfinite(values).all():
        values = values.reshape(shape)
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise Refusal(f"{label} must be finite, not {values[at]} at {at}")
    wide = np.float64 if values.dtype.kind == "f" else np.int64
    return values.astype(wide).reshape(shape)


def _values(tensor: Proto, label: str, count: int, folder: Path) -> Array:
    width = _WIDTHS[tensor.data_type]
    if tensor.data_location == _TYPES.EXTERNAL:
        raw = _external(tensor, label, count * width, folder)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
    else:
        return _typed(tensor, label, count)
    if len(raw) != count * width:
        raise Refusal(f"{label} must hold {count * width} bytes, as its shape "
                      f"{_short(tensor.dims)} has it, not {len(raw)}")
    return _from_raw(raw, tensor.data_type)


def _from_raw(raw: bytes, kind: int) -> Array:
    if kind == _TYPES.BFLOAT16:  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    code = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).newbyteorder("<")
    return np.frombuffer(raw, code)


def _typed(tensor: Proto, label: str, count: int) -> Array:
    kind = tensor.data_type
    field = getattr(tensor, _FIELDS.get(kind, "int32_data"))
    if len(field) != count:
        raise Refusal(f"{label} must hold {count} values, as its shape {_short(tensor.dims)} has "
                      f"it, not {len(field)}")
    values: Array = np.array(field)
    if kind in (_TYPES.FLOAT16, _TYPES.BFLOAT16):  # bit patterns
        return _from_raw(values.astype("<u2").tobytes(), kind)
    return values


def _external(tensor: Proto, label: str, size: int, folder: Path) -> bytes:
    """Read the external data of a tensor, from a file in the model's own folder only."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    try:
        file = (folder / location).resolve()
        inside = file.is_relative_to(folder.resolve()) and not Path(location).is_absolute()
        found = inside and file.is_file()
    except ValueError:  # a NUL in the name
        inside = found = False
    if not location or not inside:
        raise Refusal(f"{label} must have its data in the folder of the model, "
                      f"not in {quoted(location)}")
    if not found:
        raise Refusal(f"{label} must have its data in {quoted(location)}, which is missing in the "
                      f"folder of the model")
    offset, length = entries.get("offset", "0"), entries.get("length", str(size))
    if not (_is_number(offset) and _is_number(length)):
        raise Refusal(f"{label} must have data at an offset and of a length in bytes, not "
                      f"{offset[:20]!r} and {length[:20]!r}")
    available = max(file.stat().st_size - int(offset), 0)
    if int(length) != size or available < size:
        raise Refusal(f"{label} must have {size} bytes in {quoted(location)} from {offset} on, not "
                      f"{min(int(length), available)}")
    with file.open("rb") as stream:
        stream.seek(int(offset))
        return stream.read(size)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _short(shape: Any) -> str:
    """A shape for a message, however many axes it has."""
    return "x".join(str(size) for size in shape[:8]) + ("x..." if len(shape) > 8 else "") or "()"

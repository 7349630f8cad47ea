"""What an ONNX model's properties tell people and hosts."""

import json
from typing import Any


__all__ = ["facts"]

Proto = Any


def facts(model: Proto) -> dict[str, Any]:
    """Return what `compiler.ir.Graph.meta` has room for: ``classes``, a list of names, and
    ``picture``, with its ``shape`` of (height, width, channels), and the value of ``white``.

    They are properties of the model, as JSON. Other programs may use these words for something
    else; what does not look like ours is left out.
    """
    found = {}
    for item in model.metadata_props:
        if item.key in _LOOKS_RIGHT:
            try:
                value = json.loads(item.value)
            except (ValueError, RecursionError):
                continue
            if _LOOKS_RIGHT[item.key](value):
                found[item.key] = value
    return found


def _is_classes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_picture(value: Any) -> bool:
    return (isinstance(value, dict) and set(value) == {"shape", "white"}
            and isinstance(value["shape"], list) and len(value["shape"]) == 3
            and all(type(number) is int and number > 0
                    for number in (*value["shape"], value["white"])))


_LOOKS_RIGHT = {"classes": _is_classes, "picture": _is_picture}

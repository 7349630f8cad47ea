"""Recognises a file or folder by its content, and reads it."""

from pathlib import Path

from compiler import topology
from compiler.errors import UserError
from compiler.frontends import bnn_pynq, ebnn, onnx_file, onnx_graph, tinier_nn, torch7
from compiler.frontends.refusal import ModelError, Refusal
from compiler.ir import Binary, Fixed, Graph, Real, TensorType


__all__ = ["INPUT_TYPES", "load"]

INPUT_TYPES: dict[str, TensorType] = {
    "uint8":  Fixed(8, signed=False),
    "int8":   Fixed(8),
    "binary": Binary(),
    "real":   Real(),
}


def load(path: str | Path, *, input_type: str | None = None) -> Graph:
    """Return the network in the file or folder ``path`` as a graph in real numbers.

    Pictures are (height, width, channels) wherever the user gives them, for ONNX's models, which
    have channels first, too.

    Parameters
    ----------
    path
        A folder of BNN-PYNQ parameters, an ONNX file (plain, QONNX, or FINN's), tinier-nn's
        ``model.def``, eBNN's generated header or its arrays in an ``.npz``, a Torch7 file of an
        XNOR-Net, or a description of a network (`compiler.topology`), which gets random weights.
    input_type
        What the user will feed, one of `INPUT_TYPES`; "uint8" for pictures of 0 to 255. Without
        it the model decides: an input of bytes, or annotated so, is integer, any other real.

    Raises
    ------
    ModelError
        With every reason that was found why the model is not taken.
    """
    path = Path(path)
    try:
        return _read(path, _known_type(input_type))
    except ModelError:
        raise
    except UserError as error:
        raise ModelError([str(error)]) from error
    except OSError as error:
        raise ModelError([f"'{path}' must be readable: {error.strerror or error}"]) from error


def _known_type(name: str | None) -> TensorType | None:
    if name is not None and name not in INPUT_TYPES:
        raise Refusal(f"The input type must be one of {', '.join(INPUT_TYPES)}, not {name!r}")
    return None if name is None else INPUT_TYPES[name]


def _read(path: Path, input_type: TensorType | None) -> Graph:
    if path.is_dir():
        if not bnn_pynq.recognise(path):
            raise Refusal(f"Folder '{path}' must hold BNN-PYNQ parameters "
                          f"(0-0-weights.bin, 0-0-thres.bin, ...)")
        return bnn_pynq.read(path, input_type)
    if not path.exists():
        raise Refusal(f"'{path}' must be an ONNX file, a folder of BNN-PYNQ parameters, a "
                      f"model.def of tinier-nn, a header of eBNN, a Torch7 file or a description, "
                      f"but there is nothing of that name")
    if path.suffix == topology.SUFFIX:
        return _described(path, input_type)
    for format_ in (tinier_nn, ebnn, torch7):
        if format_.recognise(path):
            return format_.read(path, input_type)
    return onnx_graph.read(onnx_file.open_model(path), path, input_type)


def _described(path: Path, input_type: TensorType | None) -> Graph:
    if input_type not in (None, INPUT_TYPES["uint8"]):
        raise Refusal(f"'{path}' describes a network that reads pixels, and its input type must "
                      f"be uint8, not {input_type}")
    return topology.with_random_weights(topology.read(path))

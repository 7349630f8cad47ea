"""Folders of BNN-PYNQ parameters: dense networks with weights and activations of one bit.

Each layer ``L`` and processing element ``p`` has a file ``L-p-weights.bin`` of little-endian
uint64 and a file ``L-p-thres.bin`` of little-endian int64. Neuron ``r`` is fold ``r // PE`` of
element ``r % PE``; a word holds the weights of SIMD neighbouring synapses from bit 0 on, a set
bit for +1. A neuron fires where more than its threshold of the bits match.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends.refusal import Refusal
from compiler.ir import Dense, Fixed, Graph, HighestBit, Input, Node, TensorType, Threshold


__all__ = ["read", "recognise"]

Array = np.ndarray[Any, Any]

PIXEL_LEVEL = 128      # the host code of BNN-PYNQ sets a bit for 2 * pixel / 255 - 1 >= 0
NEVER = (1 << 15) - 1  # threshold of the neurons that pad the last layer
CNV_LAYERS = 9
WORD_BITS = 64
SIZE_LIMIT = 1 << 26   # bytes in a file
THRESHOLD_LIMIT = (1 << 31) - 1


def recognise(folder: Path) -> bool:
    """Whether ``folder`` has a file of weights."""
    return any(_layer_files(folder, "weights"))


def read(folder: Path, input_type: TensorType | None = None) -> Graph:
    """Read a network of dense layers; its input is (features,) pixels of 0 to 255.

    The folder does not tell SIMD. The first layer's is the highest bit that is used, rounded up
    to a power of two, and each further layer must read all neurons of the one before. Synapses
    and neurons that only pad the first and the last layer are left out.

    Raises `Refusal` for convolutions, activations of two bits, and damaged files.
    """
    if input_type not in (None, Fixed(8, signed=False)):
        raise Refusal(f"Folder '{folder}' has a network that reads pixels, and its input type "
                      f"must be uint8, not {input_type}")
    count = 1 + max(layer for layer, _ in _layer_files(folder, "weights"))
    if count == CNV_LAYERS:
        raise Refusal(f"Folder '{folder}' must hold a network of dense layers (LFC), not the "
                      f"{count} layers of CNV: convolution is not supported yet")

    layers: list[tuple[Array, Array]] = []
    for layer in range(count):
        fan_in = len(layers[-1][0]) if layers else None
        layers.append(_read_layer(folder, layer, fan_in))

    classes = _read_classes(folder)
    layers[0] = layers[0][0][:, :_real_synapses(layers[0][0])], layers[0][1]
    outputs = _real_neurons(folder, layers[-1][1], classes)
    layers[-1] = layers[-1][0][:outputs], layers[-1][1][:outputs]
    return Graph(_nodes(layers), name=folder.resolve().name,
                 meta={"source": "BNN-PYNQ", "classes": classes or [str(i) for i in
                                                                    range(outputs)]})


def _nodes(layers: list[tuple[Array, Array]]) -> tuple[Node, ...]:
    nodes: list[Node] = [
        Input(name="pixels", shape=(layers[0][0].shape[1],), type=Fixed(8, signed=False)),
        Threshold(name="bits", inputs=("pixels",), levels=np.array([[PIXEL_LEVEL]])),
    ]
    for at, (weights, thresholds) in enumerate(layers):
        # Matches m of n bits make the sum 2 m - n; a padded synapse never matches.
        levels = 2 * (thresholds + 1) - weights.shape[1]
        nodes += [
            Dense(name=f"sums{at}", inputs=(nodes[-1].name,), weights=weights, bits=1),
            Threshold(name=f"bits{at}", inputs=(f"sums{at}",), levels=levels[:, None]),
        ]
    nodes.append(HighestBit(name="class", inputs=(nodes[-1].name,)))
    return tuple(nodes)


def _layer_files(folder: Path, kind: str) -> dict[tuple[int, int], Path]:
    """Files of ``kind`` by layer and processing element."""
    pattern = re.compile(rf"(\d{{1,3}})-(\d{{1,4}})-{kind}\.bin", re.ASCII)
    found = ((pattern.fullmatch(file.name), file) for file in sorted(folder.iterdir()))
    return {(int(match[1]), int(match[2])): file for match, file in found if match}


def _read_files(folder: Path, layer: int, kind: str, dtype: str) -> Array:
    """Return the words of one layer, (elements, words)."""
    files = {pe: file for (at, pe), file in _layer_files(folder, kind).items() if at == layer}
    if sorted(files) != list(range(len(files))) or not files:
        missing = next(pe for pe in range(len(files) + 1) if pe not in files)
        raise Refusal(f"Folder '{folder}' must hold '{layer}-{missing}-{kind}.bin'")
    sizes = {files[pe].stat().st_size for pe in files}
    size = max(sizes)
    if len(sizes) != 1 or size % 8 or not 0 < size <= SIZE_LIMIT:
        odd = next(file for file in files.values()
                   if file.stat().st_size in sizes - {size} or len(sizes) == 1)
        raise Refusal(f"File '{odd}' must hold whole words of 64 bits, as many as the other files "
                      f"of its layer, not {odd.stat().st_size} bytes")
    return np.stack([np.fromfile(files[pe], dtype) for pe in range(len(files))])


def _read_layer(folder: Path, layer: int, fan_in: int | None) -> tuple[Array, Array]:
    """Return weights of -1 and +1, (neurons, synapses), and thresholds, (neurons,)."""
    words = _read_files(folder, layer, "weights", "<u8")
    thresholds = _read_files(folder, layer, "thres", "<i8")
    where = f"Folder '{folder}': layer {layer}"
    elements, folds = thresholds.shape
    if len(words) != elements or words.shape[1] % folds:
        raise Refusal(f"{where} must have as many elements of weights as of thresholds, and the "
                      f"same number of words for each neuron, not {words.shape} words for "
                      f"{thresholds.shape} thresholds")
    per_neuron = words.shape[1] // folds
    used = int(words.max()).bit_length()
    if fan_in is None:
        simd = 1 << max(used - 1, 0).bit_length()
    else:
        simd, rest = divmod(fan_in, per_neuron)
        if rest or not max(used, 1) <= simd <= WORD_BITS:
            raise Refusal(f"{where} must read the {fan_in} neurons of the layer before with "
                          f"activations of one bit (W1A1), not {per_neuron} words of at least "
                          f"{used} bits a neuron")
    if thresholds.min() < -THRESHOLD_LIMIT or thresholds.max() > THRESHOLD_LIMIT:
        raise Refusal(f"{where} must have thresholds of at most 32 bits, "
                      f"not {thresholds.min()} to {thresholds.max()}")
    bits = words[:, :, None] >> np.arange(simd, dtype=np.uint64) & np.uint64(1)
    weights = 2 * bits.astype(np.int64).reshape(elements, folds, per_neuron * simd) - 1
    return (weights.transpose(1, 0, 2).reshape(elements * folds, -1),
            thresholds.T.reshape(-1).astype(np.int64))


def _real_synapses(weights: Array) -> int:
    """How many synapses of the first layer are not padding, which has only weights of +1."""
    real = np.flatnonzero((weights < 0).any(0))
    return int(real[-1]) + 1 if len(real) else int(weights.shape[1])


def _real_neurons(folder: Path, thresholds: Array, classes: list[str]) -> int:
    """How many neurons of the last layer are not padding."""
    real = np.flatnonzero(thresholds != NEVER)
    count = len(classes) or (int(real[-1]) + 1 if len(real) else len(thresholds))
    if count > len(thresholds):
        raise Refusal(f"Folder '{folder}': 'classes.txt' must name at most as many classes as "
                      f"the last layer has neurons, {len(thresholds)}, not {count}")
    return count


def _read_classes(folder: Path) -> list[str]:
    file = folder / "classes.txt"
    if not file.is_file():
        return []
    try:
        return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise Refusal(f"File '{file}' must be text in UTF-8") from None

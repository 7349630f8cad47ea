"""Folders of BNN-PYNQ parameters: its dense networks (LFC) and its convolutional ones (CNV).

A neuron of a dense network fires where more than its threshold of the bits match.
"""

from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends import bnn_pynq_cnv
from compiler.frontends.bnn_pynq_files import (
    WORD_BITS,
    files_of,
    has_files,
    read_classes,
    read_thresholds,
    read_words,
    unpacked,
)
from compiler.frontends.refusal import Refusal
from compiler.ir import Dense, Fixed, Graph, HighestBit, Input, Node, TensorType, Threshold


__all__ = ["read", "recognise"]

Array = np.ndarray[Any, Any]

PIXEL_LEVEL = 128      # the host code of BNN-PYNQ sets a bit for 2 * pixel / 255 - 1 >= 0
NEVER = (1 << 15) - 1  # threshold of the neurons that pad the last layer


def recognise(folder: Path) -> bool:
    """Whether ``folder`` has a file of weights."""
    return has_files(folder)


def read(folder: Path, input_type: TensorType | None = None) -> Graph:
    """Read a network whose input is pixels of 0 to 255.

    Nine layers are CNV, for pictures (32, 32, 3) in RGB (`bnn_pynq_cnv`); any other number of
    them is a dense network with weights and activations of one bit (LFC), for (features,). The
    folder does not tell SIMD. The first dense layer's is the highest bit that is used, rounded up
    to a power of two, and each further layer must read all neurons of the one before. Synapses
    and neurons that only pad the first and the last layer are left out.

    Raises `Refusal` for dense networks with activations of two bits, and damaged files.
    """
    if input_type not in (None, Fixed(8, signed=False)):
        raise Refusal(f"Folder '{folder}' has a network that reads pixels, and its input type "
                      f"must be uint8, not {input_type}")
    count = 1 + max(layer for layer, _ in files_of(folder, "weights"))
    if count == bnn_pynq_cnv.LAYERS:
        return bnn_pynq_cnv.read(folder)

    layers: list[tuple[Array, Array]] = []
    for layer in range(count):
        fan_in = len(layers[-1][0]) if layers else None
        layers.append(_read_layer(folder, layer, fan_in))

    classes = read_classes(folder)
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


def _read_layer(folder: Path, layer: int, fan_in: int | None) -> tuple[Array, Array]:
    """Return weights of -1 and +1, (neurons, synapses), and thresholds, (neurons,)."""
    words, thresholds = read_words(folder, layer), read_thresholds(folder, layer)
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
    return (unpacked(words, folds, simd), thresholds.T.reshape(-1))


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

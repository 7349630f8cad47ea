"""BNN-PYNQ's convolutional networks, CNV: weights and activations of one bit, or of two.

Six convolutions of 3 x 3 without borders, a pool of 2 x 2 behind the second and the fourth of
them, and three dense layers, the last without thresholds. With activations of one bit a neuron
fires where more than its threshold of the bits match; the first layer, and all layers of networks
with activations of two bits, compare the sum itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.frontends.bnn_pynq_files import (
    WORD_BITS,
    by_neuron,
    read_classes,
    read_thresholds,
    read_words,
    unpacked,
)
from compiler.frontends.refusal import Refusal
from compiler.ir import (
    Affine,
    ArgMax,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Node,
    Requantize,
    Threshold,
)


__all__ = ["LAYERS", "read"]

Array = np.ndarray[Any, Any]

LAYERS = 9
CONVOLUTIONS = 6
POOLED = (1, 3)       # layers with a pool behind them
KERNEL = 3
PICTURE = (32, 32, 3)
PIXEL_BITS = 8        # of a pixel as the first layer reads it, -1 to 1 - 2**-7
THRESHOLD_FRACTION = 8  # bits behind the point of the first layer's thresholds


@dataclass(frozen=True)
class _Layer:
    weights: Array     # (neurons, synapses)
    thresholds: Array  # (neurons, 1 or 2); none in the last layer


def read(folder: Path) -> Graph:
    """Read a network; its input is pictures (32, 32, 3) of RGB from 0 to 255.

    The folder does not tell how many bits weights and activations have, nor SIMD: they follow
    from the number of words and thresholds, as the first layer has a known number of synapses.
    Neurons that only pad the last layer are left out. Raises `Refusal` for damaged files.
    """
    layers: list[_Layer] = []
    weight_bits, levels = _widths(folder)
    fan_in = KERNEL * KERNEL * PICTURE[2]
    for layer in range(LAYERS - 1):
        layers.append(_read_layer(folder, layer, fan_in, weight_bits, levels))
        taps = KERNEL * KERNEL if layer + 1 < CONVOLUTIONS else 1
        fan_in = taps * len(layers[-1].weights)
    weights = _read_last(folder, fan_in, weight_bits)

    classes = read_classes(folder)
    outputs = _real_neurons(folder, weights, classes)
    layers.append(_Layer(weights[:outputs], np.zeros((outputs, 0), np.int64)))
    meta = {"source": f"BNN-PYNQ, W{weight_bits}A{levels}",
            "classes": classes or [str(at) for at in range(outputs)]}
    return Graph(tuple(_nodes(layers, weight_bits, levels)), name=folder.resolve().name, meta=meta)


# Files

def _widths(folder: Path) -> tuple[int, int]:
    """Return the bits of a weight, and the thresholds of a neuron.

    The first layer has 27 synapses, an odd number, and so an odd number of words a neuron: as
    many words as thresholds tells one threshold, half as many two.
    """
    words, thresholds = read_words(folder, 0), read_thresholds(folder, 0)
    levels = 1 if words.shape[1] % thresholds.shape[1] == 0 else 2
    per_neuron, rest = divmod(levels * words.shape[1], thresholds.shape[1])
    synapses = KERNEL * KERNEL * PICTURE[2]
    if rest or synapses % per_neuron:
        raise Refusal(f"Folder '{folder}': layer 0 must have a divisor of {synapses} words for "
                      f"each neuron, as CNV has it, not {words.shape[1]} words for "
                      f"{thresholds.shape[1]} thresholds")
    bits = 1 if int(words.max()).bit_length() <= synapses // per_neuron else 2
    if bits == 2 and levels == 1:
        raise Refusal(f"Folder '{folder}' must be W1A1, W1A2 or W2A2, not have weights of two "
                      f"bits and activations of one")
    return bits, levels


def _read_layer(folder: Path, layer: int, fan_in: int, bits: int, levels: int) -> _Layer:
    words, thresholds = read_words(folder, layer), read_thresholds(folder, layer)
    where = f"Folder '{folder}': layer {layer}"
    folds, odd = divmod(thresholds.shape[1], levels)
    if odd or not folds or len(words) != len(thresholds) or words.shape[1] % folds:
        raise Refusal(f"{where} must have as many elements of weights as of thresholds, the same "
                      f"number of words for each neuron, and {levels} thresholds, "
                      f"not {words.shape} words for {thresholds.shape} thresholds")
    per_neuron = words.shape[1] // folds
    simd = _simd(where, words, fan_in, per_neuron, bits)
    rows = thresholds.reshape(-1, levels)
    if (np.diff(rows, axis=1) < 0).any():
        raise Refusal(f"{where} must have the thresholds of a neuron in rising order")
    return _Layer(_weights(where, words, folds, simd, bits), by_neuron(rows, len(words)))


def _simd(where: str, words: Array, fan_in: int, per_neuron: int, bits: int) -> int:
    simd, rest = divmod(fan_in, per_neuron)
    used = int(words.max()).bit_length()
    if rest or not max(used, 1) <= simd * bits <= WORD_BITS:
        raise Refusal(f"{where} must have {fan_in} weights of {bits} bits a neuron, as many as it "
                      f"reads, not {per_neuron} words of at least {used} bits")
    return simd


def _weights(where: str, words: Array, folds: int, simd: int, bits: int) -> Array:
    weights = unpacked(words, folds, simd, bits)
    if weights.min() < -1:
        raise Refusal(f"{where} must have weights of -1, 0 and +1, not {weights.min()}")
    return weights


def _read_last(folder: Path, fan_in: int, bits: int) -> Array:
    """Return the weights of the last layer, whose SIMD is the highest bit that is used."""
    words = read_words(folder, LAYERS - 1)
    where = f"Folder '{folder}': layer {LAYERS - 1}"
    used = -(-max(int(words.max()).bit_length(), 1) // bits)
    simd = 1 << (used - 1).bit_length()
    per_neuron, rest = divmod(fan_in, simd)
    if rest or words.shape[1] % per_neuron or simd * bits > WORD_BITS:
        raise Refusal(f"{where} must have {fan_in} weights of {bits} bits a neuron, as many as it "
                      f"reads, not {words.shape[1]} words of {used * bits} bits an element")
    return _weights(where, words, words.shape[1] // per_neuron, simd, bits)


def _real_neurons(folder: Path, weights: Array, classes: list[str]) -> int:
    """How many neurons of the last layer are not padding, which has weights of +1 or 0 alone."""
    real = np.flatnonzero((weights != weights[:, :1]).any(1))
    count = len(classes) or (int(real[-1]) + 1 if len(real) else len(weights))
    if count > len(weights):
        raise Refusal(f"Folder '{folder}': 'classes.txt' must name at most as many classes as "
                      f"the last layer has neurons, {len(weights)}, not {count}")
    return count


# Graph

def _nodes(layers: list[_Layer], weight_bits: int, levels: int) -> Iterator[Node]:
    fl = PIXEL_BITS - 1
    yield Input(name="pixels", shape=PICTURE, type=Fixed(8, signed=False))
    # Rounding half up, as the host code does, is the same: no pixel lies halfway.
    yield Affine(name="centred", inputs=("pixels",), scale=2 ** (fl + 1) / 255,
                 offset=-(2.0 ** fl))
    yield Requantize(name="levels", inputs=("centred",), shift=0, bits=PIXEL_BITS, fl=fl)
    before = "levels"
    for at, layer in enumerate(layers):
        for node in _layer_nodes(at, layer, before, weight_bits):
            yield node
            before = node.name
        if at < LAYERS - 1:
            for node in _activation(at, layer, before, levels):
                yield node
                before = node.name
    yield ArgMax(name="class", inputs=(before,))


def _layer_nodes(at: int, layer: _Layer, before: str, bits: int) -> Iterator[Node]:
    if at < CONVOLUTIONS:
        kernel = layer.weights.reshape(len(layer.weights), KERNEL, KERNEL, -1)
        yield Conv(name=f"sums{at}", inputs=(before,), weights=kernel, bits=bits)
        return
    if at == CONVOLUTIONS:
        yield Flatten(name="features", inputs=(before,))
        before = "features"
    yield Dense(name=f"sums{at}", inputs=(before,), weights=layer.weights, bits=bits)


def _activation(at: int, layer: _Layer, before: str, levels: int) -> Iterator[Node]:
    """What stands behind a layer: its bits, or -1, 0 and +1; and a pool."""
    name = f"bits{at}"
    yield Threshold(name=name, inputs=(before,), levels=_levels(at, layer))
    if at in POOLED:
        yield MaxPool(name=f"pooled{at}", inputs=(name,), kernel=(2, 2), stride=(2, 2))
        name = f"pooled{at}"
    if levels > 1:
        yield Affine(name=f"values{at}", inputs=(name,), offset=-1.0)


def _levels(at: int, layer: _Layer) -> Array:
    """What a sum must reach to exceed each threshold, (neurons, levels)."""
    if at == 0:  # the sum has one bit less behind its point than the threshold
        return (layer.thresholds >> THRESHOLD_FRACTION - PIXEL_BITS + 1) + 1
    if layer.thresholds.shape[1] > 1:
        return layer.thresholds + 1
    # Matches m of n bits make the sum 2 m - n.
    return 2 * (layer.thresholds + 1) - layer.weights.shape[1]

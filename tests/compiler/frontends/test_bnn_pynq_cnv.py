import numpy as np
import pytest

from compiler import golden
from compiler.check import check
from compiler.frontends import load
from compiler.ir import Affine, ArgMax, Conv, Dense, Fixed, MaxPool, Requantize, Threshold


# Neurons, elements and SIMD of each layer; the convolutions see 27, 36, 36, 72, 72 and 72
ROWS = [4, 4, 8, 8, 8, 8, 12, 8, 8]
ELEMENTS = [2, 4, 1, 2, 4, 8, 3, 2, 4]
SIMD = [3, 4, 12, 8, 24, 9, 4, 6, 2]
SYNAPSES = [27, 36, 36, 72, 72, 72, 8, 12, 8]
CLASSES = 6
PIXELS = np.random.default_rng(5).integers(0, 256, (3, 32, 32, 3))


def random_layers(seed, bits, levels):
    """Weights and thresholds that fire now and then; the last two neurons only pad."""
    rng = np.random.default_rng(seed)
    layers = []
    for at, (rows, synapses) in enumerate(zip(ROWS, SYNAPSES, strict=True)):
        weights = rng.choice([-1, 1] if bits == 1 else [-1, 0, 1], (rows, synapses))
        spread = 4 * np.sqrt(synapses)
        thresholds = rng.uniform(-spread, spread, (rows, levels)) / 4
        if at == 0:
            thresholds *= 256 * 0.6
        elif levels == 1:
            thresholds = (synapses + thresholds) / 2
        weights[:, -1] = 1 - 2 * (np.arange(rows) % 2)
        layers.append((weights, np.sort(thresholds.astype(np.int64), axis=1)))
    layers[-1][0][CLASSES:] = 1 if bits == 1 else 0
    return layers


def write(folder, layers, bits=1, classes=None):
    folder.mkdir(exist_ok=True)
    for at, (weights, thresholds) in enumerate(layers):
        fields = weights > 0 if bits == 1 else weights & 3
        for element in range(ELEMENTS[at]):
            own = fields[element::ELEMENTS[at]]
            lines = own.reshape(len(own), -1, SIMD[at]).astype(np.uint64)
            words = sum(lines[..., bit] << np.uint64(bits * bit) for bit in range(SIMD[at]))
            words.astype("<u8").tofile(folder / f"{at}-{element}-weights.bin")
            if at < 8:
                thresholds[element::ELEMENTS[at]].astype("<i8").tofile(
                    folder / f"{at}-{element}-thres.bin")
    if classes:
        (folder / "classes.txt").write_text("\n".join(classes))
    return folder


def expected(layers, pixels, bits, levels):
    """Sums of the last layer (matches, in the domain of one bit), by the book of the format."""
    x = np.minimum((512 * pixels + 255) // 510 - 128, 127)  # floor((2 p / 255 - 1) 128 + 1 / 2)
    for at, (weights, thresholds) in enumerate(layers):
        if at < 6:
            size = x.shape[1] - 2
            seen = np.concatenate([x[:, dy:dy + size, dx:dx + size]
                                   for dy in range(3) for dx in range(3)], -1)
        else:
            seen = x.reshape(len(x), -1)
        if at and levels == 1:
            sums = (seen[..., None, :] == weights).sum(-1)
        else:
            sums = (seen[..., None, :] * weights).sum(-1)
        if at == 8:
            return sums
        above = thresholds < (2 * sums if at == 0 else sums)[..., None]
        x = 2 * above[..., 0] - 1 if levels == 1 else above.sum(-1) - 1
        if at in (1, 3):
            half = x.shape[1] // 2
            x = x.reshape(len(x), half, 2, half, 2, -1).max((2, 4))


@pytest.mark.parametrize(("bits", "levels"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_same_as_by_the_book(tmp_path, bits, levels, seed):
    layers = random_layers(seed, bits, levels)
    graph = load(write(tmp_path / "net", layers, bits))
    *_, (_, sums), (last, found) = golden.trace(graph, PIXELS)
    made = expected(layers, PIXELS, bits, levels)[:, :CLASSES]
    assert np.ptp(made) > 1
    np.testing.assert_array_equal(sums, made if levels > 1 else 2 * made - SYNAPSES[-1])
    assert isinstance(last, ArgMax)
    np.testing.assert_array_equal(found, made.argmax(1))


def test_graph(tmp_path):
    layers = random_layers(0, 1, 1)
    graph = load(write(tmp_path / "tiny", layers, classes=["a", "b", "c"]))
    assert graph.name == "tiny"
    assert graph.meta == {"source": "BNN-PYNQ, W1A1", "classes": ["a", "b", "c"]}
    assert graph.input.shape == (32, 32, 3)
    assert graph.input.type == Fixed(8, signed=False)
    kinds = [type(node) for node in graph.nodes[1:]]
    assert kinds[:7] == [Affine, Requantize, Conv, Threshold, Conv, Threshold, MaxPool]
    assert [kinds.count(kind) for kind in (Conv, MaxPool, Dense)] == [6, 2, 3]
    assert graph.type("levels") == Fixed(8, fl=7)
    np.testing.assert_array_equal(graph["sums1"].weights,
                                  layers[1][0].reshape(4, 3, 3, 4))
    np.testing.assert_array_equal(graph["sums8"].weights, layers[8][0][:3])


def test_every_pixel_is_rounded_as_by_the_host_code(tmp_path):
    graph = load(write(tmp_path / "net", random_layers(0, 1, 1)))
    pixels = np.resize(np.arange(256), (1, 32, 32, 3))
    made = {node.name: made for node, made in golden.trace(graph, pixels)}
    exact = np.floor((2 * np.arange(256) / 255 - 1) * 128 + 0.5).clip(-128, 127)
    np.testing.assert_array_equal(made["levels"].reshape(-1)[:256], exact)


def test_without_classes_the_constant_rows_are_padding(tmp_path):
    graph = load(write(tmp_path / "net", random_layers(0, 1, 1)))
    assert graph.meta["classes"] == list("012345")


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "net", random_layers(0, 1, 1))


def refused(folder, sentence):
    refusal, = check(folder)
    assert sentence in refusal
    assert "\n" not in refusal


def test_missing_files(folder):
    (folder / "4-2-thres.bin").unlink()
    refused(folder, "must hold '4-2-thres.bin'")


def test_words_that_do_not_fit_the_first_layer(folder):
    for file in folder.glob("0-*-weights.bin"):
        file.write_bytes(bytes(8 * 2 * 8))
    refused(folder, "layer 0 must have a divisor of 27 words for each neuron")


def test_words_that_do_not_fit(folder):
    for file in folder.glob("5-*-weights.bin"):
        file.write_bytes(bytes(8 * 7))
    refused(folder, "layer 5 must have 72 weights of 1 bits a neuron, as many as it reads, "
                    "not 7 words of at least 0 bits")


def test_bits_beyond_the_word(folder):
    np.full(4 * 2, 1 << 5, "<u8").tofile(folder / "6-0-weights.bin")
    refused(folder, "layer 6 must have 8 weights of 1 bits a neuron, as many as it reads, "
                    "not 2 words of at least 6 bits")


def test_last_layer_that_does_not_fit(folder):
    for file in folder.glob("8-*-weights.bin"):
        np.full(7, 3, "<u8").tofile(file)
    refused(folder, "layer 8 must have 8 weights of 1 bits a neuron, as many as it reads, "
                    "not 7 words of 2 bits an element")


def test_weights_of_two_bits_and_activations_of_one(folder):
    np.full(2 * 9, 1 << 5, "<u8").tofile(folder / "0-0-weights.bin")
    refused(folder, "must be W1A1, W1A2 or W2A2, not have weights of two bits and activations of "
                    "one")


def test_weights_of_minus_two(tmp_path):
    layers = random_layers(0, 2, 2)
    layers[3][0][0, 0] = -2
    refused(write(tmp_path / "net", layers, 2), "layer 3 must have weights of -1, 0 and +1, "
                                                "not -2")


def test_thresholds_that_fall(tmp_path):
    layers = random_layers(0, 1, 2)
    layers[2][1][0] = 5, 4
    refused(write(tmp_path / "net", layers), "layer 2 must have the thresholds of a neuron in "
                                             "rising order")


def test_more_classes_than_neurons(folder):
    (folder / "classes.txt").write_text("\n".join("abcdefghi"))
    refused(folder, "'classes.txt' must name at most as many classes as the last layer has "
                    "neurons, 8, not 9")

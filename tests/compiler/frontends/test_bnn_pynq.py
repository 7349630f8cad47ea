import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.frontends import ModelError, load
from compiler.frontends.bnn_pynq import recognise
from compiler.ir import Dense, Fixed, Threshold


NEVER = 2 ** 15 - 1


def pack(weights, thresholds, pe, simd):
    """Cut one layer into the words and thresholds of ``pe`` elements."""
    rows, columns = weights.shape
    words, levels = [], []
    for element in range(pe):
        own = [row for row in range(rows) if row % pe == element]
        words.append([sum(int(weights[row, start + bit] > 0) << bit for bit in range(simd))
                      for row in own for start in range(0, columns, simd)])
        levels.append([thresholds[row] for row in own])
    return words, levels


def write(folder, layers, classes=None):
    """Write ``layers`` of (weights, thresholds, pe, simd)."""
    folder.mkdir(exist_ok=True)
    for at, layer in enumerate(layers):
        for element, (words, levels) in enumerate(zip(*pack(*layer), strict=True)):
            np.array(words, "<u8").tofile(folder / f"{at}-{element}-weights.bin")
            np.array(levels, "<i8").tofile(folder / f"{at}-{element}-thres.bin")
    if classes:
        (folder / "classes.txt").write_text("\n".join(classes))
    return folder


def random_layers(seed=0):
    """60 pixels padded to 64, 16 and 8 neurons, and 5 padded to 8."""
    rng = np.random.default_rng(seed)
    shapes = [(16, 64, 4, 16), (8, 16, 8, 8), (8, 8, 2, 4)]
    layers = [(rng.choice([-1, 1], (rows, columns)), rng.integers(0, columns, rows), pe, simd)
              for rows, columns, pe, simd in shapes]
    layers[0][0][:, 60:] = 1
    layers[0][0][:, 59] = -1
    layers[0][0][0, 15] = 1
    layers[-1][0][5:] = 1
    layers[-1][1][5:] = NEVER
    return layers


def matches(bits, weights):
    return (bits[:, None, :] == (weights > 0)).sum(2)


def expected(layers, pixels):
    """The network in the domain of the format: bits that match."""
    bits = np.pad(pixels > 127, ((0, 0), (0, 4)))
    for at, (weights, thresholds, _, _) in enumerate(layers):
        # Inputs that pad are 0 and their weights 1, so that they never match.
        count = matches(bits, weights) if at else matches(bits[:, :60], weights[:, :60])
        bits = count > thresholds
    low = bits[:, :5].astype(int) @ (1 << np.arange(5))
    return np.array([max(int(value).bit_length() - 1, 0) for value in low])


@given(seed=st.integers(0, 1000))
def test_same_class_as_by_matches(tmp_path_factory, seed):
    layers = random_layers(seed)
    folder = write(tmp_path_factory.mktemp("net"), layers)
    graph = load(folder)
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 60))
    np.testing.assert_array_equal(golden.run(graph, pixels), expected(layers, pixels))


def test_graph(tmp_path):
    layers = random_layers()
    graph = load(write(tmp_path / "tiny", layers, ["a", "b", "c", "d"]))
    assert graph.name == "tiny"
    assert graph.meta["classes"] == ["a", "b", "c", "d"]
    assert graph.input.shape == (60,)
    assert graph.input.type == Fixed(8, signed=False)
    dense = [node for node in graph.nodes if isinstance(node, Dense)]
    assert [node.bits for node in dense] == [1, 1, 1]
    np.testing.assert_array_equal(dense[0].weights, layers[0][0][:, :60])
    np.testing.assert_array_equal(dense[1].weights, layers[1][0])
    np.testing.assert_array_equal(dense[2].weights, layers[2][0][:4])
    levels = [node.levels for node in graph.nodes if isinstance(node, Threshold)]
    np.testing.assert_array_equal(levels[0], [[128]])
    assert all(level.dtype.kind == "i" for level in levels)


def test_without_classes_the_neurons_that_never_fire_are_padding(tmp_path):
    graph = load(write(tmp_path / "tiny", random_layers()))
    assert graph.meta["classes"] == list("01234")


def refused(folder, match, **options):
    with pytest.raises(ModelError, match=match):
        load(folder, **options)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "tiny", random_layers())


def test_missing_element(folder):
    (folder / "1-3-weights.bin").unlink()
    refused(folder, r"must hold '1-3-weights\.bin'$")


def test_missing_layer(folder):
    for file in folder.glob("1-*"):
        file.unlink()
    refused(folder, r"must hold '1-0-weights\.bin'$")


def test_missing_thresholds(folder):
    (folder / "2-0-thres.bin").unlink()
    (folder / "2-1-thres.bin").unlink()
    refused(folder, r"must hold '2-0-thres\.bin'$")


@pytest.mark.parametrize("size", [0, 3, 8])
def test_truncated(folder, size):
    file = folder / "0-2-weights.bin"
    file.write_bytes(file.read_bytes()[:size])
    refused(folder, f"0-2-weights.bin' must hold whole words of 64 bits, .* not {size} bytes$")


def test_folds_that_do_not_fit(folder):
    for file in folder.glob("0-*-thres.bin"):
        file.write_bytes(bytes(8 * 3))
    refused(folder, "layer 0 must have as many elements of weights as of thresholds")


def test_bits_beyond_the_word(folder):
    np.full(2 * 8 // 8, 2 ** 63, "<u8").tofile(folder / "1-0-weights.bin")
    refused(folder, "layer 1 must read the 16 neurons of the layer before with activations of "
                    "one bit")


def test_thresholds_out_of_reach(folder):
    np.full(4, -2 ** 63, "<i8").tofile(folder / "0-0-thres.bin")
    refused(folder, "layer 0 must have thresholds of at most 32 bits")


def test_more_classes_than_neurons(folder):
    (folder / "classes.txt").write_text("\n".join("abcdefghi"))
    refused(folder, "'classes.txt' must name at most as many classes as the last layer has "
                    "neurons, 8, not 9$")


def test_classes_that_are_no_text(folder):
    (folder / "classes.txt").write_bytes(b"\xff\xfe\xff")
    refused(folder, "classes.txt' must be text in UTF-8$")


def test_input_type(folder):
    assert load(folder, input_type="uint8").input.type == Fixed(8, signed=False)
    refused(folder, "must be uint8, not Real", input_type="real")


def test_recognise(folder, tmp_path):
    assert recognise(folder)
    assert not recognise(tmp_path)

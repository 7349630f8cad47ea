import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import golden
from compiler.frontends import ModelError, load, tinier_nn
from compiler.frontends.tinier_nn import graph_of, recognise, text_of
from compiler.ir import Binary, Dense, Threshold
from compiler.passes import to_integer
from tests.compiler.frontends.malformed import spoil_bytes
from tests.compiler.frontends.real_data import shared
from tests.compiler.frontends.test_malformed import load_or_refuse


sizes = st.lists(st.sampled_from([32, 64, 96]), min_size=2, max_size=4)
seeds = st.integers(0, 10_000)


def random_layers(counts, seed=0):
    """Weights of layers with ``counts`` of inputs, neurons, ..., outputs."""
    chance = np.random.default_rng(seed)
    return [chance.choice([-1, 1], (outputs, inputs))
            for inputs, outputs in zip(counts, counts[1:], strict=False)]


def written(layers, between="\n"):
    """The text of the format, row by row; ``between`` goes between rows."""
    parts = ["bnn"]
    for weights in layers:
        rows = ["".join("1" if weight == 1 else "0" for weight in row) for row in weights.tolist()]
        parts.append(f"{len(rows[0])},{len(rows)}\n{between.join(rows)}")
    return "\n".join([*parts, "0,0"]).encode()


def matmul(words, rows):
    """One layer in the domain of the format: words of 32 bits, the first bit highest.

    A bit of the output is 0 where at least half of the inputs differ from the weights.
    """
    outputs = []
    for begin in range(0, len(rows), 32):
        word = 0
        for row in rows[begin:begin + 32]:
            weights = [int(row[at:at + 32], 2) for at in range(0, len(row), 32)]
            differing = sum((a ^ b).bit_count() for a, b in zip(words, weights, strict=True))
            word = word << 1 | int(not differing >= len(row) // 2)
        outputs.append(word)
    return outputs


def original(text, words):
    """Run the program of the format on the words of an input."""
    lines = text.decode().split("\n")
    at = 1
    while lines[at] != "0,0":
        outputs = int(lines[at].split(",")[1])
        words = matmul(words, lines[at + 1:at + 1 + outputs])
        at += 1 + outputs
    return words


def packed(values):
    """Words of 32 bits, the first value highest."""
    return [int("".join("1" if value > 0 else "0" for value in values[at:at + 32]), 2)
            for at in range(0, len(values), 32)]


def file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("net") / "model.def"
    path.write_bytes(data)
    return path


@given(counts=sizes, seed=seeds)
def test_same_words_as_the_program(tmp_path_factory, counts, seed):
    text = written(random_layers(counts, seed))
    graph = load(file(tmp_path_factory, text))
    x = np.random.default_rng(seed + 1).choice([-1, 1], (10, counts[0]))
    answers = golden.run(graph, x)
    np.testing.assert_array_equal(golden.run(to_integer(graph), x), answers)
    for row, answer in zip(x, answers, strict=True):
        assert packed(answer) == original(text, packed(row))


def test_a_tie_is_minus_one():
    """A sum of 0 and its neighbours, -2 and 2, of each neuron."""
    weights = np.ones((32, 32), int)
    x = np.ones((3, 32), int)
    for row, minus in zip(x, (15, 16, 17), strict=True):
        row[:minus] = -1
    answers = golden.run(graph_of([weights], "net"), x)
    assert answers[:, 0].tolist() == [1, -1, -1]
    assert original(written([weights]), packed(x[1])) == [0]


def test_example_of_its_readme():
    """[1, -1] times [1, -1; -1, 1] gives [1, -1], here with 15 more such pairs as factors of 0."""
    weights = np.tile([[1, -1], [-1, 1]], (16, 16))
    x = np.array([[1, -1] * 16])
    assert golden.run(graph_of([weights], "net"), x)[0].tolist() == [1, -1] * 16


@given(counts=sizes, seed=seeds)
def test_written_as_it_was_read(tmp_path_factory, counts, seed):
    layers = random_layers(counts, seed)
    assert text_of(layers) == written(layers)
    graph = load(file(tmp_path_factory, text_of(layers)))
    for node, weights in zip(graph.nodes[1::2], layers, strict=True):
        np.testing.assert_array_equal(node.weights, weights)


@pytest.mark.parametrize("between", ["", "\r\n", "\n\n\n"])
def test_newlines_are_left_out(tmp_path, between):
    path = tmp_path / "net"
    layers = random_layers([32, 64, 32])
    path.write_bytes(written(layers, between) + b"\r\n")
    for node, weights in zip(load(path).nodes[1::2], layers, strict=True):
        np.testing.assert_array_equal(node.weights, weights)


def test_no_newline_ahead_of_the_end(tmp_path):
    """So an early version of the format's program writes it."""
    path = tmp_path / "net.def"
    path.write_bytes(written(random_layers([32, 32])).replace(b"\n0,0", b"0,0"))
    assert load(path).nodes[1].weights.shape == (32, 32)


def test_graph(tmp_path):
    path = tmp_path / "tiny.def"
    path.write_bytes(written(random_layers([64, 32, 96])))
    graph = load(path)
    assert graph.name == "tiny"
    assert graph.input.shape == (64,)
    assert graph.input.type == graph.type(graph.output.name) == Binary()
    assert [type(node) for node in graph.nodes[1:]] == [Dense, Threshold] * 2
    assert [node.name for node in graph.nodes] == ["bits", "sums0", "bits0", "sums1", "bits1"]
    assert graph.meta == {"source": "tinier-nn", "votes": True}


def test_input_type(tmp_path):
    path = tmp_path / "net.def"
    path.write_bytes(written(random_layers([32, 32])))
    assert load(path, input_type="binary").input.type == Binary()
    with pytest.raises(ModelError, match="must be binary, not Real"):
        load(path, input_type="real")


def test_recognise(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"bnn")
    (tmp_path / "other.def").write_bytes(b"bn")
    assert recognise(tmp_path / "net.onnx")
    assert not recognise(tmp_path / "other.def")
    assert not recognise(tmp_path)


GOOD = written(random_layers([32, 64, 32]))
FIRST, SECOND = b"bnn\n32,64\n", b"\n64,32\n"
SIZES = ("must begin with its numbers of inputs and outputs, such as 32,64, or be the end, 0,0, "
         "not")
WEIGHTS = "must have 2048 weights of 0 or 1, not"


@pytest.mark.parametrize(("data", "sentence"), [
    (b"bnn", f"layer 0 {SIZES} ''"),
    (b"bnn\n0,0", "must have at least one layer, not none"),
    (b"bnn\n32 64\n", f"layer 0 {SIZES} '32 64'"),
    (b"bnn\n-32,64\n", f"layer 0 {SIZES} '-32,64'"),
    (b"bnn\n" + b"9" * 99 + b",1", f"layer 0 {SIZES} '{'9' * 80}...'"),
    (b"bnn\n31,64\n", "layer 0 must have inputs and outputs in multiples of 32, not 31 and 64"),
    (b"bnn\n32,0\n", "layer 0 must have inputs and outputs in multiples of 32, not 32 and 0"),
    (b"bnn\n32,64\n" + b"9" * 99, f"layer 0 {WEIGHTS} '9' behind 0 of them"),
    (b"bnn\n999999968,999999968\n", "layer 0 must have 999999936000001024 weights, not 0"),
    (GOOD[:-4], f"layer 2 {SIZES} ''"),
    (GOOD[:-4] + b"1\n0,0", f"layer 2 {SIZES} '1'"),
    (GOOD[:-5], "layer 1 must have 2048 weights, not 2047"),
    (GOOD[:-5] + b"\n0,0", "layer 1 must have 2048 weights ahead of the next sizes, not fewer"),
    (GOOD[:-6] + b"\n0,0", f"layer 1 {WEIGHTS} ',' behind 2047 of them"),
    (GOOD.replace(SECOND, b"\n32,64\n"),
     "layer 1 must have the 64 outputs of the layer before as its inputs, not 32"),
    (GOOD.replace(FIRST, FIRST + b"0\xff1"), rf"layer 0 {WEIGHTS} '\\\\xff' behind 1 of them"),
    (GOOD.replace(FIRST, FIRST + b"2"), f"layer 0 {WEIGHTS} '2' behind 0 of them"),
    (GOOD + b"\nmore", "must end with 0,0, not go on with 'more'"),
])
def test_refused(tmp_path, data, sentence):
    path = tmp_path / "net.def"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=rf"^File '{re.escape(str(path))}'(:)? {sentence}$"):
        load(path)


def test_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(tinier_nn, "SIZE_LIMIT", 100)
    path = tmp_path / "net.def"
    path.write_bytes(GOOD)
    with pytest.raises(ModelError, match=f"must have at most 100 bytes, not {len(GOOD)}$"):
        load(path)


def test_truncated(tmp_path):
    path = tmp_path / "net.def"
    for size in [*range(3, 20), *range(20, len(GOOD) - 4, 97), len(GOOD) - 3, len(GOOD) - 1]:
        path.write_bytes(GOOD[:size])
        assert load_or_refuse(path) is None


@pytest.mark.parametrize("seed", range(200))
def test_damaged(tmp_path, seed):
    path = tmp_path / "net.def"
    path.write_bytes(spoil_bytes(GOOD, np.random.default_rng(seed)))
    load_or_refuse(path)


# The network that its repository holds, which is not ours to ship

REFERENCE = [  # for 00, 01, 10 and 11, the last output first, as its program prints them
    "11111111111111111111111111111111",
    "01000000000000000000000000000000",
    "01000000000000000000000000001000",
    "11111111111111111010111111111111",
]


def test_its_own_network():
    path = shared("tinier-nn/model.def")
    graph = load(path)
    x = np.full((4, 32), -1)
    x[2:, 0] = x[1::2, 1] = 1
    answers = golden.run(graph, x)
    assert [f"{packed(answer[::-1])[0]:032b}" for answer in answers] == REFERENCE
    for row, word in zip(x, REFERENCE, strict=True):
        assert original(path.read_bytes(), packed(row)) == [int(word[::-1], 2)]
    assert text_of([node.weights for node in graph.nodes[1::2]]) == path.read_bytes()
    assert sum(node.weights.size for node in graph.nodes[1::2]) == 8192

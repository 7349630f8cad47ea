import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from compiler import golden, models
from compiler.cli import commands
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import ArgMax, Conv, Fixed, Flatten, Input, MaxPool, Relu, value_range
from compiler.passes.precision import Widths, best_length, rounded
from compiler.passes.rewriting import PassError
from compiler.progress import quiet
from compiler.qonnx.write import write
from compiler.quantize import MODES, Trial, _Search, halves, quantize
from compiler.workload import open_workload
from sim.native import Native
from tests.compiler.frontends.real_data import shared
from tests.compiler.passes.networks import affine, chain, dense


SIDE, CLASSES = 8, 4


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """A network that knows where in a picture of 8 x 8 a bright square is, and such pictures."""
    folder = tmp_path_factory.mktemp("task")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 400)
    x = rng.integers(0, 100, (400, SIDE, SIDE, 1))
    for picture, label in zip(x, labels, strict=True):
        y, column = np.array([label // 2, label % 2]) * 4 + rng.integers(0, 2, 2)
        picture[y:y + 3, column:column + 3] += 110
    np.savez(folder / "data.npz", x=x.astype(np.uint8), y=labels)
    np.savez(folder / "bare.npz", x=x.astype(np.uint8))
    mean = np.full((2, 3, 3, 1), 1 / 9) * np.array([1, -1]).reshape(2, 1, 1, 1)
    first = Conv(name="a", weights=mean + rng.normal(0, 0.01, mean.shape),
                 bias=np.array([-0.4, 0.4]), pads=(1, 1, 1, 1))
    quadrants = np.zeros((CLASSES, 4, 4, 2))
    for label in range(CLASSES):
        y, column = label // 2 * 2, label % 2 * 2
        quadrants[label, y:y + 2, column:column + 2] = [1.0, -0.3]
    last = dense((quadrants + rng.normal(0, 0.01, quadrants.shape)).reshape(CLASSES, -1), "b",
                 None, bias=np.full(CLASSES, 0.25))
    graph = chain(Input(name="x", shape=(SIDE, SIDE, 1)), affine(1 / 256, 0.0, "scaled"), first,
                  Relu(name="relu"), MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)),
                  Flatten(name="flat"), last, ArgMax(name="class"))
    assert (golden.run(graph, x) == labels).mean() > 0.98
    write(graph, folder / "net.onnx", {})
    return folder


def call(*words):
    return CliRunner().invoke(commands, ["quantize", *map(str, words)])


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(task, tmp_path, mode):
    made = quantize(str(task / "net.onnx"), str(task / "data.npz"), tmp_path / "out.onnx",
                    mode=mode, c_dir=tmp_path / "c")
    assert made.before > 0.98
    assert made.after > 0.95
    assert made.tested == 400
    assert (made.multiplications == 0) == (mode == "power-of-two")
    work = open_workload(str(tmp_path / "out.onnx"), str(task / "data.npz"))
    x = work.samples(None).x
    answers = golden.run(work.graph, x)
    assert (answers == work.samples(None).labels).mean() == made.after
    np.testing.assert_array_equal(Native(work.graph, cflags=("-O1",)).run(x), answers)
    assert (tmp_path / "c" / "net.c").exists()
    facts = {item.key: item.value for item in onnx.load(tmp_path / "out.onnx").metadata_props}
    assert facts["precision"] == mode
    assert json.loads(facts["bits"]) == {"conv": 8, "dense": 8, "data": 8}


def test_command_tells_what_it_did(task, tmp_path):
    result = call(task / "net.onnx", "--data", task / "data.npz", "-o", tmp_path / "out.onnx",
                  "--bits", 4, "--samples", 100)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "mode         dynamic, 4 bits"
    assert lines[1].startswith("data         ")
    assert "4 bits unsigned, fractional length 4" in lines[1]
    assert sum(line.startswith("weights      ") for line in lines) == 2
    assert any(line.startswith("accuracy     ") and line.endswith(" before") for line in lines)
    assert "multipliers  1280 products a frame need one" in lines  # 64 * 9 * 2 + 32 * 4
    assert lines[-1].startswith(f"{tmp_path / 'out.onnx'} is written")
    shifts = call(task / "net.onnx", "--data", task / "data.npz", "-o", tmp_path / "out.onnx",
                  "--mode", "power-of-two").stdout.splitlines()
    assert shifts[0] == "mode         power-of-two, 8 bits for data"
    assert "multipliers  0 products a frame need one" in shifts
    assert any("powers of two, 2**-" in line for line in shifts)


def test_default_name(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(task / "net.onnx", "--data", task / "data.npz", "--mode", "static")
    assert [file.name for file in tmp_path.iterdir()] == ["net-static.onnx"]


def test_without_labels(task, tmp_path):
    made = quantize(str(task / "net.onnx"), str(task / "bare.npz"), tmp_path / "out.onnx")
    assert made.before is made.after is None
    assert not any(line.startswith("accuracy") for line in made.lines())


# The search

@pytest.mark.parametrize(("mode", "bits"), [("dynamic", 8), ("static", 8), ("minifloat", 16),
                                            ("power-of-two", 8)])
@pytest.mark.parametrize("margin", [0.5, 10])
def test_margin_is_kept(task, tmp_path, mode, bits, margin):
    made = quantize(str(task / "net.onnx"), str(task / "data.npz"), tmp_path / "out.onnx",
                    mode=mode, bits=bits, margin=margin)
    assert made.before - made.after <= margin / 100
    assert made.trials
    assert made.trials[0].widths == Widths.of(bits)
    assert f"tried        {bits} bits" in next(made.lines())


def search(table, limit, widest=8, parts=("conv", "dense", "data")):
    """Search in a table of accuracies, by widths; return the choice and what was tried."""
    def accuracy(widths):
        return table(widths.conv, widths.dense, widths.data)

    made = _Search(accuracy, quiet, "net", limit)
    widths = made.run(Widths.of(widest), parts)
    return (widths.conv, widths.dense, widths.data), [
        (tried.conv, tried.dense, tried.data) for tried in made.trials]


def test_search_stops_at_the_first_that_loses_more():
    """Known answers of Ristretto's search: each part by itself, then all of them together."""
    lost = {8: 0, 4: 1, 2: 9}
    chosen, tried = search(lambda *bits: 100 - max(lost[at] for at in bits), 98)
    assert chosen == (4, 4, 4)
    assert tried == [(8, 8, 8), (4, 8, 8), (2, 8, 8), (8, 4, 8), (8, 2, 8), (8, 8, 4), (8, 8, 2),
                     (4, 4, 4)]


def test_parts_that_lose_too_much_together_are_widened():
    """Weights of convolutions lose most of the margin by themselves, so they go first."""
    def table(conv, dense, data):
        return 100 - 2.0 * (conv < 8) - 0.5 * (dense < 8) - 0.4 * (data < 8)

    assert search(table, 98)[0] == (8, 2, 2)
    assert search(table, 97)[0] == (2, 2, 2)
    assert search(table, 99.55)[0] == (8, 8, 2)


def test_search_of_one_width():
    assert search(lambda *bits: 90 + bits[0], 94, parts=None)[0] == (4, 4, 4)


def test_search_goes_back_by_the_steps_it_came():
    def table(conv, dense, data):
        return 100 - (7 - conv) * 0.1 - (7 - dense) * 0.1 - (7 - data) * 0.1 - 5 * (
            conv + dense + data < 17)

    assert halves(7) == [7, 3]
    assert search(table, 99, widest=7)[0] == (7, 7, 3)


def test_widths_that_no_minifloat_has_end_the_search():
    def table(conv, dense, data):
        if data < 8:
            raise PassError("too few")
        return 100

    assert search(table, 99, widest=16, parts=None)[0] == (8, 8, 8)


def test_a_margin_that_cannot_be_kept():
    with pytest.raises(UserError, match="^Network 'net' must be right for at least 98.00 % of the "
                                        "inputs, not for 50.00 % with 8 bits: allow more bits, or "
                                        "a larger error margin$"):
        search(lambda *bits: 0.5, 0.98)
    assert Trial(Widths.of(8), 0.5).accuracy == 0.5


# Refusals

@pytest.mark.parametrize(("words", "sentence"), [
    (["--bits", 9], "A network can be quantized to 2 to 8 bits, not 9"),
    (["--bits", 1], "A network can be quantized to 2 to 8 bits, not 1"),
    (["--bits", -3, "--error-margin", 1], "A network can be quantized to 2 to 8 bits, not -3"),
    (["--bits", 4, "--mode", "minifloat"], "must have minifloats of 6 to 16 bits, as its data"),
    (["--error-margin", 101], "Error margin must be 0 to 100 percentage points, not 101"),
    (["--error-margin", "nan"], "Error margin must be 0 to 100 percentage points, not nan"),
    (["--mode", "ternary"], "is not one of 'dynamic', 'static', 'power-of-two', 'minifloat'"),
])
def test_refusals(task, tmp_path, words, sentence):
    result = call(task / "net.onnx", "--data", task / "data.npz", "-o", tmp_path / "out.onnx",
                  *words)
    assert result.exit_code == 1
    assert sentence in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_other_refusals(task, tmp_path):
    out = tmp_path / "out.onnx"
    for words, sentence in [
        ((task / "net.onnx", "--data", task / "bare.npz", "--error-margin", 1),
         "must have labels to keep an error margin, not none"),
        ((models.network(), "--data", task / "data.npz"),
         ("Network 'digits' must be of floating point to be quantized, not have quantizers of its "
         "own")),
        ((task / "none.onnx", "--data", task / "data.npz"), "but there is nothing of that name"),
        ((task / "net.onnx", "--data", task / "none.npz"), "must be a readable data set"),
    ]:
        result = call(*words, "-o", out)
        assert result.exit_code == 1
        assert sentence in result.stderr.splitlines()[-1]
    result = call(task / "net.onnx", "--data", task / "data.npz", "-o", tmp_path / "no" / "o.onnx")
    assert "must be a file that can be written" in result.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


# Real data: `docs/quantization.md` has the table

@pytest.fixture(scope="module")
def mnist_conv():
    return str(shared("mnist-conv/model.onnx")), str(shared("mnist"))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "bits", "low", "high"), [
    ("dynamic", 8, 0.9841, 1), ("dynamic", 6, 0.98, 1), ("dynamic", 4, 0.94, 1),
    ("static", 8, 0.98, 1), ("static", 6, 0, 0.12), ("static", 4, 0, 0.12),
    ("power-of-two", 8, 0.98, 1), ("minifloat", 8, 0.985, 1),
])
def test_mnist_conv(mnist_conv, tmp_path, mode, bits, low, high):
    made = quantize(*mnist_conv, tmp_path / "out.onnx", mode=mode, bits=bits)
    assert round(made.before, 4) == 0.9891
    assert low <= made.after <= high
    assert (made.multiplications == 0) == (mode == "power-of-two")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "bits"), [("dynamic", 8), ("minifloat", 16),
                                            ("power-of-two", 8), ("static", 8)])
def test_mnist_conv_within_a_margin(mnist_conv, tmp_path, mode, bits):
    made = quantize(*mnist_conv, tmp_path / "out.onnx", mode=mode, bits=bits, margin=1)
    assert made.before - made.after <= 0.01


LENGTHS = {  # of weights and biases, layer by layer, as independent NumPy found them
    8: (7, 8, 8, 8, 7, 9), 6: (5, 6, 6, 6, 6, 7), 5: (4, 5, 5, 5, 5, 7), 4: (3, 4, 5, 4, 4, 6),
    3: (3, 3, 4, 4, 3, 5),
}


@pytest.mark.parametrize("bits", LENGTHS)
def test_lengths_of_mnist_conv(bits):
    """The search of dynamic precision, on real weights, with known answers."""
    graph = load(shared("mnist-conv/model.onnx"))
    values = [array for node in graph.nodes
              for array in (getattr(node, "weights", None), getattr(node, "offset", None))
              if array is not None]
    assert len(values) == 6
    _, high = value_range(Fixed(bits))
    assert tuple(best_length(array, high, lambda length, array=array: (
        rounded(array, bits, length).values * 2.0 ** -length)) for array in values) == LENGTHS[bits]

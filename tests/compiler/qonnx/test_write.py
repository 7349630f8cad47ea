import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import Dense, Graph, HighestBit, Input, Relu, Requantize
from compiler.passes import to_integer
from compiler.passes.minifloats import quantize_minifloats, to_minifloats
from compiler.passes.precision import Widths
from compiler.passes.quantize_floats import MODES, quantized
from compiler.passes.rewriting import PassError
from compiler.qonnx.write import write
from tests.compiler.passes.floats import random_floats
from tests.compiler.passes.networks import bits_in, chain, dense


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from(MODES), st.integers(2, 8))
def test_same_answers(tmp_path_factory, seed, mode, bits):
    """What is read again gives the answers of what was written, to the last bit."""
    path = tmp_path_factory.mktemp("qonnx") / "net.onnx"
    graph, x = random_floats(np.random.default_rng(seed))
    made = quantized(graph, x, Widths.of(bits), mode)
    write(made, path, {})
    try:
        expected = golden.run(to_integer(made), x)
    except PassError as refusal:  # sums that cannot be added, whoever reads them
        with pytest.raises(PassError, match=str(refusal).split("'")[0]):
            to_integer(load(path))
        return
    again = load(path)
    np.testing.assert_array_equal(golden.run(again, x), expected)
    np.testing.assert_array_equal(golden.run(to_integer(again), x), expected)


@settings(max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(7, 16))
def test_minifloats(tmp_path_factory, seed, bits):
    path = tmp_path_factory.mktemp("qonnx") / "net.onnx"
    graph, x = random_floats(np.random.default_rng(seed))
    made = quantize_minifloats(graph, x, bits)
    write(made, path, {})
    expected = golden.run(to_minifloats(made), x)
    np.testing.assert_array_equal(golden.run(to_minifloats(load(path)), x), expected)


def small(*nodes):
    return chain(bits_in(), dense(np.ones((2, 6), int), bits=2), *nodes)


def test_facts_and_types(tmp_path):
    write(small(), tmp_path / "net.onnx", {"text": "a", "numbers": [1, 2]})
    model = onnx.load(tmp_path / "net.onnx")
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {"text": "a", "numbers": "[1, 2]"}
    note = model.graph.quantization_annotation[0].quant_parameter_tensor_names[0]
    assert (note.key, note.value) == ("finn_datatype", "BIPOLAR")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_values_are_those_that_integers_stand_for(tmp_path):
    """A tensor of ONNX has the length that the result of a Requantize has."""
    graph = small(Requantize(name="out", shift=2, bits=3, fl=-1))
    write(graph, tmp_path / "net.onnx", {})
    x = np.ones((1, 6), int)
    assert golden.run(graph, x)[0].tolist() == [2, 2]  # 6 / 4, half to even
    # ... and the output is ours again
    assert golden.run(load(tmp_path / "net.onnx"), x)[0].tolist() == [2, 2]
    model = onnx.load(tmp_path / "net.onnx")
    assert [node.op_type for node in model.graph.node] == ["Quant", "Gemm", "Quant", "Mul"]


def test_what_onnx_does_not_have(tmp_path):
    with pytest.raises(UserError, match="^HighestBit 'class' must be an operation of QONNX to be "
                                        "written, not one of ours alone$"):
        write(small(HighestBit(name="class")), tmp_path / "net.onnx", {})
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be_written(tmp_path):
    for path in tmp_path / "none" / "net.onnx", tmp_path:
        with pytest.raises(UserError, match=f"^'{path}' must be a file that can be written, but"):
            write(small(), path, {})


def test_vectors_stay_vectors(tmp_path):
    graph = Graph((Input(name="x", shape=(3,)),
                   Dense(name="a", inputs=("x",), weights=np.eye(3)),
                   Relu(name="b", inputs=("a",))))
    write(graph, tmp_path / "net.onnx", {})
    x = np.array([[1.0, -2.0, 0.5]])
    assert golden.run(load(tmp_path / "net.onnx"), x).tolist() == [[1.0, 0.0, 0.5]]

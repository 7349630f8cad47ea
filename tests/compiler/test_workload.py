import numpy as np
import pytest

from compiler import golden, models
from compiler.errors import UserError
from compiler.ir import Binary, Fixed, Input, Real
from compiler.workload import find, open_workload, random_inputs


def test_names_and_paths(tmp_path, monkeypatch):
    own = models.network(), str(models.held_back())
    assert find(None) == find("digits") == own
    assert find(str(models.network())) == (models.network(), None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert find("digits")[1] is None  # what lies there goes before our names


def test_own_data_and_given_data(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 8, 8), np.uint8))
    assert len(open_workload(None).samples(None)) == 445
    given = open_workload(None, str(tmp_path / "x.npy")).samples(3)
    assert given.x.shape == (3, 64)
    assert given.labels is None


def test_inputs_in_bits(tmp_path):
    work = open_workload("xor")
    assert len(work.samples(None)) == 4
    for wrong in 0, 2, -128, 0.5, float("nan"):
        x = np.ones((3, 32), np.int8 if wrong in (0, 2, -128) else float)
        x[1, 7] = wrong
        np.save(tmp_path / "x.npy", x)
        with pytest.raises(UserError, match=f"^Inputs of 'x.npy' must be -1 and \\+1, as the "
                                            f"network reads bits, not {wrong}; 2 \\* x - 1 makes"):
            open_workload("xor", str(tmp_path / "x.npy")).samples(None)


def test_random_inputs_suit_the_network():
    for kind, low, high in ((Binary(), -1, 1), (Fixed(5, signed=False), 0, 31),
                            (Fixed(4), -8, 7), (Real(), 0, 255)):
        x = random_inputs(Input(name="in", shape=(3, 4), type=kind), 500).x
        assert x.shape == (500, 3, 4)
        assert (x.min(), x.max()) == (low, high)
        np.testing.assert_array_equal(
            x, random_inputs(Input(name="in", shape=(3, 4), type=kind), 500).x)


def test_floats_learn_from_data(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper
    chance = np.random.default_rng(1)
    weights = [chance.normal(size=shape).astype(np.float32) for shape in ((6, 8), (8, 3))]
    nodes = [helper.make_node("MatMul", ["x", "w0"], ["a"], name="a"),
             helper.make_node("Relu", ["a"], ["b"], name="b"),
             helper.make_node("MatMul", ["b", "w1"], ["y"], name="y")]
    graph = helper.make_graph(
        nodes, "floats", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(array, f"w{index}") for index, array in enumerate(weights)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
              tmp_path / "floats.onnx")
    x = chance.normal(size=(200, 6))
    np.savez(tmp_path / "x.npz", x=x)
    work = open_workload(str(tmp_path / "floats.onnx"), str(tmp_path / "x.npz"))
    exact = np.maximum(x @ weights[0], 0) @ weights[1]
    agree = golden.run(work.graph, x).argmax(1) == exact.argmax(1)
    assert agree.mean() > 0.9
    with pytest.raises(UserError):
        open_workload(str(tmp_path / "floats.onnx"))

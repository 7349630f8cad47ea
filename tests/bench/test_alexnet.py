import numpy as np
import pytest

from compiler import golden
from compiler.ir import Conv, Dense
from sim.native import AVX2, Native, has_avx2


onnxruntime = pytest.importorskip("onnxruntime")
alexnet = pytest.importorskip("bench.alexnet")

EIGHTH = "alexnet-xnor-8th"


def test_table(capsys):
    alexnet.main(["--rounds", "1", "--frames", "1"], EIGHTH)
    avx2 = ["AVX2, from Python", "AVX2"] if has_avx2() else []
    title, _, *lines = capsys.readouterr().out.splitlines()
    rows, (memory, *peers) = lines[:4 + len(avx2)], lines[4 + len(avx2):]
    assert title == f"{EIGHTH}, random weights, 1 rounds of 1 frames, one thread"
    assert [row[:20].strip() for row in rows] == ["ONNX Runtime fp32", "ONNX Runtime int8",
                                                  "C, from Python", "C", *avx2]
    assert memory.startswith("The C has ")
    assert [line.split(",")[0] for line in peers] == ["C", *avx2[1:]]


@pytest.mark.parametrize("cflags", [("-O3", "-march=native"), ("-O3", *AVX2)])
def test_every_layer(cflags):
    """An eighth of the channels at the speed that is timed; bits alone lie between the layers."""
    if AVX2[0] in cflags and not has_avx2():
        pytest.skip("needs a processor with AVX2")
    graph = alexnet.network(EIGHTH)
    x = np.random.default_rng(0).integers(0, 256, (2, *graph.input.shape))
    native = Native(graph, cflags=cflags)
    layers = native.trace(x)
    for node, expected in golden.trace(graph, x):
        if layers.get(node.name) is not None:
            np.testing.assert_array_equal(layers.pop(node.name), expected, node.name)
    assert set(layers.values()) <= {None}
    weights, temporaries = native.memory
    bits = sum(node.weights.size * node.bits for node in graph.nodes if hasattr(node, "weights"))
    levels = sum(node.levels.size for node in graph.nodes if hasattr(node, "levels"))
    assert bits / 8 <= weights < 1.1 * (bits / 8 + 4 * levels)
    assert temporaries < 56 * 56 * 2 + 27 * 27 * 8 + 16384


def test_the_float_model_has_the_shapes_of_the_graph():
    graph = alexnet.network(EIGHTH)
    model = alexnet.float_model(graph)
    weights = [tuple(tensor.dims) for tensor in model.graph.initializer][::2]
    assert weights == [
        np.moveaxis(node.weights, -1, 1).shape if isinstance(node, Conv) else node.weights.shape
        for node in graph.nodes if isinstance(node, Conv | Dense)]
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.ones((1, 3, 227, 227), np.float32)})
    assert result.shape == (1, 1000)

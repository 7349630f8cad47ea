import numpy as np
import pytest

from compiler import golden
from sim.native import AVX2, Native, has_avx2


onnxruntime = pytest.importorskip("onnxruntime")
cnv = pytest.importorskip("bench.cnv")


def test_table(capsys):
    cnv.main(["--rounds", "1", "--frames", "2", "--random"])
    avx2 = ["AVX2, from Python", "AVX2"] if has_avx2() else []
    title, _, *lines = capsys.readouterr().out.splitlines()
    rows, (memory, *peers) = lines[:4 + len(avx2)], lines[4 + len(avx2):]
    assert title == "CNV, random parameters, 1 rounds of 2 frames, one thread"
    assert [row[:20].strip() for row in rows] == ["ONNX Runtime fp32", "ONNX Runtime int8",
                                                  "C, from Python", "C", *avx2]
    assert memory.startswith("The C has ")
    assert [line.split(",")[0] for line in peers] == ["C", *avx2[1:]]


@pytest.mark.parametrize("cflags", [("-O3", "-march=native"), ("-O3", *AVX2)])
def test_random_network_in_c(cflags):
    """A whole network at the speed that is timed; only bits lie between its layers."""
    if AVX2[0] in cflags and not has_avx2():
        pytest.skip("needs a processor with AVX2")
    graph = cnv.random_network()
    x = np.random.default_rng(0).integers(-128, 128, (12, *cnv.SHAPE))
    native = Native(graph, cflags=cflags)
    np.testing.assert_array_equal(native.run(x), golden.run(graph, x))
    layers = native.trace(x[:8])
    for node, expected in golden.trace(graph, x[:8]):
        if layers.get(node.name) is not None:
            np.testing.assert_array_equal(layers.pop(node.name), expected, node.name)
    assert set(layers.values()) <= {None}
    weights, temporaries = native.memory
    first, pooled = 30 * 30 * 64 // 8, 14 * 14 * 64 // 8
    assert first + pooled <= temporaries <= first + pooled + 2048
    bits = sum(node.weights.size for node in graph.nodes if hasattr(node, "weights"))
    assert bits / 8 <= weights < 1.1 * bits / 8


def test_models_have_the_same_shapes():
    session = onnxruntime.InferenceSession(cnv.float_model().SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.ones((1, 3, 32, 32), np.float32)})
    assert result.shape == (1, 10)
    trained = cnv.trained_network()
    if trained is None:
        pytest.skip(f"needs BNN-PYNQ's parameters in {cnv.DATA}")
    shapes = [[node.weights.shape for node in graph.nodes if hasattr(node, "weights")]
              for graph in (trained, cnv.random_network())]
    assert shapes[0] == shapes[1]


def test_no_parameters(monkeypatch, tmp_path):
    monkeypatch.setattr(cnv, "DATA", tmp_path)
    assert cnv.trained_network() is None

import re

import numpy as np
import pytest

from compiler import golden
from sim.native import Native


onnxruntime = pytest.importorskip("onnxruntime")
lfc = pytest.importorskip("bench.lfc")


def test_table(capsys):
    lfc.main(["--rounds", "1", "--frames", "2", "--random"])
    title, _, *rows, memory = capsys.readouterr().out.splitlines()
    assert title == ("784-1024-1024-1024-10, random parameters, 1 rounds of 2 frames, one thread")
    assert [row[:20].strip() for row in rows] == ["ONNX Runtime fp32", "C, from Python", "C"]
    assert re.match(r"The C has \d+ bytes of constants and takes \d+ bytes of stack$", memory)


def test_random_network_in_c():
    """A whole network at the speed that is timed: 10,000 frames, all layers on some."""
    graph = lfc.random_network()
    x = np.random.default_rng(0).integers(0, 256, (10_000, 784))
    native = Native(graph)
    classes = native.run(x)
    np.testing.assert_array_equal(classes[:200], golden.run(graph, x[:200]))
    assert len(set(classes.tolist())) > 1
    layers = native.trace(x[:50])
    for node, expected in golden.trace(graph, x[:50]):
        if node.name in layers:
            np.testing.assert_array_equal(layers[node.name], expected)


def test_float_model():
    session = onnxruntime.InferenceSession(lfc.float_model((6, 5, 4)).SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.ones((1, 6), np.float32)})
    assert result.shape == (1, 4)


def test_no_parameters(monkeypatch, tmp_path):
    monkeypatch.setattr(lfc, "DATA", tmp_path)
    assert lfc.trained_network() is None

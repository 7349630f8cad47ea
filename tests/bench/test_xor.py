import pytest


pytest.importorskip("onnxruntime")
xor = pytest.importorskip("bench.xor")


def test_table(capsys):
    xor.main(["--rounds", "2", "--frames", "5"])
    title, *rows, memory = capsys.readouterr().out.splitlines()
    assert title == "32-64-64-32, 2 rounds of 5 frames, one thread"
    assert [row[:20].strip() for row in rows] == ["ONNX Runtime fp32", "C, from Python", "C"]
    assert memory == "The C has 1280 bytes of constants and takes 272 bytes of stack"

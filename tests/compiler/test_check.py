import numpy as np

from compiler.check import check
from tests.compiler.frontends.models import Net


def test_fine(tmp_path):
    net = Net([1, 2])
    path = net.save(tmp_path, net.end("x", 2))
    assert check(path) == []
    assert check(str(path), input_type="uint8") == []


def test_every_refusal(tmp_path):
    net = Net([1, 1, 4, 4])
    name = net.node("ConvTranspose", "x", np.ones((1, 1, 3, 3)))
    assert check(net.save(tmp_path, net.node("LpPool", name))) == [
        ("Node 'n0' (ConvTranspose) must be a layer (Conv, Gemm or MatMul): transposed convolution "
         "is not supported"),
        "Node 'n1' (LpPool) must be a pool (MaxPool or AveragePool)",
    ]


def test_wrong_question(tmp_path):
    assert check(tmp_path, input_type="x") == [
        "The input type must be one of uint8, int8, binary, real, not 'x'"]
    assert len(check(tmp_path)) == 1

"""Quantized networks of floating point on the gateware: every layer, every bit."""

from dataclasses import replace

import numpy as np
import pytest

from boards.catalogue import BOARDS
from compiler import golden
from compiler.executors import Golden, compare
from compiler.frontends import load
from compiler.ir import Conv, Flatten, Input, MaxPool, Relu
from compiler.passes import to_integer
from compiler.passes.precision import Widths
from compiler.passes.quantize_floats import quantized
from compiler.qonnx.write import write
from compiler.quantize import quantize
from compiler.schedule.fit import fit
from compiler.workload import open_workload
from hdl.config import Config
from sim.rtl import Rtl
from tests.compiler.frontends.real_data import shared
from tests.compiler.passes.networks import chain, dense


RNG = np.random.default_rng(0)


def network():
    """As mnist-conv: 5 x 5 with a border, Relu, pools of 2 and 3, dense."""
    def conv(name, outputs, inputs):
        return Conv(name=name, weights=RNG.normal(size=(outputs, 5, 5, inputs)) / 5,
                    bias=RNG.normal(size=outputs), pads=(2, 2, 2, 2))

    def pool(name, size):
        return MaxPool(name=name, kernel=(size, size), stride=(size, size))

    return chain(Input(name="x", shape=(12, 12, 1)), conv("a", 4, 1), Relu(name="ra"),
                 pool("pa", 2), conv("b", 6, 4), Relu(name="rb"), pool("pb", 3),
                 Flatten(name="flat"), dense(RNG.normal(size=(3, 24)), "c", None))


@pytest.mark.parametrize(("mode", "bits"), [("dynamic", 8), ("dynamic", 3), ("static", 6)])
def test_modes(tmp_path, mode, bits):
    x = RNG.integers(0, 256, (20, 12, 12, 1))
    write(quantized(network(), x, Widths.of(bits), mode), tmp_path / "net.onnx", {})
    graph = to_integer(load(tmp_path / "net.onnx"))
    rtl = Rtl(graph)
    np.testing.assert_array_equal(rtl.run(x[:2]), golden.run(graph, x[:2]))
    assert compare("rtl", rtl.trace(x[:2]), Golden(graph).trace(x[:2])) is None


@pytest.mark.slow
def test_mnist_conv(tmp_path):
    """Five pictures on the configuration of the iCEBreaker."""
    config = fit(BOARDS["icebreaker"])
    assert replace(config, clock_hz=Config().clock_hz) == Config()  # which is what Rtl runs
    data = str(shared("mnist"))
    quantize(str(shared("mnist-conv/model.onnx")), data, tmp_path / "net.onnx", samples=100)
    work = open_workload(str(tmp_path / "net.onnx"), data)
    x = work.samples(5).x
    rtl = Rtl(work.graph)
    np.testing.assert_array_equal(rtl.run(x), golden.run(work.graph, x))
    assert compare("rtl", rtl.trace(x), Golden(work.graph).trace(x)) is None
    assert rtl.counts == rtl.counters

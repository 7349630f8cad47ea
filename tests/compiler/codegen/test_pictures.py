import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from compiler import golden
from compiler.codegen.c import generate
from compiler.codegen.plan import make_plan
from compiler.codegen.stage import CodegenError, Kernel
from compiler.ir import (
    Add,
    ArgMax,
    AveragePool,
    Binary,
    Concat,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Threshold,
)
from sim.native import Native
from tests.compiler.codegen.networks import dense_graph, frames, weights
from tests.compiler.codegen.pictures import conv_graph
from tests.compiler.codegen.test_c import HERE, build_program, check, check_program


ALL_3X3 = np.array(list(itertools.product([-1, 1], repeat=9)))


@pytest.mark.parametrize("kernel", HERE)
def test_every_picture_of_bits(kernel):
    """All pictures of 3 x 3 against all kernels of 3 x 3, with a border of zeros."""
    graph = conv_graph(ALL_3X3.reshape(-1, 3, 3, 1), shape=(3, 3), bits=1, kind=Binary(),
                       pads=(1, 1, 1, 1))
    check(graph, ALL_3X3.reshape(-1, 3, 3, 1), kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize(("bits", "kind", "channels"), [
    (1, Binary(), 200), (1, Binary(), 30), (8, Binary(), 64), (1, Fixed(2), 9), (1, Fixed(8), 3),
    (1, Fixed(8, signed=False), 200), (8, Fixed(8), 64), (8, Fixed(8, signed=False), 3),
    (7, Fixed(8, signed=False), 65),
])
def test_borders_of_extremes(kernel, bits, kind, channels):
    """Sums at their ends, in windows that are inside and outside in every way."""
    rng = np.random.default_rng(channels)
    layer = weights(rng, (18, 5, 3, channels), bits, extreme=True)
    layer[:2] = [[[[layer.min()]]], [[[layer.max()]]]]
    graph = conv_graph(layer, shape=(7, 4), bits=bits, kind=kind, pads=(4, 2, 3, 0),
                       stride=(2, 1), bias=rng.integers(-9, 9, 18))
    check(graph, frames(rng, graph.input.shape, kind, 1), kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize(("bits", "kind", "groups", "each"), [
    (1, Binary(), 70, 1), (1, Binary(), 2, 48), (1, Binary(), 3, 65), (4, Binary(), 2, 64),
    (1, Fixed(3), 3, 1), (8, Fixed(8), 70, 1), (8, Fixed(8), 2, 5),
])
def test_groups(kernel, bits, kind, groups, each):
    rng = np.random.default_rng(groups)
    graph = conv_graph(weights(rng, (groups * 2, 3, 3, each), bits), shape=(5, 4), bits=bits,
                       kind=kind, groups=groups, pads=(1, 0, 1, 1))
    check(graph, frames(rng, graph.input.shape, kind, 2), kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize(("shape", "channels"), [((2, 3), 64), ((2, 2), 50), ((3, 3), 17),
                                                 ((1, 9), 100), ((5, 1), 130)])
@pytest.mark.parametrize("depth", [20, 64, 200])
def test_tiles(kernel, shape, channels, depth):
    """Pixels that are no whole tiles, of channels that are no whole blocks; sums at their ends."""
    rng = np.random.default_rng(channels)
    layer = weights(rng, (channels, 2, 3, depth), 1)
    layer[0], layer[1] = -1, 1
    graph = conv_graph(layer, shape=shape, bits=1, kind=Binary(), pads=(1, 1, 0, 1))
    assert make_plan(graph).layers[0].tiled
    check(graph, frames(rng, graph.input.shape, Binary(), 2), kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize(("depth", "tiled"), [(1023 * 64, True), (1023 * 64 + 1, False)])
def test_longest_tiles(kernel, depth, tiled):
    """Counts of bits that just fit, and do not fit, 16 bits."""
    rng = np.random.default_rng(0)
    layer = np.repeat(weights(rng, (1, 1, 1, depth), 1), 2, 0)
    layer[1] = -layer[0]
    graph = conv_graph(layer, shape=(2, 2), bits=1, kind=Binary())
    assert make_plan(graph).layers[0].tiled is tiled
    x = np.concatenate([np.broadcast_to(layer[at, 0, 0], (1, 2, 2, depth)) for at in (0, 1)])
    check(graph, x, kernel)


@pytest.mark.parametrize("count", [2, 3, 31, 32, 63, 64, 127, 200, 255])
@pytest.mark.parametrize("channels", [1, 70])
def test_levels(count, channels):
    """Every sum of an input of 8 bits, against few and many levels."""
    rng = np.random.default_rng(count)
    sums = dense_graph(np.ones((70, 1), int), bits=8, kind=Fixed(8))
    levels = np.sort(rng.integers(-140, 140, (channels, count)), axis=1)
    graph = Graph((*sums.nodes, Threshold(name="out", inputs=("dense",), levels=levels)))
    check(graph, np.arange(-128, 128).reshape(-1, 1), "PLAIN")


@pytest.mark.parametrize("kind", [Binary(), Fixed(1), Fixed(2), Fixed(4, signed=False), Fixed(8)])
@pytest.mark.parametrize("bits", [1, 8])
def test_pools(kind, bits):
    """Windows that overlap and leave the picture, of planes and of bytes."""
    rng = np.random.default_rng(1)
    low = kind.bits if isinstance(kind, Fixed) else 1
    nodes = [Input(name="x", shape=(7, 6, 70), type=kind),
             Conv(name="conv", inputs=("x",), weights=weights(rng, (70, 1, 1, 70), 1), bits=1),
             Threshold(name="out", inputs=("conv",), levels=np.sort(
                 rng.integers(-20, 20, (70, (1 << low) - 1)), axis=1)),
             MaxPool(name="pool", inputs=("out",), kernel=(3, 2), stride=(2, 1),
                     pads=(1, 1, 2, 0)),
             MaxPool(name="again", inputs=("pool",), kernel=(2, 2), stride=(2, 2)),
             Conv(name="last", inputs=("again",), weights=weights(rng, (5, 2, 2, 70), bits),
                  bits=bits)]
    graph = Graph(tuple(nodes))
    check(graph, frames(rng, graph.input.shape, kind, 3), "PORTABLE")


def small_cnn(**fields):
    """Bits of 9 x 8 pixels, a convolution with a pool that it does on its way, a dense layer."""
    rng = np.random.default_rng(0)
    nodes = (
        Input(name="x", shape=(9, 8, 3), type=Fixed(8)),
        Conv(name="conv", inputs=("x",), weights=weights(rng, (64, 2, 3, 3), 1), bits=1),
        Threshold(name="bits", inputs=("conv",), levels=rng.integers(-9, 9, (64, 1))),
        MaxPool(name="pool", inputs=("bits",), kernel=(3, 2), stride=(3, 2)),
        Flatten(name="flat", inputs=("pool",)),
        Dense(name="dense", inputs=("flat",), weights=weights(rng, (10, 2 * 3 * 64), 1), bits=1),
        ArgMax(name="class", inputs=("dense",)))
    return Graph(tuple(replace(node, **fields.get(node.name, {})) for node in nodes))


def test_a_pool_on_the_way(tmp_path):
    """The picture ahead of the pool is never stored; what the pool leaves out, never made."""
    graph = small_cnn()
    plan = generate(graph, tmp_path)
    conv, dense = plan.stages
    assert (conv.kernel, conv.pool.name, conv.output.shape) == (Kernel.BYTES, "pool", (2, 3, 64))
    assert dense.kernel is Kernel.BINARY
    text = (tmp_path / "net.c").read_text()
    assert "for (size_t y = 0; y < 6; y++)" in text
    facts = dict(re.findall(r"#define (NET_\w+) (\d+)", (tmp_path / "net.h").read_text()))
    # pool: 6 words; lines of bytes: 2 of 24, and 3; of 4 pixels what they see, twice, and sums
    assert facts["NET_SCRATCH_BYTES"] == str(6 * 8 + 2 * 24 + 3 + 4 * (2 * 24 + 64 * 4))
    # conv: 2 rows of 12 for each of 64, a window of 13 numbers; dense: 16 lanes of 6 words
    assert int(facts["NET_WEIGHT_BYTES"]) == 24 * 64 + 64 * 4 + 64 * 4 + 13 * 4 + 16 * 6 * 8
    x = frames(np.random.default_rng(1), (9, 8, 3), Fixed(8), 4)
    check_program(build_program(tmp_path, graph), graph, x)


@pytest.mark.parametrize(("kernel", "stride", "pads"), [
    (kernel, stride, pads) for kernel in [(1, 2), (2, 2), (3, 2), (2, 3), (3, 3)]
    for stride in [(1, 1), (1, 2), (2, 1), (2, 2)]
    for pads in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1)]
    if all(pad < size for pad, size in zip(pads, kernel * 2, strict=True))])
def test_every_picture_in_windows_of_a_pool(kernel, stride, pads):
    """All pictures of 3 x 3 bits, through windows that overlap and leave the picture."""
    graph = Graph((
        Input(name="x", shape=(3, 3, 1), type=Binary()),
        Conv(name="conv", inputs=("x",), weights=np.ones((1, 1, 1, 1), int), bits=1),
        Threshold(name="bits", inputs=("conv",), levels=np.zeros((1, 1), int)),
        MaxPool(name="pool", inputs=("bits",), kernel=kernel, stride=stride, pads=pads)))
    fused = all(size >= hop for size, hop in zip(kernel, stride, strict=True))
    last = Conv(name="last", inputs=("pool",), weights=np.ones((1, *graph.shape("pool")), int),
                bits=1)
    graph = Graph((*graph.nodes, last))
    assert len(make_plan(graph).layers) == 3 - fused
    native = Native(graph, cflags=("-O1",))
    x = ALL_3X3.reshape(-1, 3, 3, 1)
    made = {node.name: values for node, values in golden.trace(graph, x)}
    found = native.trace(x)
    np.testing.assert_array_equal(found["pool"], made["pool"])
    np.testing.assert_array_equal(found["last"], made["last"])
    assert (found["bits"] is None) is fused


@pytest.mark.parametrize("code", HERE)
@pytest.mark.parametrize("channels", [5, 12, 30, 64, 70])
@pytest.mark.parametrize("kind", [Binary(), Fixed(8, signed=False)])
def test_windows_that_overlap(code, channels, kind):
    """Pixels made one by one or several at once, in one word or in two, go into all windows that
    see them; those that none sees are not made."""
    rng = np.random.default_rng(channels)
    graph = Graph((
        Input(name="x", shape=(9, 10, 7), type=kind),
        Conv(name="conv", inputs=("x",), weights=weights(rng, (channels, 2, 3, 7), 1), bits=1),
        Threshold(name="bits", inputs=("conv",), levels=rng.integers(0, 19, (channels, 1))),
        MaxPool(name="pool", inputs=("bits",), kernel=(3, 3), stride=(2, 2)),
        Conv(name="last", inputs=("pool",), weights=weights(rng, (3, 3, 3, channels), 1), bits=1)))
    conv, _ = make_plan(graph).stages[-2:]
    assert (conv.pool.name, conv.output.shape, conv.tiled) == (
        "pool", (3, 3, channels), isinstance(kind, Binary))
    check(graph, frames(rng, graph.input.shape, kind, 3), code)


def test_windows_that_overlap_leave_no_picture(tmp_path):
    """Of a layer and its pool, the bits behind the pool alone are stored."""
    graph = small_cnn(pool={"kernel": (3, 3), "stride": (2, 2)}, dense={
        "weights": weights(np.random.default_rng(0), (10, 3 * 2 * 64), 1)})
    generate(graph, tmp_path)
    text = (tmp_path / "net.c").read_text()
    assert re.findall(r"(\w+_t) tensor_\d\[(\d+)\]", text) == [("uint64_t", "6")]
    assert "for (size_t y = 0; y < 7; y++)" in text
    facts = dict(re.findall(r"#define (NET_\w+) (\d+)", (tmp_path / "net.h").read_text()))
    # lines of bytes as far as windows see them: 2 of 21, and 3; the rest as above
    assert facts["NET_SCRATCH_BYTES"] == str(6 * 8 + 2 * 21 + 3 + 4 * (2 * 24 + 64 * 4))
    assert int(facts["NET_WEIGHT_BYTES"]) == 24 * 64 + 2 * 64 * 4 + 2 * 13 * 4 + 16 * 6 * 8
    check_program(build_program(tmp_path, graph), graph,
                  frames(np.random.default_rng(1), (9, 8, 3), Fixed(8), 4))


def residual(kind, shape=(4, 4, 9)):
    """Two tensors that are added, and three that are joined; the input is one of them."""
    rng = np.random.default_rng(0)

    def conv(name, reads, channels, **fields):
        return Conv(name=name, inputs=(reads,), bits=1, pads=(1, 1, 1, 1),
                    weights=weights(rng, (9, 3, 3, channels), 1), **fields)

    return Graph((
        Input(name="x", shape=shape, type=kind),
        conv("a", "x", 9), Add(name="a_plus", inputs=("a", "x")),
        Threshold(name="a_out", inputs=("a_plus",), levels=rng.integers(-5, 5, (9, 1))),
        conv("b", "a_out", 9), conv("c", "a_out", 9, bias=rng.integers(-9, 9, 9)),
        Add(name="plus", inputs=("b", "c")),
        Threshold(name="c_out", inputs=("plus",), levels=rng.integers(-5, 5, (9, 1))),
        Concat(name="all", inputs=("a_out", "c_out", "a_out")),
        Conv(name="last", inputs=("all",), weights=weights(rng, (5, 4, 4, 27), 8), bits=8)))


@pytest.mark.parametrize("kind", [Binary(), Fixed(2), Fixed(8), Fixed(8, signed=False)])
def test_joins(kind):
    graph = residual(kind)
    check(graph, frames(np.random.default_rng(0), (4, 4, 9), kind, 6), HERE[-2])


def test_tensors_share_their_place(tmp_path):
    """Of the tensors of `residual`, three are needed at once."""
    generate(residual(Binary()), tmp_path)
    text = (tmp_path / "net.c").read_text()
    places = re.findall(r"tensor_(\d+)\[\d+\]", text.split("net_run")[1])
    assert sorted(places) == ["0", "1", "2", "3"]
    assert text.count("} slot_") == 3


def test_all_forms_of_an_input():
    """One tensor is read as planes, as bytes where it must be, and added."""
    rng = np.random.default_rng(3)
    x = Input(name="x", shape=(3, 3, 40), type=Fixed(2))
    first = Conv(name="first", inputs=("x",), weights=weights(rng, (40, 1, 1, 40), 8), bits=8)
    second = Conv(name="second", inputs=("x",), weights=weights(rng, (40, 1, 1, 40), 1), bits=1)
    graph = Graph((x, first, second, Add(name="sum", inputs=("first", "second"))))
    kernels = [stage.kernel for stage in make_plan(graph).layers]
    assert kernels == [Kernel.BYTES, Kernel.BYTES]
    check(graph, frames(rng, (3, 3, 40), Fixed(2), 2), "PORTABLE")


def test_mean_and_class_on_the_host(tmp_path):
    """The mean of each channel is taken in host.c, and the class from it."""
    rng = np.random.default_rng(0)
    graph = conv_graph(weights(rng, (7, 2, 2, 3), 4), shape=(5, 5), bits=4, kind=Fixed(4))
    graph = Graph((*graph.nodes,
                   AveragePool(name="mean", inputs=("conv",), kernel=(4, 4), stride=(4, 4)),
                   Flatten(name="scores", inputs=("mean",)),
                   ArgMax(name="class", inputs=("scores",))))
    x = frames(rng, (5, 5, 3), Fixed(4), 20)
    assert len(set(golden.run(graph, x).tolist())) > 1
    check_program(build_program(tmp_path, graph), graph, x)


def test_pooled_reals_on_the_host(tmp_path):
    rng = np.random.default_rng(0)
    graph = Graph((
        Input(name="x", shape=(5, 5, 9)),
        MaxPool(name="highest", inputs=("x",), kernel=(2, 2), stride=(1, 1), pads=(1, 0, 0, 1)),
        Threshold(name="bits", inputs=("highest",), levels=rng.normal(size=(9, 1)) + 1),
        Conv(name="conv", inputs=("bits",), weights=weights(rng, (3, 2, 2, 9), 1), bits=1)))
    check_program(build_program(tmp_path, graph), graph, rng.normal(size=(30, 5, 5, 9)))


def test_refused(tmp_path):
    graph = small_cnn()
    pixels = Graph((*graph.nodes[:2], ArgMax(name="class", inputs=("conv",))))
    with pytest.raises(CodegenError, match=(
            r"^ArgMax 'class' must choose once in a frame in C, not 48 times$")):
        generate(pixels, tmp_path)
    rng = np.random.default_rng(0)
    flat = Graph((
        *graph.nodes[:3], Flatten(name="flat", inputs=("bits",)),
        Dense(name="sums", inputs=("flat",), weights=weights(rng, (3072, 3072), 1), bits=1),
        Add(name="sum", inputs=("sums", "flat"))))
    with pytest.raises(CodegenError, match=(
            r"^Node 'sums' must join tensors that are all pictures or all vectors in C, "
            r"not 'bits' of shape \(8, 6, 64\)$")):
        generate(flat, tmp_path)

import contextlib
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.executors import Golden
from compiler.frontends import ModelError, load
from compiler.ir import Binary, Conv, Dense, Fixed, MaxPool, Threshold
from compiler.passes import to_integer
from compiler.schedule.plan import schedule
from compiler.stages import split
from compiler.verify import hold, verify
from compiler.workload import open_workload
from hdl.config import Config
from sim.native import Native
from sim.rtl import Rtl
from tests.compiler.codegen.test_c import build_program, run_program
from tests.compiler.frontends.ebnn import answer, arrays, header, random_blocks, scores
from tests.compiler.frontends.real_data import mnist_test, shared


FORMS = {
    "example":  (28, 1, [(10, 3, 2, 0, 3, 2, 0)]),
    "deep":     (20, 1, [(6, 5, 1, 0, 3, 2, 0), (5, 5, 1, 2, 3, 2, 0), (7, 3, 1, 1, 1, 1, 0)]),
    "colours":  (9, 3, [(4, 3, 2, 1, 2, 2, 0), (9, 1, 1, 0, 2, 1, 1)]),
    "dense":    (7, 2, [(8, 3, 1, 0, 3, 2, 0), 12, 20]),
    "no_pool":  (8, 2, [(3, 3, 3, 0, 1, 1, 0)]),
}


def written(folder, blocks):
    path = folder / "net.h"
    path.write_text(header(blocks))
    return path


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_as_its_own_c(tmp_path, name, binary):
    """Scores of the graph are those of eBNN, whatever the signs of gamma; its integers, and our C,
    give the same answers."""
    rng = np.random.default_rng(len(name))
    size, depth, forms = FORMS[name]
    blocks = random_blocks(rng, size, depth, forms, binary=binary)
    graph = load(written(tmp_path, blocks))
    assert graph.input.shape == (size, size, depth)
    assert graph.input.type == Fixed(8, signed=False)
    assert graph.meta["classes"] == list("01234")
    x = rng.integers(0, 256, (8, size, size, depth)) * rng.integers(0, 2, (8, size, size, depth))
    pictures = x.transpose(0, 3, 1, 2)
    right = np.array([scores(blocks, (picture > 0).astype(int) if binary else picture / 255)
                      for picture in pictures])
    assert len(np.unique(right, axis=0)) > 1
    *_, (_, found), (_, classes) = golden.trace(graph, x)
    np.testing.assert_allclose(found, right, rtol=1e-9)
    assert classes.tolist() == right.argmax(1).tolist()
    integer = to_integer(graph)
    assert golden.run(integer, x).tolist() == classes.tolist()
    assert Native(integer, cflags=("-O1",)).run(x).tolist() == classes.tolist()


def test_pictures_of_bits(tmp_path):
    rng = np.random.default_rng(0)
    blocks = random_blocks(rng, 8, 1, [(4, 3, 1, 0, 2, 2, 0)], binary=True)
    graph = load(written(tmp_path, blocks), input_type="binary")
    assert graph.input.type == Binary()
    x = rng.choice([-1, 1], (9, 8, 8, 1))
    assert golden.run(graph, x).tolist() == [answer(blocks, (picture > 0).reshape(1, 8, 8))
                                             for picture in x]


def test_dense_alone(tmp_path):
    rng = np.random.default_rng(0)
    blocks = random_blocks(rng, 3, 1, [20], binary=True)
    graph = load(written(tmp_path, blocks))
    assert graph.input.shape == (9,)
    x = rng.integers(0, 3, (9, 9))
    assert golden.run(to_integer(graph), x).tolist() == [
        answer(blocks, (picture > 0).reshape(1, 3, 3)) for picture in x]


def test_layers_are_fused(tmp_path):
    """A block is a convolution with levels, and a pool of bits behind it."""
    blocks = random_blocks(np.random.default_rng(0), 28, 1, FORMS["example"][2])
    conv, pool, dense = split(to_integer(load(written(tmp_path, blocks)))).body
    assert isinstance(conv.sums, Conv)
    assert isinstance(conv.activation, Threshold)
    assert isinstance(pool.pool, MaxPool)
    assert pool.output_type == Binary()
    assert isinstance(dense.sums, Dense)


def test_arrays_alone(tmp_path):
    """An .npz is taken for a network of the shapes of eBNN's examples."""
    rng = np.random.default_rng(1)
    blocks = random_blocks(rng, 28, 1, [(10, 3, 2, 0, 3, 2, 0), (4, 3, 2, 0, 1, 1, 0), 9])
    found = {key: values for block in blocks for key, values in arrays(block).items()}
    np.savez(tmp_path / "net.npz", **dict(sorted(found.items(), reverse=True)))
    x = rng.integers(0, 256, (6, 28, 28, 1))
    right = [answer(blocks, picture.reshape(1, 28, 28) / 255) for picture in x]
    assert golden.run(load(tmp_path / "net.npz"), x).tolist() == right
    assert golden.run(load(written(tmp_path, blocks)), x).tolist() == right


HEADER = header(random_blocks(np.random.default_rng(0), 8, 1, [(2, 3, 1, 0, 2, 2, 0)], classes=3))
NAMES = "l_conv_pool_bn_bst0", "l_b_linear_bn_softmax1"


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ("void ebnn_compute", "void other", "must define ebnn_compute, as eBNN writes it"),
    ("  l_b_linear_bn_softmax1(temp1, output);\n", "",
     "must call blocks from its input to its output, not end in 'temp1'"),
    ("softmax1(temp1, output)", "softmax1(temp2, output)",
     ("must call one block after the other, each on what the one before it has made, not "
     "'l_b_linear_bn_softmax1(temp2, output);'")),
    ("softmax1(temp1, output)", "softmax2(temp1, output)",
     ("must call one block after the other, each on what the one before it has made, not "
     "'l_b_linear_bn_softmax2(temp1, output);'")),
    ("blinear_sm_layer(", "blinear_layer(",
     "must end in its one block of arg-max, not have 'l_b_linear_bn_softmax1' where it is"),
    ("  blinear_sm_layer(", "  softmax(", ("Block 'l_b_linear_bn_softmax1' of .* must call one of "
     "fconv_layer, bconv_layer, blinear_layer, blinear_sm_layer, not 'softmax'")),
    (", 1, 18, 3);", ", 2, 18, 3);", ("must give blinear_sm_layer its 8 arrays and 3 numbers, "
     "1 first, not '2, 18, 3'")),
    (", 1, 18, 3);", ", 1, 18);", ("must give blinear_sm_layer its 8 arrays and 3 numbers, "
     "1 first, not '1, 18'")),
    (", 1, 18, 3);", ", 1, 17, 3);", ("must read what the one before it makes, (3, 3, 2), not "
     "(17,)")),
    (", 1, 18, 3);", ", 1, 33, 3);", "must have 15 bytes of weights for its shapes, not 9"),
    (", 8, 8, 1, 3, 3,", ", 8, 9, 1, 3, 3,", ("must have square pictures and windows, as eBNN's "
     "own C indexes no others, not [2, 8, 9, 1, 3, 3, 1, 1, 0, 0, 2, 2, 2, 2, 0, 0]")),
    (", 8, 8, 1, 3, 3, 1, 1,", ", 8, 8, 1, 3, 3, 0, 0,", ("must have windows that fit its pictures "
     "of 8 x 8 pixels, not (3, 0, 0) and (2, 2, 0) (kernel, stride, pad)")),
    (", 8, 8, 1, 3, 3, 1, 1,", ", 2, 2, 1, 3, 3, 1, 1,", ("must have windows that fit its pictures "
     "of 2 x 2 pixels, not (3, 1, 0) and (2, 2, 0) (kernel, stride, pad)")),
    ("float l_b_linear_bn_softmax1_bn_std[3] = {", "float l_b_linear_bn_softmax1_bn_std[3] = {-",
     "Block 'l_b_linear_bn_softmax1' of .* must have positive deviations (std), not -"),
    ("float l_b_linear_bn_softmax1_bn_std[3] = {", "float l_b_linear_bn_softmax1_bn_std[4] = {1,",
     "must have 3 finite numbers as its std, one for each output"),
    ("float l_b_linear_bn_softmax1_bn_std[3] = {", "float other[3] = {",
     "must have its array 'l_b_linear_bn_softmax1_bn_std'"),
    ("float l_b_linear_bn_softmax1_bn_std[3] = {", "float l_b_linear_bn_softmax1_bn_std[3] = {x,",
     "Array 'l_b_linear_bn_softmax1_bn_std' of .* must hold numbers"),
    ("uint8_t l_b_linear_bn_softmax1_bl_W[9] = {", "uint8_t l_b_linear_bn_softmax1_bl_W[9] = {999",
     "must have weights in bytes of 0 to 255"),
    ("l_conv_pool_bn_bst0(input, temp1);", ("l_conv_pool_bn_bst0(input, temp1);\n"
     "  l_conv_pool_bn_bst0(temp1, temp2);\n  l_conv_pool_bn_bst0(temp2, temp1);"),
     "Block 'l_conv_pool_bn_bst0' of .* must read bits, as it is not the first, not real numbers"),
    ("float l_b", "float \u00e9l_b", "must be C in ASCII"),
])
def test_refused_headers(tmp_path, old, new, sentence):
    assert HEADER.count(old) >= 1
    (tmp_path / "net.h").write_text(HEADER.replace(old, new, 1), "utf-8")
    pattern = re.escape(sentence).replace(re.escape(".*"), ".*")
    with pytest.raises(ModelError, match=f"{pattern}[0-9.]*$"):
        load(tmp_path / "net.h")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"l_conv_pool_bn_bst0_bn_mean": None},
     "must have its array 'l_conv_pool_bn_bst0_bn_mean'"),
    ({"l_conv_pool_bn_bst0_bconv_W": np.zeros(30, np.uint8)},
     "must have 20 bytes of weights for its shapes, not 30"),
    ({"l_b_linear_bn_softmax1_bl_W": np.zeros(460, np.uint8)},
     "must have 450 bytes of weights for its shapes, not 460"),
    ({"l_b_linear_bn_softmax1_bn_std": np.full(10, np.nan)},
     "must have 10 finite numbers as its std, one for each output"),
    ({"l_b_linear_bn_softmax1_bn_std": np.full(10, "x")},
     ("must hold arrays that are whole: Cannot cast array data from dtype('<U1') to "
     "dtype('float64') according to the rule 'same_kind'")),
])
def test_refused_arrays(tmp_path, change, sentence):
    blocks = random_blocks(np.random.default_rng(0), 28, 1, [(10, 3, 2, 0, 3, 2, 0)], classes=10)
    found = {key: values for block in blocks for key, values in arrays(block).items()} | change
    np.savez(tmp_path / "net.npz", **{key: found[key] for key in found if found[key] is not None})
    with pytest.raises(ModelError, match=f"{re.escape(sentence)}$"):
        load(tmp_path / "net.npz")


@settings(max_examples=150)
@given(st.integers(0, len(HEADER)), st.integers(0, 20),
       st.text("0123456789,;{}()-. an", max_size=9))
def test_damaged_headers(at, count, text):
    """Whatever is cut out or put in, it is read or refused in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.h"
        path.write_text(HEADER[:at] + text + HEADER[at + count:])
        with contextlib.suppress(ModelError):
            load(path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_damaged_arrays(tmp_path, share):
    blocks = random_blocks(np.random.default_rng(0), 28, 1, [(10, 3, 2, 0, 3, 2, 0)], classes=10)
    found = {key: values for block in blocks for key, values in arrays(block).items()}
    np.savez(tmp_path / "whole.npz", **found)
    whole = bytearray((tmp_path / "whole.npz").read_bytes())
    (tmp_path / "cut.npz").write_bytes(whole[:int(share * len(whole))])
    whole[int(share * len(whole))] ^= 0x5a
    (tmp_path / "odd.npz").write_bytes(whole)
    with pytest.raises(ModelError):
        load(tmp_path / "cut.npz")
    with contextlib.suppress(ModelError):
        load(tmp_path / "odd.npz")


def test_other_input_types(tmp_path):
    (tmp_path / "net.h").write_text(HEADER)
    load(tmp_path / "net.h", input_type="uint8")
    for kind in "binary", "real", "int8":
        with pytest.raises(ModelError, match="must be uint8, as its network reads pixels$"):
            load(tmp_path / "net.h", input_type=kind)
    blocks = random_blocks(np.random.default_rng(0), 8, 1, [(2, 3, 1, 0, 2, 2, 0)], binary=True)
    with pytest.raises(ModelError, match="must be uint8 or binary, as its network reads bits$"):
        load(written(tmp_path, blocks), input_type="real")


def test_other_files_are_not_taken_for_it(tmp_path):
    """Other arrays, and a damaged .npz, are refused as anything that is no ONNX."""
    np.savez(tmp_path / "net.npz", x=np.zeros(3))
    with pytest.raises(ModelError, match="must be an ONNX"):
        load(tmp_path / "net.npz")
    (tmp_path / "net.npz").write_bytes((tmp_path / "net.npz").read_bytes()[:60])
    with pytest.raises(ModelError, match="must be an ONNX"):
        load(tmp_path / "net.npz")


LEVELS = [444, 447, 118, 186, 308, 512, 278, 344, 885, 337]  # of sums of pixels


def test_simple_mnist(tmp_path):
    """All test pictures, in integers alone, on the golden model and in C, whose program chooses
    the classes."""
    graph = to_integer(load(shared("ebnn/simple_mnist.npz")))
    images, labels = mnist_test()
    conv, _, dense = split(graph).body
    assert conv.activation.levels[:, 0].tolist() == LEVELS
    assert dense.sums.weights.shape == (10, 360)
    x = images.reshape(-1, 28, 28, 1)
    answers = golden.run(graph, x)
    assert (answers == labels).sum() == 9050
    program = build_program(tmp_path, graph, "-O2")
    assert not (tmp_path / "host.c").exists()
    assert run_program(program, x.astype(np.uint8))[1] == [f"{chosen} {chosen}"
                                                           for chosen in answers]


@pytest.mark.slow
def test_simple_mnist_on_the_gateware():
    """Every layer of 20 pictures, on the configuration of the iCEBreaker."""
    work = open_workload(str(shared("ebnn/simple_mnist.npz")), str(shared("mnist")))
    verdict = verify(work, "c,rtl", 20)
    assert verdict.agree
    assert verdict.correct == {"golden": 19, "c": 19, "rtl": 19}


def test_one_frame_on_the_gateware(tmp_path):
    """A small network of all kinds of blocks, whose pools overlap."""
    blocks = random_blocks(np.random.default_rng(3), 12, 1, [(6, 3, 1, 0, 3, 2, 0),
                                                             (40, 2, 1, 1, 2, 1, 0), 9])
    graph = to_integer(load(written(tmp_path, blocks)))
    x = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 1))
    rtl = Rtl(schedule(graph, Config()))
    assert hold("rtl", rtl, Golden(graph), x, golden.run(graph, x))[0] is None

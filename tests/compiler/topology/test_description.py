import numpy as np
import pytest

from compiler import models
from compiler.errors import UserError
from compiler.frontends import ModelError, load
from compiler.topology import read


SMALL = """
input = [8, 8, 2]
layers = [{conv = 4, kernel = 3, bits = 8}, {norm = 1e-5}, "sign", {dense = 3, bits = 1}]
"""


def described(tmp_path, text, name="small.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_rows_and_shapes(tmp_path):
    net = read(described(tmp_path, SMALL))
    assert net.name == "small"
    assert [(row.op, row.inputs, net.shape(row.name)) for row in net.rows] == [
        ("conv", ("input",), (6, 6, 4)), ("norm", ("conv1",), (6, 6, 4)),
        ("sign", ("norm1",), (6, 6, 4)), ("dense", ("sign1",), (3,))]
    assert [net.weight_shape(row) for row in net.rows if row.weighted] == [
        (4, 3, 3, 2), (3, 144)]


def test_what_is_like_another(tmp_path):
    described(tmp_path, SMALL)
    net = read(described(tmp_path, 'like = "small.toml"\nwidth = 0.5\ninput = [6, 7, 1]',
                         "half.toml"))
    assert net.name == "half"
    assert [row.channels for row in net.rows if row.weighted] == [2, 3]
    assert net.shape("conv1") == (4, 5, 2)


def test_alexnet_has_the_shapes_that_are_published():
    net = read(models.network("alexnet-xnor"))
    shapes = [net.shape(row.name) for row in net.rows if row.op in ("conv", "pool", "dense")]
    assert shapes == [(56, 56, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384),
                      (13, 13, 384), (13, 13, 256), (6, 6, 256), (4096,), (4096,), (1000,)]
    weights = [np.prod(net.weight_shape(row)) for row in net.rows if row.weighted]
    assert weights == [34_848, 614_400, 884_736, 1_327_104, 884_736, 37_748_736, 16_777_216,
                       4_096_000]
    other = read(models.network("alexnet-bwn"))
    assert weights == [np.prod(other.weight_shape(row)) for row in other.rows if row.weighted]


BLOCKS = """
input = [16, 16, 3]
layers = [{conv = 8, kernel = 3, stride = 2, pad = 1}, {separable = 16, stride = 2},
          {bottleneck = 16, expand = 2, repeat = 2}, {fire = 4, expand = 3}, "mean", {dense = 5}]
"""


def test_blocks(tmp_path):
    net = read(described(tmp_path, BLOCKS))
    assert [(row.kernel, row.groups, net.shape(row.name)) for row in net.rows
            if row.op == "conv"] == [
        (3, 1, (8, 8, 8)), (3, 8, (4, 4, 8)), (1, 1, (4, 4, 16)),
        *[(1, 1, (4, 4, 32)), (3, 32, (4, 4, 32)), (1, 1, (4, 4, 16))] * 2,
        (1, 1, (4, 4, 4)), (1, 1, (4, 4, 12)), (3, 1, (4, 4, 12))]
    assert [row.inputs for row in net.rows if row.op == "add"] == [
        ("norm5", "relu2"), ("norm8", "add1")]
    assert net.shape("concat1") == (4, 4, 24)


@pytest.mark.parametrize(("text", "message"), [
    ("input = [", "must be TOML, but: "),
    ("name = 'x'", "must say nothing but input, mean, .*, not 'name'"),
    ("layers = ['relu']", r"input must be \[height, width, channels\], not None"),
    ("input = [8, 8, 0]", r"input must be .*, not \[8, 8, 0\]"),
    ("input = [8, 8, 2]", "layers must be a list of rows, not None"),
    ("input = [8, 8, 2]\nlayers = ['relu']", "layers must have at least one conv or dense, "),
    ("input = [8, 8, 2]\nlayers = ['norm']", "row 1 of layers must be one of relu, .*'norm'"),
    ("input = [8, 8, 2]\nlayers = [{kernel = 3}]", r"row 1 of layers must have one of conv, "),
    ("input = [8, 8, 2]\nlayers = [{conv = 3, epsilon = 1}]",
     "row 1 of layers: conv may have kernel, .*, not 'epsilon'"),
    ("input = [8, 8, 2]\nlayers = [{conv = 3, bits = 9}]",
     "row 1 of layers: bits must be a whole number of 1 to 8, not 9"),
    ("input = [8, 8, 2]\nlayers = [{conv = true}]",
     "row 1 of layers: conv must be a whole number of 1 to 65536, not True"),
    ("input = [8, 8, 2]\nlayers = [{conv = 3, bias = 1}]", "bias must be true or false, not 1"),
    ("input = [8, 8, 2]\nlayers = [{norm = 3.5}]", "norm must be an epsilon between 0 and 1"),
    ("input = [8, 8, 2]\nlayers = [{bottleneck = 3, activation = 'gelu'}]",
     "activation must be one of relu, prelu, not 'gelu'"),
    ("input = [8, 8, 2]\nlayers = [{conv = 3, groups = 2}]",
     "Row 'conv1': groups must divide its 2 inputs and 3 outputs, not be 2"),
    ("input = [8, 8, 2]\nlayers = [{conv = 3, kernel = 9}]",
     r"Node 'conv1': a kernel of \(9, 9\) must fit the picture of 8 x 8"),
    ("input = [8, 8, 2]\nlayers = [{dense = 3}, {pool = 2}]",
     r"Row 'pool1' must read \(height, width, channels\), not \(3,\)"),
    ("input = [8, 8, 2]\nwidth = 0.3\nlayers = [{conv = 3}, {dense = 2}]",
     "row 1 of layers: 3 channels times the width of 0.3 must be a whole number"),
    ("input = [8, 8, 2]\nwidth = 0\nlayers = [{conv = 3}]", "width must be a number above 0"),
    ("input = [8, 8, 2]\nseed = -1\nlayers = [{conv = 3}]", "seed must be a whole number"),
    ("input = [8, 8, 2]\nmean = [0.5]\nlayers = [{conv = 3}]",
     "mean must be a number for each of its 2 channels"),
    ("input = [8, 8, 2]\nmean = [0.5, 0.5]\nlayers = [{conv = 3}]",
     "must have both mean and std, or none, not mean alone"),
    ("input = [8, 8, 2]\nlayers = [{conv = 3}, 'prelu']",
     "Row 'prelu1' must be an operation that runs, not 'prelu'"),
    ("like = 'other.toml'", "like must name a file beside it, not 'other.toml'"),
    ("like = '../small.toml'", "like must name a file beside it, not '../small.toml'"),
    ("input = [8, 8, 2]\nlayers = [{dense = 60000}, {dense = 60000}]",
     "Network 'small' must have at most 536870912 weights, not 3607680000"),
    ("like = 'small.toml'", "like must name a description that is like no other"),
])
def test_refusals(tmp_path, text, message):
    with pytest.raises(ModelError, match=message):
        load(described(tmp_path, text))


def test_its_input_is_octets(tmp_path):
    path = described(tmp_path, SMALL)
    with pytest.raises(UserError, match="must be uint8, not "):
        load(path, input_type="binary")
    assert load(path, input_type="uint8").name == "small"

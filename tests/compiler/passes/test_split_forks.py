from compiler.ir import Add, Graph, Relu
from compiler.passes.split_forks import split_forks
from tests.compiler.passes.networks import (
    EVERY_INPUT,
    SIGN,
    affine,
    all_sums,
    bits_in,
    chain,
    norm,
    same,
)


def test_sums_are_made_for_each_reader():
    layer = chain(bits_in(), all_sums(2), norm([1.0, -1.0], 0.5), SIGN).nodes
    before = Graph((*layer, Relu(name="r", inputs=("norm",)), Add(name="a", inputs=("sign", "r"))))
    after = split_forks(before)
    assert sorted(node.name for node in after.nodes) == [
        "a", "norm", "norm.again", "r", "sign", "sums", "sums.again", "x"]
    assert {after[name].inputs for name in ("norm", "norm.again")} == {("sums",), ("sums.again",)}
    same(before, after, EVERY_INPUT)


def test_one_reader_that_reads_twice():
    before = Graph((*chain(bits_in(), all_sums()).nodes, Add(name="a", inputs=("sums", "sums"))))
    after = split_forks(before)
    assert len(set(after["a"].inputs)) == 2
    same(before, after, EVERY_INPUT)


def test_small_integers_and_their_scales_are_shared():
    scaled = chain(bits_in(), all_sums(), SIGN, affine(0.5, 1.0)).nodes
    before = Graph((*scaled, Add(name="a", inputs=("affine", "affine"))))
    assert split_forks(before) is before

import re

import pytest

from compiler.train.layers import Form, TrainError, read_forms, weight_shapes


def test_forms():
    assert read_forms("512") == (Form(512),)
    assert read_forms("32C3-P2-64C5-64C1-P3-256-10") == (
        Form(32, 3, pool=2, hop=2), Form(64, 5), Form(64, 1, pool=3, hop=3), Form(256), Form(10))
    assert read_forms("10C3S2-P3S2-8C2-P2S1-40") == (
        Form(10, 3, stride=2, pool=3, hop=2), Form(8, 2, pool=2, hop=1), Form(40))


@pytest.mark.parametrize("text", ["", "-", "8-", "0", "08", "8C", "8C0", "C3", "8C3P2", "8C3--8",
                                  "8c3", "8 C3", "8S2", "8C3S0", "8C3S", "8C3-P2S",
                                  "8S2C3", "S2", "P1", "P", "-8", "8.5", "100000", "٣"])
def test_other_parts(text):
    sentence = f"Layers must be parts such as 32C3, P2 and 256 with - between, not {text!r}"
    with pytest.raises(TrainError, match=f"^{re.escape(sentence)}$"):
        read_forms(text)


@pytest.mark.parametrize(("text", "sentence"), [
    ("P2-8", "Pool P2 must follow a convolution, not the picture"),
    ("8C3-P2-P3", "Pool P3 must follow a convolution, not P2"),
    ("8-P2", "Pool P2 must follow a convolution, not 8"),
    ("8C3-16-8C1", "Convolution 8C1 must follow the picture, a convolution or a pool, not 16"),
])
def test_order(text, sentence):
    with pytest.raises(TrainError, match=f"^{re.escape(sentence)}$"):
        read_forms(text)


def test_shapes_of_weights():
    forms = read_forms("32C3-P2-64C2-40-10")
    assert weight_shapes(forms, (8, 11, 3)) == [
        (32, 3, 3, 3), (64, 32, 2, 2), (40, 2 * 3 * 64), (10, 40)]
    assert weight_shapes(read_forms("7"), (8, 11, 3)) == [(7, 8 * 11 * 3)]
    assert weight_shapes(read_forms("10C3S2-P3S2-10"), (28, 28, 1)) == [
        (10, 1, 3, 3), (10, 10 * 6 * 6)]
    assert weight_shapes(read_forms("4C2S3-P2S1-5"), (8, 11, 1)) == [(4, 1, 2, 2), (5, 4 * 2 * 3)]


@pytest.mark.parametrize(("text", "sees"), [("8C9", "8 x 11"), ("8C3-8C7", "6 x 9"),
                                            ("8C3-P7", "8 x 11"), ("8C3-P4-8C2", "1 x 2"),
                                            ("8C3S3-P3", "8 x 11"), ("8C3-P3S4-8C3", "1 x 2")])
def test_windows_too_large(text, sees):
    with pytest.raises(TrainError, match=f"must fit what they see, not {sees} pixels$"):
        weight_shapes(read_forms(text), (8, 11, 1))


def test_windows_that_just_fit():
    assert weight_shapes(read_forms("8C8-8"), (8, 8, 1)) == [(8, 1, 8, 8), (8, 8)]
    assert weight_shapes(read_forms("8C3-P6-8"), (8, 8, 1)) == [(8, 1, 3, 3), (8, 8)]
    assert weight_shapes(read_forms("8C2S3-P3-8"), (8, 8, 1)) == [(8, 1, 2, 2), (8, 8)]

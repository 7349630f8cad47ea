import numpy as np
import pytest

from compiler import golden
from compiler.ir import (
    Affine,
    Binary,
    Dense,
    Fixed,
    Flatten,
    Input,
    Quant,
    Real,
    Requantize,
    Threshold,
)
from compiler.passes.expose_integers import expose_integers
from compiler.passes.fold_input import fold_input
from compiler.passes.push_affines import push_affines
from tests.compiler.passes.networks import SIGN, affine, chain, dense, kinds, norm, same


PIXELS = Fixed(8, signed=False)
EVERY_PIXEL = np.arange(256)[:, None]
LAYER = dense([[1], [-1]])


def pixels(*nodes, layer=LAYER, kind=PIXELS, shape=(1,)):
    return expose_integers(chain(Input(name="x", shape=shape, type=kind), *nodes, layer))


@pytest.mark.parametrize("offset", [-1.0, 0.0, -0.5, -300.0])
def test_every_pixel(offset):
    before = pixels(affine(1 / 255, 0.0, "scaled"), affine(2.0, offset), SIGN)
    after = fold_input(before)
    assert kinds(after) == [Input, Threshold, Dense]
    assert after["sign"].levels.dtype.kind == "i"
    same(before, after, EVERY_PIXEL)


def test_known_level():
    """Pixels of half the range and more are +1, as in the host code of BNN-PYNQ."""
    before = pixels(affine(1 / 255, 0.0, "scaled"), affine(2.0, -1.0), SIGN)
    assert fold_input(before)["sign"].levels.tolist() == [[128]]


def test_integers_that_come_through_are_not_quantized():
    before = pixels(affine(1 / 255), Quant(name="quant", bits=8, scale=1 / 255, signed=False))
    after = fold_input(before)
    assert kinds(after)[:2] == [Input, Affine]
    np.testing.assert_allclose(golden.run(after, EVERY_PIXEL), golden.run(before, EVERY_PIXEL))


def test_moved_integers_leave_an_offset():
    before = pixels(affine(1.0, -128.0), Quant(name="quant", bits=8, scale=1.0),
                    layer=dense([[1]], bits=2))
    after = push_affines(fold_input(before))
    assert kinds(after) == [Input, Dense]
    assert after["sums"].bias.tolist() == [-128]
    same(before, after, EVERY_PIXEL)


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_fewer_bits_of_a_pixel(bits, scale):
    before = pixels(affine(1 / 256), Quant(name="quant", bits=bits, scale=scale / 2 ** bits,
                                           signed=False))
    after = fold_input(before)
    same(before, after, EVERY_PIXEL)
    if scale == 0.5 and bits > 1:
        assert kinds(after)[1] is Requantize
    else:
        assert kinds(after)[1] is Threshold


def test_falling_channels_stay_on_the_host():
    before = pixels(affine(-1.0, 100.0), SIGN)
    assert fold_input(before).nodes == before.nodes


def test_picture_with_levels_for_each_channel_and_pixel():
    picture = {"shape": (2, 1, 2), "kind": PIXELS, "layer": dense(np.ones((1, 4), int))}
    flat = Flatten(name="flat")
    channels = norm([0.5, 2.0], -70.0)
    for nodes, rows in (([channels, SIGN, flat], 2), ([channels, flat, SIGN], 4)):
        before = pixels(*nodes, **picture)
        after = fold_input(before)
        assert after["sign"].levels.shape == (rows, 1)
        x = np.random.default_rng(0).integers(0, 256, (300, 2, 1, 2))
        same(before, after, x)


def test_bits_in_bits_out():
    before = pixels(affine(3.0, 0.5), SIGN, kind=Binary())
    assert kinds(fold_input(before)) == [Input, Dense]
    turned = pixels(affine(-3.0, 0.5), SIGN, kind=Binary())
    assert fold_input(turned).nodes == turned.nodes


def test_real_input_stays():
    before = pixels(affine(3.0, 0.5), SIGN, kind=Real())
    assert fold_input(before).nodes == before.nodes

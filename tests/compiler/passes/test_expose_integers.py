import numpy as np
import pytest

from compiler.ir import (
    Affine,
    Fixed,
    Input,
    Quant,
    Requantize,
)
from compiler.passes.expose_integers import expose_integers
from compiler.passes.rewriting import PassError
from tests.compiler.passes.networks import (
    SIGN,
    all_sums,
    bits_in,
    chain,
    kinds,
    same,
)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("scale", [0.25, 0.3, 1 / 255, 1.0])
@pytest.mark.parametrize("zero_point", [0.0, 3.0, -0.5])
def test_same_values(bits, signed, narrow, scale, zero_point):
    before = chain(Input(name="x", shape=(1,)), Quant(
        name="quant", bits=bits, scale=scale, zero_point=zero_point, signed=signed,
        narrow=narrow))
    after = expose_integers(before)
    assert after.type("quant") == Fixed(bits, signed, after["quant"].fl)
    x = np.concatenate([np.arange(-260, 260) * scale / 2, [1e30, -1e30, 1e-30]])[:, None]
    same(before, after, x)


def test_power_of_two_is_plain():
    after = expose_integers(chain(Input(name="x", shape=(1,)),
                                  Quant(name="quant", bits=8, scale=2.0 ** -5)))
    assert kinds(after) == [Input, Affine, Requantize, Affine, Affine]
    assert after["quant"].fl == 5


def test_too_wide():
    with pytest.raises(PassError, match="^Quant 'quant' must leave at most 8 bits, not 9$"):
        expose_integers(chain(bits_in(), all_sums(), Quant(name="quant", bits=9, scale=1.0)))


def test_wide_ahead_of_a_narrow_one():
    before = chain(bits_in(), all_sums(), Quant(name="quant", bits=9, scale=1.0), SIGN)
    assert expose_integers(before).nodes == before.nodes

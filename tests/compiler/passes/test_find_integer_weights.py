import numpy as np
import pytest

from compiler import golden
from compiler.passes.find_integer_weights import find_integer_weights
from tests.compiler.passes.networks import (
    bits_in,
    chain,
    dense,
)


@pytest.mark.parametrize(("weights", "bits"), [
    ([[1.0, -1.0]], 1), ([[0.3, -0.3]], 1), ([[1.0, 0.0]], 2), ([[-2.0, 1.0]], 2),
    ([[2.0, 1.0]], 3), ([[-128.0, 127.0]], 8), ([[128.0, 1.0]], None), ([[0.5, 1.0]], None),
    ([[0.0, 0.0]], None),
])
def test_width(weights, bits):
    before = chain(bits_in(2), dense(weights, bits=None))
    after = find_integer_weights(before)
    assert after["sums"].bits == bits
    x = np.array([[1, 1], [-1, 1]])
    np.testing.assert_allclose(golden.run(after, x), golden.run(before, x))

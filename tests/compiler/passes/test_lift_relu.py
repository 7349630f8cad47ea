import numpy as np
import pytest

from compiler.ir import (
    Binary,
    Fixed,
    Input,
    Relu,
)
from compiler.passes.lift_relu import lift_relu
from tests.compiler.passes.networks import (
    affine,
    chain,
    dense,
    kinds,
    norm,
    same,
)


EVERY = {Fixed(3): range(-4, 4), Fixed(1): (-1, 0), Fixed(2, signed=False): range(4),
         Binary(): (-1, 1)}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("offset", [0.0, 1.5, -1.0, 8.0, -8.0, 0.5])
def test_every_value(kind, offset):
    before = chain(Input(name="x", shape=(1,), type=kind), affine(0.5, offset),
                   Relu(name="relu"), dense([[1]]))
    after = lift_relu(before)
    assert Relu not in kinds(after)
    same(before, after, np.array(EVERY[kind])[:, None])


@pytest.mark.parametrize("step", [affine(-0.5), affine(1.0, 0.5), norm(1.0),
                                  affine(np.array([1.0, 2.0]))])
def test_leaves_others(step):
    before = chain(Input(name="x", shape=(2,) if np.ndim(getattr(step, "scale", 1)) else (1,),
                         type=Fixed(3)), step, Relu(name="relu"))
    assert lift_relu(before).nodes == before.nodes

import numpy as np

from compiler.ir import Concat, Dense, Fixed, Graph, Input, Requantize
from compiler.passes.drop_lengths import drop_lengths


def small(name, fl, reads="x"):
    return Requantize(name=name, shift=0, bits=4, fl=fl, inputs=(reads,))


def test_ahead_of_a_concat_alone():
    layer = Dense(name="d", weights=np.ones((2, 4), int), bits=2, inputs=("join",))
    before = Graph((Input(name="x", shape=(2,), type=Fixed(8)), small("a", 1), small("b", 2),
                    Concat(name="join", inputs=("a", "b")), layer, small("c", 3, "d")))
    after = drop_lengths(before)
    assert [after[name].fl for name in "abc"] == [0, 0, 3]
    assert after.type("join") == Fixed(4)
    assert drop_lengths(after) is after

"""From a file to a graph.

`load` recognises a file or folder by what is in it. A network that no front end reads is written
down with `compiler.ir`, which is all that a front end does too:

>>> import numpy as np
>>> from compiler.ir import Dense, Fixed, Graph, Input, Threshold
>>> weights = np.array([[1, -1, 1], [-1, -1, 1]])
>>> graph = Graph((
...     Input(name="pixels", shape=(3,), type=Fixed(8, signed=False)),
...     Threshold(name="bits", inputs=("pixels",), levels=np.array([[128]])),
...     Dense(name="scores", inputs=("bits",), weights=weights, bits=1),
... ), name="by_hand")
>>> graph.type("scores")
Sum(low=-3, high=3)
"""

from compiler.frontends.load import INPUT_TYPES, load
from compiler.frontends.refusal import ModelError, Refusal


__all__ = ["INPUT_TYPES", "ModelError", "Refusal", "load"]

import json

import numpy as np
import pytest

from compiler import golden
from compiler.errors import UserError
from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Binary,
    Fixed,
    Graph,
    Input,
    MaxPool,
    Quant,
    Real,
    Sum,
    Threshold,
)
from compiler.records import from_json, to_json
from compiler.schedule.layout import Layout, Placement
from compiler.schedule.unfold import Unfold
from hdl.config import Config
from hdl.isa import Feed, Target


def again(value):
    return from_json(json.loads(json.dumps(to_json(value))))


@pytest.mark.parametrize("value", [
    None, True, 3, 2.5, "text", (1, (2, 3)), {"a": (1, 2)}, Real(), Binary(), Fixed(5, False, 2),
    Sum(-3, 4), Target.PLANES, Feed.GROUP, Config(p=4, simd=16),
    Placement("x", 64, Layout(type=Fixed(3, False), shape=(4, 4, 3), target=Target.PLANES, p=2,
                              simd=32, parts=(1, 2))),
    Layout(type=Fixed(8, False), shape=(2, 3, 12), target=Target.PLANES, p=2, simd=32,
           feed=Feed.PLANES, unfold=Unfold((3, 4, 3), (2, 2), (1, 1), (0, 0, 0, 0)))])
def test_value(value):
    assert again(value) == value
    assert type(again(value)) is type(value)


def test_arrays_and_numbers():
    for kind in np.int8, np.int64, np.float32, np.float64:
        values = np.array([[1, -2], [3, 100]], kind) / kind(3)
        found = again(values)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
    assert again(np.float32(0.1)) == np.float32(0.1)


def test_graph():
    rng = np.random.default_rng(0)
    graph = Graph((
        Input(name="x", shape=(4, 4, 3)),
        Affine(name="a", inputs=("x",), scale=rng.random(3), offset=np.float32(0.1)),
        BatchNorm(name="b", inputs=("a",), gamma=rng.random(3), beta=rng.random(3),
                  mean=rng.random(3), variance=rng.random(3)),
        Quant(name="q", inputs=("b",), bits=4, scale=0.3),
        Threshold(name="t", inputs=("q",), levels=np.array([[0.5]])),
        MaxPool(name="p", inputs=("t",), kernel=(2, 2), stride=(2, 2)),
        ArgMax(name="m", inputs=("p",)),
    ), "net", {"classes": ["a", "b"]})
    found = again(graph)
    x = rng.random((5, 4, 4, 3))
    np.testing.assert_array_equal(golden.run(found, x), golden.run(graph, x))
    assert (found.name, found.meta) == ("net", {"classes": ("a", "b")})


@pytest.mark.parametrize("value", [
    {"kind": "os"}, {"kind": "Input"}, {"kind": "Graph", "nodes": []},
    {"kind": "Target", "name": "NONE"}, {"kind": "array", "type": "O", "shape": [1]},
    {"kind": "array", "type": "<i8", "shape": [3], "values": [1]}, {"kind": []},
    {"kind": "Config", "simd": 3}, {"kind": "Fixed", "bits": 3, "more": 1}])
def test_what_was_never_made(value):
    with pytest.raises(UserError, match="^A record must be one that this version makes, not "):
        from_json({"nodes": [value]})


def test_what_cannot_be_written():
    with pytest.raises(TypeError, match="must be a node, a type, a place or plain, not"):
        to_json(object())

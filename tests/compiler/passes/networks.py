"""Small networks for the tests of passes."""

from dataclasses import replace

import numpy as np

from compiler import golden
from compiler.ir import Affine, BatchNorm, Binary, Dense, Graph, Input, Threshold


FAN_IN = 6
EVERY_INPUT = 2 * (np.arange(2 ** FAN_IN)[:, None] >> np.arange(FAN_IN) & 1) - 1
SIGN = Threshold(name="sign", levels=np.array([[0.0]]))


def chain(*nodes):
    """Return a graph of nodes that each read the one before."""
    linked = [nodes[0]]
    for node in nodes[1:]:
        linked.append(replace(node, inputs=(linked[-1].name,)))
    return Graph(tuple(linked))


def bits_in(width=FAN_IN):
    return Input(name="x", shape=(width,), type=Binary())


def dense(weights, name="sums", bits=1, **fields):
    return Dense(name=name, weights=np.array(weights), bits=bits, **fields)


def all_sums(channels=1):
    """A layer whose every channel makes every sum that there is, of `EVERY_INPUT`."""
    return dense(np.ones((channels, FAN_IN), int))


def norm(gamma, beta=0.0, mean=0.0, variance=1.0, name="norm"):
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float))
                                   for v in (gamma, beta, mean, variance)))
    gamma, beta, mean, variance = (v.copy() for v in values)
    return BatchNorm(name=name, gamma=gamma, beta=beta, mean=mean, variance=variance)


def affine(scale=1.0, offset=0.0, name="affine"):
    return Affine(name=name, scale=scale, offset=offset)


def kinds(graph):
    return [type(node) for node in graph.nodes]


def same(before, after, x):
    """Assert that two graphs make the same of ``x``."""
    np.testing.assert_array_equal(golden.run(after, x), golden.run(before, x))

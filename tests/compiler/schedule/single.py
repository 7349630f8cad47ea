"""Networks of one layer, and the task that the accelerator has with them."""

import numpy as np

from compiler.ir import Binary, Conv, Dense, Graph, Input, MaxPool, Requantize, Threshold
from compiler.schedule.tasks import tasks_of
from compiler.stages import split


__all__ = ["bits_conv", "bits_dense", "levels_of", "one_task", "shaped_output"]


def one_task(sums, shape, kind, *, activation=None, pools=()):
    """The graph and the task of a layer; ``activation`` and ``pools`` want name and inputs."""
    nodes = [Input(name="x", shape=shape, type=kind), sums(name="sums", inputs=("x",))]
    for at, follower in enumerate([*[activation] * bool(activation), *pools]):
        nodes.append(follower(name=f"y{at}", inputs=(nodes[-1].name,)))
    graph = Graph(tuple(nodes))
    task, = tasks_of(split(graph))
    return graph, task


def levels_of(rng, channels, count, spread=40):
    """A Threshold that wants its name and inputs."""
    levels = np.sort(rng.integers(-spread, spread, (channels, count)), axis=1)
    return lambda **names: Threshold(levels=levels, **names)


def activation_of(channels, count, shift):
    """A Threshold, a Requantize, or none."""
    if shift is not None:
        return lambda **names: Requantize(shift=shift, bits=8, **names)
    return levels_of(np.random.default_rng(0), channels, count) if count else None


def bits_dense(fan_in=40, channels=10, *, count=None, kind=None, bits=1, shift=None):
    """A dense layer of weights of -1 and +1, which may count as ones of more bits."""
    weights = np.random.default_rng(0).choice([-1, 1], (channels, fan_in))
    return one_task(lambda **names: Dense(weights=weights, bits=bits, **names), (fan_in,),
                    kind or Binary(), activation=activation_of(channels, count, shift))[1]


def bits_conv(shape=(10, 11, 40), kernel=(3, 3), channels=20, *, count=1, kind=None, bits=1,
              shift=None, pool=None, **geometry):
    """A convolution likewise; ``pool`` is size and stride."""
    depth = shape[2] // geometry.get("groups", 1)
    weights = np.random.default_rng(0).choice([-1, 1], (channels, *kernel, depth))
    pools = [lambda **names: MaxPool(kernel=pool[0], stride=pool[1], **names)] if pool else []
    return one_task(lambda **names: Conv(weights=weights, bits=bits, **geometry, **names), shape,
                    kind or Binary(), activation=activation_of(channels, count, shift),
                    pools=pools)[1]


def shaped_output(task, config, target, **choices):
    """How the output of a task lies for a reader that wants ``target``."""
    layout = task.leaves(config)
    return layout if task.layer.activation is None else type(layout)(
        **{name: getattr(layout, name) for name in layout.__dataclass_fields__}
        | {"target": target} | choices)

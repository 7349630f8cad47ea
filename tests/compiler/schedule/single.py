"""Networks of one layer, and the task that the accelerator has with them."""

from dataclasses import replace

import numpy as np

from compiler.ir import Binary, Conv, Dense, Graph, Input, MaxPool, Requantize, Threshold
from compiler.schedule.regions import Region
from compiler.schedule.tasks import Task, tasks_of
from compiler.schedule.units import shaped
from compiler.stages import split


__all__ = ["between", "bits_conv", "bits_dense", "chain", "levels_of", "one_task",
           "shaped_output"]


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


def between(task, fixed, config, reader=None, reader_fixed=False, *, of_host=True):
    """A layer on a unit, whose output ``reader`` reads, or the host."""
    output = reader.reads(reader_fixed, config, of_host=False) if reader else task.leaves(config)
    return shaped(task, task.reads(fixed, config, of_host=of_host), output, config)


def chain(tasks):
    """The tasks as a chain, of which each reads what the one before it leaves, and its regions."""
    names = [f"t{at}" for at in range(len(tasks))]
    linked = [Task(replace(task.layer, input=name), task.pools)
              for task, name in zip(tasks, names, strict=True)]
    tensors = [*zip(names, (task.layer.input_shape for task in linked), strict=True),
               (linked[-1].output, linked[-1].output_shape)]
    regions = [Region(name, shape, shape[-1:], {name: range(1)}, at - 1, at)
               for at, (name, shape) in enumerate(tensors)]
    for at, task in enumerate(linked[:-1]):
        last = (task.pools or (task.layer,))[-1].nodes[-1]
        renamed = replace(last, name=names[at + 1])
        if task.pools:
            pools = *task.pools[:-1], replace(task.pools[-1], pool=renamed)
            linked[at] = Task(task.layer, pools)
        else:
            linked[at] = Task(replace(task.layer, activation=renamed), ())
    return linked, regions

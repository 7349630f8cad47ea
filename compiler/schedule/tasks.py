"""The steps of a network as the accelerator takes them: each layer with the pools behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.errors import UserError
from compiler.ir import Binary, Conv, Fixed, MaxPool, TensorType, value_range
from compiler.schedule.layout import Layout
from compiler.schedule.unfold import Unfold
from compiler.stages import MAX_BITS, Joining, Layer, Parts, Pooling, Step
from hdl.config import Config
from hdl.isa import Feed, Target


__all__ = ["Task", "is_large", "read_by", "tasks_of"]

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

LARGE = 2  # a tensor that takes more than this part of the memory is packed, though it reads slower


@dataclass(frozen=True)
class Task:
    """A layer, and the windows of its results that are joined as they are made.

    ``window`` and ``hop`` are size and stride of the windows along y and x, for all pools
    together. ``part_of`` names the layer of which it makes some lines, where it makes not all.
    """

    layer: Layer
    pools: tuple[Pooling, ...]
    part_of: str = ""

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def output(self) -> str:
        """Name of the tensor that it leaves."""
        return self.pools[-1].output if self.pools else self.layer.output

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.pools[-1].output_shape if self.pools else self.layer.output_shape

    @property
    def output_type(self) -> TensorType:
        return self.layer.output_type

    @property
    def window(self) -> Pair:
        size, hop = [1, 1], [1, 1]
        for pool in (step.pool for step in self.pools):
            for axis in (0, 1):
                size[axis] += (pool.kernel[axis] - 1) * hop[axis]
                hop[axis] *= pool.stride[axis]
        return size[0], size[1]

    @property
    def hop(self) -> Pair:
        strides = np.array([step.pool.stride for step in self.pools] or [(1, 1)])
        y, x = strides.prod(0).tolist()
        return y, x

    @property
    def conv(self) -> Conv | None:
        """The convolution, unless it is a dense layer."""
        return self.layer.sums if isinstance(self.layer.sums, Conv) else None

    @property
    def depthwise(self) -> bool:
        """Whether each channel is made of one input channel alone."""
        conv = self.conv
        return conv is not None and 1 < conv.groups == conv.channels == self.layer.input_shape[2]

    @property
    def units(self) -> tuple[bool, ...]:
        """Units that can run it, by whether they are the fixed-point unit."""
        kind, sums = self.layer.input_type, self.layer.sums
        bits = isinstance(kind, Binary) or not kind.signed
        grouped = self.conv is not None and self.conv.groups > 1
        return (False, True) if sums.bits == 1 and bits and not grouped else (True,)

    def reads(self, fixed: bool, config: Config, *, of_host: bool) -> Layout:
        """Return how its input lies for a unit; ``of_host`` tells that the host writes it."""
        kind, conv = self.layer.input_type, self.conv
        target = Target.OCTETS
        if not fixed:
            target = Target.BITS if isinstance(kind, Binary) else Target.PLANES
        chain = Layout(type=kind, shape=self.layer.input_shape, target=target, p=config.p,
                       simd=config.simd, unit=config.pe, feed=Feed.CHAIN,
                       # So that the first window begins at an address.
                       border=conv.pads[1] if conv else 0)
        if conv is None or not fixed:
            return chain
        if of_host and self.packs(chain):
            chain = replace(chain, border=0, lead=conv.pads[1])
        grouped = of_host and chain.depth == 1
        apart = (replace(chain, feed=Feed.GROUP) if grouped else
                 replace(chain, feed=Feed.WHOLE, border=0))
        return chain if is_large(apart, config) else apart

    def sifts(self, config: Config) -> Layout | None:
        """Return how its input may lie, too, for the fixed-point unit where it reads each channel
        alone: so that as many channels follow each other as the array makes at once."""
        deep = config.pe // config.fixed_simd
        plain = self.reads(True, config, of_host=False)
        if not self.depthwise or self.conv is None or self.conv.padded or deep < 2:
            return None
        return replace(plain, feed=Feed.CHAIN, border=0, deep=deep)

    def packs(self, source: Layout) -> bool:
        """Whether it takes fewer words of an input whose pixels need not begin words: its windows
        must."""
        conv = self.conv
        if conv is None or conv.groups > 1:
            return False
        channels = source.shape[2]
        taps = -(-conv.kernel[1] * channels // source.lanes)
        return (conv.stride[1] * channels % source.lanes == 0
                and taps < conv.kernel[1] * -(-channels // source.lanes))

    @property
    def unfold(self) -> Unfold | None:
        """What its windows see of its input, if it is a convolution of all channels."""
        conv = self.conv
        if conv is None or conv.groups > 1:
            return None
        return Unfold(self.layer.input_shape, conv.kernel, conv.stride, conv.pads)

    def unfolded(self) -> Task:
        """Return what it is where its input is the windows of the picture."""
        conv, unfold = self.conv, self.unfold
        assert conv is not None
        assert unfold is not None
        sums = replace(conv, weights=conv.weights.reshape(conv.channels, 1, 1, -1), stride=(1, 1),
                       pads=(0, 0, 0, 0))
        return replace(self, layer=replace(self.layer, sums=sums, input_shape=unfold.made))

    def reads_windows(self, config: Config) -> Layout | None:
        """Return how its input lies for the array if the host writes it window by window, so that a
        pass sums all its bit planes; None where that cannot be."""
        unfold = self.unfold
        if not config.signs or unfold is None or False not in self.units or isinstance(
                self.layer.input_type, Binary):
            return None
        return Layout(type=self.layer.input_type, shape=unfold.made, target=Target.PLANES,
                      p=config.p, simd=config.simd, unit=config.pe, feed=Feed.PLANES,
                      unfold=unfold)

    def unit_for(self, source: Layout) -> bool | None:
        """Return which unit runs it on an input that lies so, or None where none does."""
        if source.unfold is not None:
            return False if source.unfold == self.unfold else None
        fixed = source.target is Target.OCTETS
        if source.lead is not None:
            return fixed if (fixed in self.units and self.packs(source) and self.conv is not None
                             and self.conv.pads[1] == source.lead) else None
        if source.deep > 1:
            return True if self.depthwise and self.conv and not self.conv.padded else None
        border = self.conv.pads[1] if self.conv else 0
        suits = {Feed.CHAIN: True, Feed.WHOLE: self.conv is not None,
                 Feed.GROUP: self.conv is not None and border <= source.border}
        return fixed if fixed in self.units and suits[source.feed] else None

    def leaves(self, config: Config) -> Layout:
        """Return how its output lies for the host."""
        target = Target.BITS if isinstance(self.output_type, Binary) else Target.OCTETS
        if not isinstance(self.output_type, Binary | Fixed):
            target = Target.SUMS
        return Layout(type=self.output_type, shape=self.output_shape, target=target, p=config.p,
                      simd=config.simd, unit=config.pe)


def is_large(layout: Layout, config: Config) -> bool:
    """Whether a tensor that lies so would take too much of the memory."""
    return layout.octets > config.memory_depth * config.memory_width // 8 // LARGE


def tasks_of(parts: Parts) -> tuple[Task, ...]:
    """Gather the steps of a network by its layers, in their order; joins are none.

    Raises UserError for a step that the accelerator cannot run.
    """
    tasks: list[Task] = []
    reads = Counter(name for step in parts.body for name in read_by(step))
    for step in parts.body:
        if isinstance(step, Layer):
            if step.add:
                raise UserError(f"Node {step.add.name!r} must be part of a layer's weights, as the "
                                f"accelerator adds nothing else, not an Add")
            check_weights(step)
            tasks.append(Task(step, ()))
        elif isinstance(step, Pooling):
            at = next((at for at, task in enumerate(tasks) if task.output == step.input), None)
            if at is None or reads[step.input] > 1:
                raise UserError(f"MaxPool {step.name!r} must pool what a layer leaves for it "
                                f"alone, not {step.input!r}")
            check_pool(step, tasks[at])
            tasks[at] = Task(tasks[at].layer, (*tasks[at].pools, step))
    return tuple(tasks)


def read_by(step: Step) -> tuple[str, ...]:
    """Return the tensors that a step reads."""
    return step.inputs if isinstance(step, Joining) else (step.input,)


def check_weights(layer: Layer) -> None:
    """Refuse weights that no octet holds: those of 2**7 among powers of two."""
    highest = int(layer.sums.weights.max())
    if highest > value_range(Fixed(MAX_BITS))[1]:
        raise UserError(f"{type(layer.sums).__name__} {layer.name!r} must have weights of at most "
                        f"{MAX_BITS} bits on the accelerator, whose fixed-point unit multiplies, "
                        f"not {highest}: run it in C, or quantize it with --mode dynamic")


def check_pool(step: Pooling, task: Task) -> None:
    """Refuse a pool that the accelerator cannot make, behind those of ``task``."""
    pool: MaxPool = step.pool
    if any(pool.pads):
        raise UserError(f"MaxPool {step.name!r} must have windows inside the picture, not pads "
                        f"{pool.pads}")
    for size, window, hop in zip(pool.kernel, task.window, task.hop, strict=True):
        if size > 1 and hop > window:
            raise UserError(f"MaxPool {step.name!r} must pool windows without a gap between them, "
                            f"not windows of {task.window} every {task.hop}")

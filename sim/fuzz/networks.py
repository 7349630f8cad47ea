"""Draws whole small networks, of every kind that there is."""

import math

from hypothesis import strategies as st

from compiler.ir import (
    Add,
    Affine,
    ArgMax,
    AveragePool,
    Binary,
    Concat,
    Fixed,
    Flatten,
    Real,
    Threshold,
    Weighted,
)
from sim.fuzz.builder import CHANNELS, STYLES, Builder


__all__ = ["networks"]

DEPTHS = 3, 1, 2, 4, 9, 16, 17, 32, 33, 64
FEATURES = 5, 1, 31, 33, 64, 100, 257, 784


@st.composite
def networks(draw):
    """A `Network` of one to some eight layers: a picture's or a vector's.

    Dense layers and convolutions, in groups, too; blocks that fork and join; pools; means; what
    comes between sums and small integers; ends of bits, of small integers, of sums, and beyond.
    """
    builder = Builder(draw, draw(st.sampled_from(STYLES)))
    if builder.chance(80):
        side = builder.number(3, 9)
        shape = side, side + builder.number(-2, 2), builder.pick(*DEPTHS)
    else:
        shape = builder.pick(*FEATURES),
    given(builder, shape)
    if len(shape) == 3:
        body(builder)
    else:
        head(builder, 1)
    if len(builder.shape) == 3 and builder.chance(50):
        small = isinstance(builder.kind, Binary | Fixed) or quantized(builder)
        if small and builder.chance(70):
            head(builder, 1)
    suffix(builder)
    return builder.network


def given(builder: Builder, shape: tuple[int, ...]) -> None:
    """The input, and what the host does ahead of the first layer."""
    bits, signed = builder.number(1, 8), builder.style == "any" and builder.chance(30)
    pixels = Fixed(8, signed=builder.style == "any" and builder.chance(20))
    kind = builder.pick(pixels, Binary(), Fixed(bits, signed), Real())
    builder.begin(shape, kind)
    if isinstance(kind, Real) or builder.chance(20):
        if len(shape) == 3 and builder.chance(20):
            builder.pool()
        if builder.chance(30):
            builder.norm()
        builder.quantizer()


def body(builder: Builder) -> None:
    """Convolutions and blocks, with pools and means behind some."""
    for more in reversed(range(builder.number(1, 3))):
        kind = builder.pick("conv", "conv", "conv", "conv", "residual", "fire", "fork")
        if kind == "conv":
            builder.conv()
            if builder.chance(15):
                builder.pool()
            if not more and builder.chance(25):
                return
            builder.activation()
        else:
            {"residual": residual, "fire": fire, "fork": fork}[kind](builder)
        for _ in range(builder.pick(0, 0, 1, 1, 2)):
            builder.pool()
        if builder.chance(10):
            builder.scaled()
        elif builder.chance(15):
            builder.mean()
            if more or builder.chance(50):
                builder.quantizer()


def residual(builder: Builder) -> None:
    """Sums, or small integers, that are added to the tensor ahead or to others."""
    before, width = builder.last, builder.channels
    skip = before
    if builder.chance(50):
        width = builder.pick(*CHANNELS[:-1])
        skip = branch(builder, before, width)
    inner = before
    if builder.chance(50):
        inner = builder.same(before, builder.pick(*CHANNELS[:10]))
        builder.activation()
        inner = builder.last
    both = [branch(builder, inner, width), skip]
    builder.add(Add(name="add"), *(both[::-1] if builder.chance(50) else both))
    builder.activation()


def branch(builder: Builder, name: str, width: int) -> str:
    """A tensor of ``width`` channels that is made of ``name``: sums, or small integers."""
    builder.same(name, width)
    if builder.chance(50):
        builder.activation()
    if builder.chance(20):
        builder.scaled()
    return builder.last


def fire(builder: Builder) -> None:
    """Tensors that are made of one, and joined; quantized before or after."""
    if builder.chance(50):
        builder.same(builder.last, builder.pick(*CHANNELS[:10]))
        builder.activation()
    before, parts = builder.last, []
    early = builder.chance(70)
    for _ in range(builder.number(2, 3)):
        builder.same(before, builder.pick(*CHANNELS[:-1]))
        if early:
            builder.activation()
        parts.append(builder.last)
    if early and builder.chance(20):
        parts.append(parts[0])
    builder.add(Concat(name="concat"), *parts)
    if not early or builder.chance(10):
        builder.activation()


def fork(builder: Builder) -> None:
    """Two activations of one tensor, joined again."""
    if builder.chance(70):
        builder.same(builder.last, builder.pick(*CHANNELS[:10]))
    before, parts = builder.last, []
    for _ in range(2):
        builder.last = before
        builder.activation()
        parts.append(builder.last)
    builder.add(Concat(name="concat"), *parts)


def head(builder: Builder, least: int) -> None:
    """Dense layers; the last may end in sums."""
    count = builder.number(least, 3)
    for at in range(count):
        builder.dense()
        if at + 1 < count or builder.chance(50):
            builder.activation()


def quantized(builder: Builder) -> bool:
    """Whether the last tensor came from a quantizer, though its values are real.

    A mean whose division is not exact does not count: sums of such are not exact either.
    """
    name = builder.last
    while not isinstance(builder.graph[name], Threshold) and builder.graph[name].inputs:
        node = builder.graph[name]
        inexact = isinstance(node, AveragePool) and not is_power(math.prod(node.kernel))
        if inexact or isinstance(node, Weighted | Add):
            return False
        if type(node).__name__ in ("Quant", "Requantize"):
            return True
        name = node.inputs[0]
    return True


def is_power(number: int) -> bool:
    """Whether it is a power of two."""
    return number & number - 1 == 0


def suffix(builder: Builder) -> None:
    """What the host does behind the last layer."""
    if builder.chance(20):
        builder.add(Affine(name="values", scale=builder.rng.normal(size=builder.channels) + 2,
                           offset=0.5))
    if builder.chance(30):
        if len(builder.shape) == 3:
            builder.add(Flatten(name="flat"))
        builder.add(ArgMax(name="class"))

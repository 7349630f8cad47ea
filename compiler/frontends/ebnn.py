"""Networks of eBNN: blocks of convolution, max-pool, BatchNorm and sign, and dense layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from compiler.frontends.ebnn_files import Block, Shapes, read_blocks, recognise
from compiler.frontends.refusal import Refusal, quoted
from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Binary,
    Conv,
    Dense,
    Fixed,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Node,
    TensorType,
    Threshold,
)


__all__ = ["read", "recognise"]

PIXEL = 255         # the highest: eBNN's real inputs are 0 to 1
DARK = np.ones((1, 1), np.int64)  # eBNN's bits of a picture are set for all pixels but 0
SIGN = np.zeros((1, 1))           # of a number that is 0 or more, +1

Shape = tuple[int, ...]


def read(path: Path, input_type: TensorType | None = None) -> Graph:
    """Read a network whose input is pixels of 0 to 255, (height, width, channels) or flat.

    As in eBNN, pixels are divided by 255, or compared with 0 for a network that reads bits;
    ``input_type`` may be Binary for the latter. Raises Refusal for damaged files, and for shapes
    that do not follow from each other.
    """
    blocks = read_blocks(path)
    nodes = tuple(_nodes(path, blocks, input_type))
    classes = [str(at) for at in range(blocks[-1].outputs)]
    return Graph(nodes, name=path.stem, meta={"source": "eBNN", "classes": classes})


def _nodes(path: Path, blocks: tuple[Block, ...], input_type: TensorType | None
           ) -> Iterator[Node]:
    before, shape = "pixels", blocks[0].reads
    for node in _input(path, blocks[0], input_type):
        yield node
        before = node.name
    for block in blocks:
        for node in _block(path, block, before, shape):
            yield node
            before = node.name
        shape = block.makes


def _input(path: Path, first: Block, kind: TensorType | None) -> Iterator[Node]:
    pixels = Fixed(8, signed=False)
    if first.binary and kind == Binary():
        yield Input(name="pixels", shape=first.reads, type=kind)
        return
    if kind not in (None, pixels):
        raise Refusal(f"The input type of '{path}' must be uint8"
                      f"{' or binary' if first.binary else ''}, as its network reads "
                      f"{'bits' if first.binary else 'pixels'}")
    yield Input(name="pixels", shape=first.reads, type=pixels)
    if first.binary:
        yield Threshold(name="bits", inputs=("pixels",), levels=DARK)
    else:
        yield Affine(name="values", inputs=("pixels",), scale=1 / PIXEL)


def _block(path: Path, block: Block, before: str, shape: Shape) -> Iterator[Node]:
    """The nodes of a block that reads the tensor ``before`` of ``shape``."""
    name, shapes, weights = block.name, block.shapes, block.weights
    if len(block.reads) == 1 < len(shape):
        if block.reads == (math.prod(shape),):  # eBNN has channels first
            height, width, depth = shape
            weights = weights.reshape(-1, depth, height, width).transpose(0, 2, 3, 1)
            weights = weights.reshape(len(weights), -1)
            shape = block.reads
        yield Flatten(name=f"{name}.features", inputs=(before,))
        before = f"{name}.features"
    if shape != block.reads:
        raise Refusal(f"Block {quoted(name)} of '{path}' must read what the one before it makes, "
                      f"{shape}, not {block.reads}")
    made: Node
    if isinstance(shapes, Shapes):
        kernel, stride, pad = shapes.conv
        made = Conv(name=f"{name}.sums", inputs=(before,), weights=weights, bits=1,
                    stride=(stride, stride), pads=(pad,) * 4, bias=block.bias)
    else:
        made = Dense(name=f"{name}.sums", inputs=(before,), weights=weights, bits=1,
                     bias=block.bias)
    yield made
    if isinstance(shapes, Shapes) and shapes.pool != (1, 1, 0):
        kernel, stride, pad = shapes.pool
        made = MaxPool(name=f"{name}.pooled", inputs=(made.name,), kernel=(kernel, kernel),
                       stride=(stride, stride), pads=(pad,) * 4)
        yield made
    norm = block.norm
    made = BatchNorm(name=f"{name}.norm", inputs=(made.name,), gamma=norm["gamma"],
                     beta=norm["beta"], mean=norm["mean"], variance=norm["std"] ** 2, epsilon=0.0)
    yield made
    if block.last:
        yield ArgMax(name="class", inputs=(made.name,))
    else:
        yield Threshold(name=f"{name}.bits", inputs=(made.name,), levels=SIGN)

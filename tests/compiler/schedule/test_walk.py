import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.ir import Fixed
from compiler.schedule.walk import describe
from hdl.config import Config
from hdl.isa import Feed, Layer, Loop, Target, Walk
from tests.compiler.schedule.single import between, bits_conv, bits_dense


SOURCE, OUTPUT = 1600, 80000


def visited(descriptor, p):
    """Every pass of a layer: turns of its loops, outermost first, and where it begins."""
    source = x = y = output = 0
    walk, layer = descriptor.walk, descriptor.layer
    counts = [walk[loop]["count"] for loop in reversed(list(Loop)[:-1])]
    before = None
    for turns in itertools.product(*map(range, counts)):
        loop = Loop.BEGIN
        if before is not None:
            source += (layer["height"] * layer["depth"] - 1) * layer["step"] * p
            y += layer["height"] - 1
            changed = [now != then for now, then in zip(turns, before, strict=True)]
            loop = Loop(len(counts) - 1 - changed.index(True))
        entry = walk[loop]
        source = (source + entry["source"]) % (1 << 16)
        x, y = (x + entry["x"]) % 256, (y + entry["y"]) % 256
        output = (output + entry["output"] + (entry["output_high"] << 16)) % (1 << 20)
        before = turns
        yield dict(zip(reversed(list(Loop)[:-1]), turns, strict=True)), source, x, y, output


def places(lowered, turns):
    """Where a pass of a convolution must begin, from the shapes alone."""
    task, source, output = lowered.task, lowered.source, lowered.output
    conv = task.conv
    top, left = conv.pads[:2]
    column, row = turns[Loop.ACROSS] * lowered.pixels, turns[Loop.DOWN]
    to = row, column
    if lowered.pooled:
        to = turns[Loop.ROW], turns[Loop.COLUMN]
        row = turns[Loop.ROW] * task.hop[0] + turns[Loop.DOWN]
        column += turns[Loop.COLUMN] * task.hop[1]
    y, x = row * conv.stride[0] - top, column * conv.stride[1] - left
    if source.lead is not None:  # columns are those of words, and the border is among them
        x = (x + left) * source.shape[2] // source.lanes
    begin = SOURCE + source.first + y * source.line + x * source.pixel
    tile = turns[Loop.WORD] * lowered.tiles + turns[Loop.TILE]
    channel = tile * lowered.channels * lowered.parts
    if lowered.diagonal:
        first = channel + turns[Loop.PART] * lowered.channels
        begin += first // source.lanes * source.row
    if lowered.planes > 1:
        begin += (lowered.planes - 1 - turns[Loop.PART]) * source.blocks * source.address
    end = OUTPUT + output.first + to[0] * output.line + to[1] * output.pixel
    if output.target is Target.SUMS:
        end += 4 * channel
    else:
        word, lane = divmod(channel, output.held)
        end += word * output.row + (lane if output.target is Target.OCTETS else lane // 8)
    return begin * 8 // source.simd, x, y, end


PADS = st.tuples(*[st.integers(0, 2)] * 4)


@given(config=st.sampled_from([Config(), Config(p=1), Config(p=4)]), pads=PADS,
       stride=st.tuples(*[st.integers(1, 3)] * 2), kernel=st.tuples(*[st.integers(1, 3)] * 2),
       depth=st.sampled_from([2, 4, 9, 33, 40]), bits=st.sampled_from([1, 2]),
       pool=st.sampled_from([None, ((2, 2), (2, 2)), ((3, 2), (1, 3))]),
       kind=st.sampled_from([None, Fixed(3, signed=False), Fixed(5)]),
       count=st.sampled_from([1, 3, None]), groups=st.booleans(), reader=st.integers(0, 2))
def test_every_pass_begins_where_it_must(config, pads, stride, kernel, depth, bits, pool, kind,
                                         count, groups, reader):
    groups = depth if groups else 1
    task = bits_conv((9, 11, depth), kernel, depth if groups > 1 else 40, pads=pads, stride=stride,
                     bits=bits, pool=pool if count else None, kind=kind, count=count,
                     groups=groups)
    behind = (bits_conv(task.output_shape, (1, 1), kind=task.output_type, bits=reader)
              if reader and count is not None else None)
    for fixed in task.units:
        try:
            lowered = between(task, fixed, config, behind, reader == 2)
        except UserError:
            continue
        descriptor = describe(lowered, SOURCE, OUTPUT)
        passes = list(visited(descriptor, config.p))
        assert len(passes) == lowered.passes * lowered.tiles * lowered.groups
        for turns, *found in passes:
            begin, x, y, end = places(lowered, turns)
            assert found == [begin % (1 << 16), x % 256, y % 256, end % (1 << 20)], turns


@pytest.mark.parametrize(("task", "expected"), [
    (bits_conv(), {"taps": 3, "height": 3, "depth": 2, "step": 6, "feed": Feed.CHAIN,
                   "columns": 0, "lines": 0, "skip": 0, "fixed": 0, "pixels": 0, "single": 0,
                   "pool": 0, "pitch": 0, "channels": 8, "stride": 1, "bits": 1}),
    (bits_conv(pads=(1, 1, 1, 1)), {"step": 6, "columns": 11, "lines": 10, "skip": 1,
                                    "pixels": 0}),
    (bits_conv(shape=(10, 12, 40), pads=(1, 1, 1, 1)), {"step": 7, "columns": 12, "pixels": 1}),
    (bits_conv(stride=(1, 2)), {"single": 1, "pixels": 0, "pitch": 0}),
    (bits_conv(pool=((2, 3), (2, 2))), {"pool": 1, "single": 0, "pixels": 0, "pitch": 0}),
    (bits_conv(pool=((2, 2), (2, 2))), {"pool": 1, "pixels": 1}),
    (bits_conv(kind=Fixed(4, signed=False)), {"fixed": 0, "step": 24, "skip": 0}),
    (bits_conv(kind=Fixed(8, signed=False), bits=2, pads=(1, 1, 1, 1)),
     {"fixed": 1, "feed": Feed.WHOLE, "depth": 10, "step": 11, "zero": 1, "skip": 0,
      "channels": 4}),
    (bits_conv(shape=(10, 11, 3), kind=Fixed(8, signed=False), bits=2, pads=(1, 2, 1, 1)),
     {"fixed": 1, "feed": Feed.GROUP, "depth": 1, "step": 13}),
    (bits_dense(count=1), {"taps": 2, "height": 1, "depth": 1, "columns": 0, "single": 1}),
    (bits_dense(shift=9, kind=Fixed(8), bits=8), {"taps": 10, "fixed": 1, "flip": 0, "signed": 1,
                                                  "shift": 9, "target": Target.OCTETS}),
], ids=["plain", "padded", "even", "strided", "pooled", "pool", "planes", "fixed", "group", "dense",
        "shift"])
def test_fields(task, expected):
    lowered = between(task, task.units[0], Config())
    descriptor = describe(lowered, SOURCE, OUTPUT)
    assert {name: descriptor.layer[name] for name in expected} == expected
    assert set(descriptor.layer) == set(Layer.members)
    assert len(descriptor.walk) == len(Loop)
    assert all(set(entry) == set(Walk.members) for entry in descriptor.walk)


def test_planes_of_the_output():
    """The planes of a row lie side by side, ahead of the row of the next word."""
    task = bits_conv(count=3)
    reader = bits_conv(task.output_shape, kind=Fixed(2, signed=False), pads=(1, 1, 1, 1))
    descriptor = describe(between(task, False, Config(), reader), SOURCE, OUTPUT)
    assert (descriptor.layer["target"], descriptor.layer["plane"]) == (Target.PLANES, 5)
    assert descriptor.walk[Loop.WORD]["count"] == 1
    begin = descriptor.walk[Loop.BEGIN]
    assert begin["output"] + (begin["output_high"] << 16) == OUTPUT + 4


@pytest.mark.parametrize(("shape", "rows"), [((16, 4, 32), (1, 16)), ((15, 4, 70), (1, 45)),
                                             ((32, 4, 256), (4, 64))])
def test_dense_layers_read_pictures(shape, rows):
    """Of the rows, only the number counts: it is split so that both parts fit."""
    task = bits_dense(int(np.prod(shape)), 8, count=1)
    of_picture = type(task)(type(task.layer)(**vars(task.layer) | {"input_shape": shape}), ())
    config = Config(weight_depth=2048)
    layer = describe(between(of_picture, False, config), 0, 0).layer
    assert (layer["height"], layer["depth"]) == rows
    assert layer["taps"] == 4


@pytest.mark.parametrize(("task", "config", "message"), [
    (bits_dense(4096 * 8, 1, count=1), Config(simd=8, p=4),
     "the words of a line of the window must be at most 2047, not 4096"),
    (bits_dense(1, 8 * 4096, count=1), Config(),
     "the turns of a loop must be at most 4095, not 4096"),
    (bits_dense(shift=32), Config(), "the bits that are dropped must be at most 31, not 32"),
    (bits_conv((20, 20, 4), (16, 1), channels=1), Config(),
     "the lines of the window must be at most 15, not 16"),
    (bits_conv((2, 3000, 4), (2, 1), channels=1), Config(),
     "the addresses of a row of its input must be at most 1023, not 1500"),
    (bits_conv((256, 4, 8), (3, 3), channels=1, pads=(0, 1, 0, 1)), Config(),
     "the lines of its input must be at most 255, not 256"),
], ids=["words", "tiles", "shift", "lines", "row", "picture"])
def test_too_large_for_a_field(task, config, message):
    with pytest.raises(UserError, match=f"^Node 'sums': {message}$"):
        between(task, False, config)

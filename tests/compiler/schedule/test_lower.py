import re
from dataclasses import replace

import pytest

from compiler.errors import UserError
from compiler.ir import Fixed
from compiler.schedule.lower import lower, weight_octets
from hdl.config import Config
from hdl.isa import Activation, Feed, Target
from tests.compiler.schedule.checking import SIGN_CONFIGS
from tests.compiler.schedule.single import bits_conv, bits_dense, shaped_output


BYTES = Fixed(8, signed=False)


def lowered_for(task, target, config=None, *, fixed=None):
    config = config or Config()
    fixed = task.units[0] if fixed is None else fixed
    return lower(task, fixed, task.reads(fixed, config, of_host=False),
                 shaped_output(task, config, target), config)


@pytest.mark.parametrize(("task", "target", "expected"), [
    (bits_dense(count=1), Target.BITS, (False, 8, 1, 4, 2, 1, 1, Activation.THRESHOLD)),
    (bits_dense(count=1), Target.OCTETS, (False, 8, 1, 2, 2, 1, 1, Activation.THRESHOLD)),
    (bits_dense(count=3), Target.OCTETS, (False, 8, 1, 2, 2, 3, 2, Activation.THRESHOLD)),
    (bits_dense(count=4), Target.OCTETS, (False, 8, 1, 2, 2, 7, 3, Activation.THRESHOLD)),
    (bits_dense(count=255), Target.OCTETS, (False, 1, 1, 10, 2, 255, 8, Activation.THRESHOLD)),
    (bits_dense(count=63), Target.OCTETS, (False, 4, 1, 3, 2, 63, 6, Activation.THRESHOLD)),
    (bits_dense(count=3), Target.PLANES, (False, 8, 1, 4, 2, 3, 2, Activation.THRESHOLD)),
    (bits_dense(shift=4), Target.OCTETS, (False, 8, 1, 2, 2, 1, 8, Activation.RESCALE)),
    (bits_dense(), Target.SUMS, (False, 8, 1, 2, 2, 1, 1, Activation.SUM)),
    (bits_dense(kind=Fixed(8)), Target.SUMS, (True, 4, 1, 3, 10, 1, 1, Activation.SUM)),
    (bits_dense(count=1, bits=2), Target.BITS, (True, 4, 2, 4, 10, 1, 1, Activation.THRESHOLD)),
    (bits_conv(), Target.BITS, (False, 8, 1, 3, 18, 1, 1, Activation.THRESHOLD)),
    (bits_conv(count=3), Target.OCTETS, (False, 4, 1, 5, 18, 3, 2, Activation.THRESHOLD)),
    (bits_conv(count=255), Target.OCTETS, (False, 1, 1, 20, 18, 255, 8, Activation.THRESHOLD)),
    (bits_conv(count=100), Target.OCTETS, (False, 2, 1, 10, 18, 127, 7, Activation.THRESHOLD)),
    (bits_conv(bits=2), Target.BITS, (True, 4, 2, 3, 90, 1, 1, Activation.THRESHOLD)),
    (bits_conv(channels=40, groups=40, bits=2), Target.BITS,
     (True, 4, 2, 6, 9, 1, 1, Activation.THRESHOLD)),
], ids=["bits", "octets", "two", "three", "eight", "six", "planes", "shift", "sums", "fixed",
        "wide", "conv", "words", "one", "pair", "parts", "depthwise"])
def test_shape(task, target, expected):
    lowered = lowered_for(task, target)
    assert (lowered.fixed, lowered.channels, lowered.parts, lowered.tiles * lowered.groups,
            lowered.words, lowered.stride, lowered.bits, lowered.activation) == expected
    assert lowered.target is target
    assert lowered.made == lowered.output.made >= task.layer.sums.channels


@pytest.mark.parametrize(("task", "config", "shared", "passes"), [
    (bits_conv((10, 11, 40)), Config(), True, 8 * 5),
    (bits_conv((10, 12, 40)), Config(), True, 8 * 5),
    (bits_conv((10, 11, 40)), Config(p=4), True, 8 * 3),
    (bits_conv((10, 11, 40)), Config(p=1), False, 8 * 9),
    (bits_conv((10, 11, 40), stride=(2, 1)), Config(), True, 4 * 5),
    (bits_conv((10, 11, 40), stride=(1, 2)), Config(), False, 8 * 5),
    (bits_conv((10, 11, 40), pool=((2, 2), (2, 2))), Config(), True, 4 * 4 * 2),
    (bits_conv((10, 11, 40), pool=((3, 3), (1, 2))), Config(), True, 6 * 4 * 2 * 3),
    (bits_conv((10, 11, 40), kind=Fixed(3, signed=False)), Config(), True, 3 * 8 * 5),
    (bits_conv((10, 11, 40), bits=2), Config(), False, 2 * 8 * 9),
    (bits_dense(count=1), Config(), False, 1),
], ids=["last alone", "even", "four", "one", "lines", "stride", "pool", "overlap", "planes",
        "parts", "dense"])
def test_passes(task, config, shared, passes):
    lowered = lowered_for(task, Target.BITS, config)
    assert (lowered.shared, lowered.passes) == (shared, passes)
    assert lowered.cycles >= passes * lowered.words


SIGNS = SIGN_CONFIGS[2]  # 4 x 32 x 32


@pytest.mark.parametrize(("task", "signs", "passes"), [
    (bits_dense(count=1), True, 1),
    (bits_conv((10, 11, 48)), True, 8 * 3),
    (bits_conv((10, 11, 48), stride=(1, 2)), True, 8 * 5),
    (bits_conv((10, 11, 48), pool=((2, 2), (2, 2))), True, 4 * 2 * 2),
    (bits_conv((10, 12, 48), pool=((2, 2), (2, 2))), True, 4 * 2 * 3),
    (bits_conv((10, 12, 48), pool=((3, 1), (1, 1))), True, 6 * 3 * 3),
    (bits_conv((10, 10, 48), pool=((1, 4), (2, 4))), True, 4 * 1 * 2),
    (bits_conv((10, 12, 48), pool=((2, 2), (2, 1))), False, 4 * 9 * 2),     # windows overlap
    (bits_conv((10, 12, 48), pool=((2, 3), (2, 3))), False, 4 * 3 * 2),     # and do not divide
    (bits_conv((10, 12, 48), pool=((2, 2), (2, 2)), stride=(1, 2)), False, 4 * 2 * 4),
    (bits_conv((10, 12, 48), count=3), False, 8 * 3),
    (bits_conv((10, 12, 48), kind=Fixed(2, signed=False)), False, 2 * 8 * 3),
    (bits_conv((10, 12, 48), bits=2), False, 4 * 8 * 10),
    (bits_conv((10, 11, 368), channels=8), False, 8 * 3),                   # two segments
], ids=["dense", "row", "stride", "pool", "even", "tall", "four", "overlap", "three", "apart",
        "levels", "planes", "fixed", "segments"])
def test_bits_by_groups(task, signs, passes):
    target = Target.PLANES if task.layer.activation.count == 3 else Target.BITS
    lowered = lowered_for(task, target, SIGNS)
    assert (lowered.signs, lowered.passes) == (signs, passes)
    assert not lowered_for(task, target, replace(SIGNS, sign_depth=0)).signs


@pytest.mark.parametrize(("target", "border", "signs"), [
    (Target.BITS, 0, True), (Target.BITS, 4, True), (Target.BITS, 1, False),
    (Target.OCTETS, 0, False)])
def test_bits_by_groups_are_whole_addresses(target, border, signs):
    task = bits_conv((10, 11, 48))
    lowered = lower(task, False, task.reads(False, SIGNS, of_host=False),
                    shaped_output(task, SIGNS, target, border=border), SIGNS)
    assert lowered.signs == signs


WINDOWS = bits_conv((9, 9, 3), kind=BYTES)


def windows_for(task, config, target, **choices):
    """A layer that reads windows, which are pixels of 27 channels."""
    return lower(task, False, task.reads_windows(config),
                 shaped_output(task, config, target, **choices), config)


def test_windows_are_pixels():
    lowered = windows_for(WINDOWS, SIGNS, Target.BITS)
    assert (lowered.signs, lowered.source.feed, lowered.source.shape) == (
        True, Feed.PLANES, (7, 7, 27))
    assert (lowered.kernel, lowered.depth, lowered.words) == ((8, 1), 1, 8)
    assert (lowered.plane_passes, lowered.passes) == (1, 7 * 2)
    assert WINDOWS.unit_for(lowered.source) is False
    # The windows of another convolution are no use to it.
    assert bits_conv((9, 9, 3), (2, 2), kind=BYTES).unit_for(lowered.source) is None


@pytest.mark.parametrize(("task", "config"), [
    (bits_conv(), SIGNS), (bits_conv(kind=Fixed(4)), SIGNS),
    (bits_conv(kind=BYTES, bits=2), SIGNS), (bits_conv(kind=BYTES, groups=4), SIGNS),
    (bits_dense(kind=BYTES, count=1), SIGNS), (WINDOWS, Config()),
], ids=["bits", "signed", "weights", "groups", "dense", "gateware"])
def test_windows_that_cannot_be_pixels(task, config):
    assert task.reads_windows(config) is None


@pytest.mark.parametrize(("task", "config", "target", "choices", "message"), [
    (WINDOWS, SIGNS, Target.OCTETS, {},
     ("Node 'sums' must leave a bit for each sum, in whole addresses, as it reads windows, "
      "not OCTETS")),
    (WINDOWS, SIGNS, Target.BITS, {"border": 1},
     ("Node 'sums' must leave a bit for each sum, in whole addresses, as it reads windows, "
      "not BITS")),
    (bits_conv((9, 9, 3), kind=BYTES, count=None), SIGNS, Target.SUMS, {},
     ("Node 'sums' must leave a bit for each sum, in whole addresses, as it reads windows, "
      "not SUMS")),
    (WINDOWS, replace(SIGNS, binary_width=9), Target.BITS, {},
     "Node 'sums': half sums of all planes of a window must be below 256, not 4080"),
    (bits_conv((9, 9, 3), kind=BYTES), replace(SIGNS, binary_width=12), Target.BITS, {},
     "Node 'sums': half sums of all planes of a window must be below 2048, not 4080"),
], ids=["octets", "border", "sums", "narrow", "just"])
def test_impossible_windows(task, config, target, choices, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        windows_for(task, config, target, **choices)


def test_weights_of_a_tile():
    config = Config()
    assert weight_octets(lowered_for(bits_conv(), Target.BITS), config) == 18 * 32
    assert weight_octets(lowered_for(bits_conv(bits=2), Target.BITS), config) == 2 * 90 * 16


@pytest.mark.parametrize(("task", "fixed", "target", "config", "message"), [
    (bits_dense(40000, 2), False, Target.SUMS, Config(sum_width=16, simd=64, p=1),
     "Node 'sums': its sums must span less than 15 bits, not -40000 to 40000"),
    (bits_dense(count=255), False, Target.OCTETS, Config(level_depth=128),
     "Node 'sums': a channel must have at most 128 levels, not 255"),
    (bits_conv(count=63), False, Target.PLANES, Config(),
     "Node 'sums': 8 channels that are made together must have at most 256 levels, not 504"),
    (bits_conv(), False, Target.BITS, Config(pe=16, simd=8, p=4),
     ("Node 'sums': an array for pictures must have at most 8 channels, as a word has bits, "
      "not 16")),
    (bits_conv(count=None, kind=BYTES), False, Target.SUMS, Config(),
     "Node 'sums': sums of bit planes must be compared or rescaled, not left as they are"),
    (bits_dense(4000, 2, kind=BYTES, count=1), False, Target.BITS, Config(sum_width=22),
     "Node 'sums': its sums of bit planes must be below 2097152, not 3076830"),
    (bits_conv(pool=((2, 2), (2, 2))), True, Target.OCTETS, Config(fixed_pe=2),
     "Node 'sums' must make 4 channels at once, as its octets are pooled, not 2"),
    (bits_conv(bits=2, shape=(9, 9, 80)), True, Target.BITS, Config(),
     ("Node 'sums': the weights of a tile must have at most 256 words, as they are used again, "
      "not 360")),
    (bits_conv(shape=(4, 254, 40), pads=(1, 1, 1, 1)), False, Target.BITS, Config(),
     "Node 'sums': a picture with borders must have at most 256 lines and columns, not 258"),
    (bits_conv(shape=(9, 9, 33), pads=(1, 0, 0, 0)), False, Target.BITS, Config(),
     "Node 'sums': a picture of bits with a border must have an even number of channels, not 33"),
], ids=["sums", "levels", "planes", "pe", "serial sums", "serial width", "pool", "weights",
        "border", "odd"])
def test_impossible(task, fixed, target, config, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        lowered_for(task, target, config, fixed=fixed)

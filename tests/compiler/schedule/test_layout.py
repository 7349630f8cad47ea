import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.ir import Binary, Fixed, Sum, value_range
from compiler.schedule.layout import Layout, Placement, flipped
from compiler.schedule.unfold import Unfold
from hdl.isa import Feed, Target


KINDS = [Binary(), *[Fixed(bits, signed) for bits in range(1, 9) for signed in (True, False)]]
WORDS = st.sampled_from([(2, 32), (1, 32), (4, 32), (4, 8), (2, 16), (1, 64)])


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_flipped(kind):
    """Only 8 bits without a sign do not fit a signed octet."""
    assert flipped(kind) == (kind == Fixed(8, signed=False))


def targets(kind):
    """How tensors of a type may lie."""
    if isinstance(kind, Sum):
        return [Target.SUMS]
    several = isinstance(kind, Fixed) and not kind.signed
    return [Target.OCTETS, *[Target.BITS] * (kind == Binary()), *[Target.PLANES] * several]


@st.composite
def layouts(draw, only=None):
    kind = draw(st.sampled_from([*KINDS, Sum(-1 << 31, 1 << 30)] if only is None else [Binary()]))
    target = draw(st.sampled_from(targets(kind) if only is None else [only]))
    size = st.integers(1, 9)
    channels = draw(st.sampled_from([1, 3, 4, 5, 31, 32, 33, 70]))
    picture = draw(st.booleans())
    p, simd = draw(WORDS)
    feeds = {Target.OCTETS: [Feed.CHAIN, Feed.WHOLE, Feed.GROUP],
             Target.PLANES: [Feed.CHAIN, Feed.PLANES]} if picture else {}
    feed = draw(st.sampled_from(feeds.get(target, [Feed.CHAIN])))
    return Layout(type=kind, shape=(draw(size), draw(size), channels) if picture else (channels,),
                  target=target, p=p, simd=simd, feed=feed,
                  border=draw(st.integers(0, 4)) if picture else 0,
                  made=draw(st.sampled_from([0, channels + 5])))


def values(layout, seed):
    rng = np.random.default_rng(seed)
    low, high = value_range(layout.type)
    if layout.type == Binary():
        return rng.choice([-1, 1], layout.shape)
    return rng.integers(low, high, layout.shape, endpoint=True)


@given(layout=layouts(), seed=st.integers(0, 2**32 - 1))
def test_round_trip(layout, seed):
    x = values(layout, seed)
    data = layout.pack(x)
    assert len(data) == layout.octets
    assert layout.octets % layout.address == 0
    found = layout.unpack(data)
    assert (found.shape, found.tolist()) == (layout.shape, x.tolist())
    place = Placement("x", 24, layout)
    assert (place.pack(x), place.end) == (data, 24 + layout.octets)
    assert place.unpack(data).tolist() == x.tolist()


@given(layout=layouts(Target.BITS), seed=st.integers(0, 2**32 - 1))
def test_garbage_does_not_matter(layout, seed):
    """What lies between the values of a tensor is not read."""
    x = values(layout, seed)
    noise = np.random.default_rng(seed).integers(0, 256, layout.octets, np.uint8)
    used, every = (np.frombuffer(layout.pack(of), np.uint8) for of in (x, np.abs(x)))
    assert layout.unpack((used | noise & ~every).tobytes()).tolist() == x.tolist()


@given(layout=layouts(), seed=st.integers(0, 2**32 - 1))
def test_words_lie_where_the_layout_says(layout, seed):
    """Octet by octet, from the steps that descriptors are made of."""
    if layout.target is Target.SUMS or len(layout.shape) == 1:
        return
    x = values(layout, seed)
    data = layout.pack(x)
    rng = np.random.default_rng(seed)
    for _ in range(10):
        y, column, channel = (int(rng.integers(size)) for size in layout.shape)
        word, lane = divmod(channel, layout.held)
        at = layout.first + y * layout.line + word * layout.row + column * layout.pixel
        value = int(x[y, column, channel])
        if layout.target is Target.OCTETS:
            assert data[at + lane] == value & 0xFF ^ flipped(layout.type) << 7
            continue
        planes = [value > 0] if layout.target is Target.BITS else [
            value >> bit & 1 for bit in range(layout.planes)]
        for plane, bit in enumerate(planes):
            place = at + plane * layout.blocks * layout.address
            if layout.feed is Feed.PLANES:  # the highest is the first, and has all rows of a line
                place = at + (layout.planes - 1 - plane) * layout.line // layout.planes
            assert data[place + lane // 8] >> lane % 8 & 1 == bit


@given(bits=st.integers(1, 8), channels=st.sampled_from([1, 3, 4]),
       words=st.sampled_from([(2, 32), (4, 16), (1, 64)]), kernel=st.sampled_from([(1, 1), (2, 3)]),
       pads=st.sampled_from([(0, 0, 0, 0), (1, 2, 0, 1)]), seed=st.integers(0, 2**32 - 1))
def test_windows_by_planes(bits, channels, words, kernel, pads, seed):
    """A pass reads a word of each pixel, plane by plane, and adds to twice what it has."""
    p, simd = words
    unfold = Unfold((4, 5, channels), kernel, (1, 1), pads)
    layout = Layout(type=Fixed(bits, signed=False), shape=unfold.made, target=Target.PLANES, p=p,
                    simd=simd, feed=Feed.PLANES, unfold=unfold)
    x = np.random.default_rng(seed).integers(0, 1 << bits, unfold.shape)
    data = layout.pack(x)
    assert (layout.unpack(data) == x).all()
    assert len(data) == layout.octets
    height, width, depth = unfold.made
    windows = np.zeros((height, layout.blocks * p, layout.depth * simd), int)
    octets = np.frombuffer(data, np.uint8).reshape(height, bits, layout.depth, -1, simd // 8)
    for plane in range(bits):
        lanes = np.unpackbits(octets[:, plane], axis=-1, bitorder="little")
        windows = 2 * windows + lanes.transpose(0, 2, 1, 3).reshape(windows.shape)
    # Lanes without a channel, and pixels behind the last, are 0.
    assert (windows[:, :width, layout.lane_of] == unfold.windows(x)).all()
    assert windows.sum() == unfold.windows(x).sum()


@given(width=st.integers(1, 9), border=st.integers(0, 4), p=st.sampled_from([1, 2, 4]),
       seed=st.integers(0, 2**32 - 1))
def test_groups_hold_what_follows(width, border, p, seed):
    """Each address holds the word of its column and those of the columns to the right."""
    layout = Layout(type=Fixed(8), shape=(2, width, 4), target=Target.OCTETS, p=p, simd=32,
                    feed=Feed.GROUP, border=border)
    x = values(layout, seed)
    words = np.frombuffer(layout.pack(x), np.int8).reshape(2, border + width, p, 4)
    for address in range(border + width):
        for slot in range(p):
            column = address + slot - border
            inside = 0 <= column < width
            expected = x[:, column] if inside else np.zeros((2, 4), int)
            assert words[:, address, slot].tolist() == expected.tolist()


def flat(kind, target, channels, made=0):
    return Layout(type=kind, shape=(channels,), target=target, p=2, simd=32, made=made)


@pytest.mark.parametrize(("kind", "target", "numbers", "octets"), [
    (Binary(), Target.BITS, [1, -1, 1, -1, -1, -1, -1, -1, 1], b"\x05\x01"),
    (Binary(), Target.OCTETS, [1, -1], b"\x01\xff"),
    (Fixed(8), Target.OCTETS, [-128, 127, -1], b"\x80\x7f\xff"),
    (Fixed(8, signed=False), Target.OCTETS, [0, 127, 128, 255], b"\x80\xff\x00\x7f"),
    (Fixed(4, signed=False), Target.OCTETS, [0, 15], b"\x00\x0f"),
    (Fixed(2, signed=False), Target.PLANES, [0, 1, 2, 3], b"\x0a\0\0\0\0\0\0\0\x0c"),
    (Sum(-300, 300), Target.SUMS, [-2, 256], b"\xfe\xff\xff\xff\x00\x01\x00\x00"),
], ids=["bits", "signs", "signed", "flipped", "unsigned", "planes", "sums"])
def test_octets(kind, target, numbers, octets):
    layout = flat(kind, target, len(numbers))
    data = layout.pack(np.array(numbers))
    assert data == octets.ljust(8 * layout.planes, b"\0")
    assert layout.unpack(data).tolist() == numbers


@pytest.mark.parametrize(("layout", "octets"), [
    (flat(Binary(), Target.BITS, 65), 16),
    (flat(Binary(), Target.BITS, 65, made=96), 16),
    (flat(Binary(), Target.BITS, 65, made=130), 24),
    (flat(Fixed(8), Target.OCTETS, 5, made=8), 8),
    (flat(Sum(0, 1), Target.SUMS, 10, made=12), 48),
    (flat(Fixed(3, signed=False), Target.PLANES, 65), 48),
])
def test_room(layout, octets):
    assert layout.octets == octets

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule.unfold import Unfold


@st.composite
def unfolds(draw, *, seen=False):
    """Windows of any picture; where ``seen``, they touch or overlap, and begin where it does."""
    size = st.integers(1, 4)
    kernel = draw(size), draw(size)
    stride = tuple(draw(st.integers(1, side if seen else 5)) for side in kernel)
    # A border is narrower than the kernel, as that of a convolution is.
    pads = tuple(draw(st.integers(0, side - 1)) for side in (*kernel, *kernel))
    shape = tuple(draw(st.integers(max(side - begin - end, 1), 9)) for side, begin, end in zip(
        kernel, pads[:2], pads[2:], strict=True))
    return Unfold((*shape, draw(st.integers(1, 4))), kernel, stride, pads)


def naive(unfold, x):
    """Windows, one number after another."""
    height, width, channels = unfold.shape
    (tall, wide), (down, right) = unfold.kernel, unfold.stride
    top, left, bottom, end = unfold.pads
    return [[[
        int(x[y + dy - top, column + dx - left, channel])
        if 0 <= y + dy - top < height and 0 <= column + dx - left < width else 0
        for dy in range(tall) for dx in range(wide) for channel in range(channels)]
        for column in range(0, width + left + end - wide + 1, right)]
        for y in range(0, height + top + bottom - tall + 1, down)]


@given(unfold=unfolds(), seed=st.integers(0, 2**32 - 1))
def test_windows(unfold, seed):
    x = np.random.default_rng(seed).integers(-99, 99, unfold.shape)
    windows = unfold.windows(x)
    assert windows.tolist() == naive(unfold, x)
    assert windows.shape == unfold.made
    # A picture may come flat, as it does from a host.
    assert unfold.windows(x.ravel()).tolist() == windows.tolist()


@given(unfold=unfolds(seen=True), seed=st.integers(0, 2**32 - 1))
def test_picture(unfold, seed):
    """What some window sees comes back; the rest, at the far ends, is 0."""
    x = np.random.default_rng(seed).integers(1, 99, unfold.shape)
    picture = unfold.picture(unfold.windows(x))
    assert picture.shape == x.shape
    (tall, wide), (down, right) = unfold.kernel, unfold.stride
    height, width, _ = unfold.made
    bottom = (height - 1) * down + tall - unfold.pads[0]
    end = (width - 1) * right + wide - unfold.pads[1]
    expected = x.copy()
    expected[max(bottom, 0):] = 0
    expected[:, max(end, 0):] = 0
    assert (picture == expected).all()


@given(unfold=unfolds(), seed=st.integers(0, 2**32 - 1))
def test_windows_of_the_picture_are_the_windows(unfold, seed):
    """Also where windows leave gaps, which are 0."""
    windows = unfold.windows(np.random.default_rng(seed).integers(-99, 99, unfold.shape))
    assert (unfold.windows(unfold.picture(windows)) == windows).all()


@pytest.mark.parametrize(("unfold", "made"), [
    (Unfold((32, 32, 3), (3, 3), (1, 1), (0, 0, 0, 0)), (30, 30, 27)),
    (Unfold((227, 227, 3), (11, 11), (4, 4), (0, 0, 0, 0)), (55, 55, 363)),
    (Unfold((5, 4, 2), (2, 3), (2, 1), (1, 0, 0, 2)), (3, 4, 12)),
])
def test_shape(unfold, made):
    assert unfold.made == made

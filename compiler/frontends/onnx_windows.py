"""Windows that slide over pictures in ONNX: their steps and borders; and `Pad`."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.frontends.onnx_site import ACTIVATION_LIMIT, Site
from compiler.frontends.onnx_values import Operand, Padded, Tensor


__all__ = ["Window", "no_dilation", "pad", "picture", "window"]

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, left, bottom, right

_SAME = {"SAME_UPPER", "SAME_LOWER"}


@dataclass(frozen=True)
class Window:
    """How a window slides: our ``pads`` include those of a Pad before, ``own`` do not."""

    kernel: Pair
    stride: Pair
    pads: Sides
    own: Sides


def picture(site: Site) -> Tensor:
    """The first input, which must be a picture of (channels, height, width)."""
    of = site.tensor(0)
    if not site.builder.is_picture(of):
        raise site.refusal(f"must read a picture of (channels, height, width) as the model's input "
                           f"or a layer has it, not {of.index.shape} moved about")
    return of


def no_dilation(site: Site) -> None:
    """Refuse windows with gaps."""
    dilations = site.integers("dilations") or []
    if any(dilation != 1 for dilation in dilations):
        raise site.refusal(f"must have dilations of 1, not {dilations}")


def window(site: Site, of: Tensor, kernel: Pair, *, ceil: bool = False) -> Window:
    """Read stride and borders of a window over the picture ``of``.

    With ``ceil`` a last window that begins inside the picture may end outside it.
    """
    no_dilation(site)
    stride = site.pair("strides", (1, 1))
    before = of.pads if isinstance(of, Padded) else (0, 0, 0, 0)
    height, width, channels = site.builder.shape(of)
    size = height + before[0] + before[2], width + before[1] + before[3]
    own = _borders(site, size, kernel, stride)
    if ceil:
        own = _completed(size, kernel, stride, own)
    top, left, bottom, right = (a + b for a, b in zip(before, own, strict=True))
    whole = (height + top + bottom) * (width + left + right) * channels
    if whole > ACTIVATION_LIMIT:
        raise site.refusal(f"must see at most {ACTIVATION_LIMIT} elements with its borders, "
                           f"not {whole}")
    return Window(kernel, stride, (top, left, bottom, right), own)


def _borders(site: Site, size: Pair, kernel: Pair, stride: Pair) -> Sides:
    mode = site.text("auto_pad", "NOTSET") or "NOTSET"
    if mode in _SAME:
        needed = [(math.ceil(n / s) - 1) * s + k - n
                  for n, k, s in zip(size, kernel, stride, strict=True)]
        if min(needed) < -1:
            raise site.refusal(f"must have pads in place of auto_pad, as its stride of {stride} "
                               f"skips parts of the picture, where runtimes differ")
        (top, bottom), (left, right) = (_halves(max(total, 0)) for total in needed)
        sides = top, left, bottom, right
        return sides if mode == "SAME_UPPER" else (bottom, right, top, left)
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode != "NOTSET":
        raise site.refusal(f"must have auto_pad of NOTSET, VALID, SAME_UPPER or SAME_LOWER, "
                           f"not {mode[:20]!r}")
    pads = site.integers("pads") or [0] * 4
    if len(pads) != 4 or min(pads) < 0:
        raise site.refusal(f"must have pads of four integers of at least 0, not {pads[:8]}")
    return pads[0], pads[1], pads[2], pads[3]


def _halves(total: int) -> Pair:
    return total // 2, total - total // 2


def _completed(size: Pair, kernel: Pair, stride: Pair, own: Sides) -> Sides:
    """Widen bottom and right so that the last window, if it begins inside, is whole."""
    ends = []
    for n, k, s, first, last in zip(size, kernel, stride, own[:2], own[2:], strict=True):
        count = max(math.ceil((n + first + last - k) / s), 0) + 1
        if (count - 1) * s >= n + first:
            count -= 1
        ends.append(max(last, (count - 1) * s + k - n - first))
    return own[0], own[1], ends[0], ends[1]


def pad(site: Site) -> Operand:
    """A border of zeros, which the reader makes."""
    sides = _pads(site)
    if not any(sides):
        return site.operand(0)
    of = picture(site)
    mode = site.text("mode", "constant")
    value = site.scalar(2, "value") if site.has(2) else site.number("value", 0.0)
    if mode != "constant" or value != 0:
        raise site.refusal(f"must pad with zeros, not "
                           f"{value if mode == 'constant' else mode[:20]}")
    if site.has(3):
        sides = _along(site, sides, of.index.ndim + 1)
    rank = of.index.ndim + 1
    if len(sides) != 2 * rank or min(sides) < 0 or any(sides[:2] + sides[rank:rank + 2]):
        raise site.refusal(f"must pad height and width, by {2 * rank} integers of at least 0, "
                           f"not {sides[:12]}")
    return Padded(of.name, of.index, (sides[2], sides[3], sides[rank + 2], sides[rank + 3]))


def _pads(site: Site) -> list[int]:
    """Pads, an input in newer opsets, and an attribute in older ones."""
    sides = site.numbers(1) if site.has(1) else site.integers("pads")
    if sides is None:
        raise site.refusal("must have pads")
    return sides


def _along(site: Site, sides: list[int], rank: int) -> list[int]:
    """Place pads that are for some axes alone, given as input 3, among those of all axes."""
    axes = [axis + rank if axis < 0 else axis for axis in site.numbers(3)]
    if len(sides) != 2 * len(axes) or any(not 0 <= axis < rank for axis in axes):
        raise site.refusal(f"must have two pads for each of its axes, not {sides} for {axes}")
    every = [0] * (2 * rank)
    for at, axis in enumerate(axes):
        every[axis], every[axis + rank] = sides[at], sides[at + len(axes)]
    return every

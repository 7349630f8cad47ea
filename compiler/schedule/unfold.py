"""Windows of a picture, each as a pixel of its own: what makes a convolution one of 1 x 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


__all__ = ["Unfold"]

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Unfold:
    """What the windows of a convolution see of a picture of ``shape``, (height, width, channels).

    Channels of a window are those of its first tap, then those of the tap to the right of it. What
    lies outside the picture is 0.
    """

    shape: tuple[int, ...]
    kernel: Pair
    stride: Pair
    pads: tuple[int, int, int, int]  # top, left, bottom, right

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of the windows, (height, width, channels)."""
        height, width = self._padded
        return ((height - self.kernel[0]) // self.stride[0] + 1,
                (width - self.kernel[1]) // self.stride[1] + 1,
                self.kernel[0] * self.kernel[1] * self.shape[2])

    @property
    def _padded(self) -> Pair:
        top, left, bottom, right = self.pads
        return top + self.shape[0] + bottom, left + self.shape[1] + right

    def windows(self, x: Array) -> Array:
        """Return the windows of a picture."""
        top, left, bottom, right = self.pads
        padded = np.pad(x.reshape(self.shape), ((top, bottom), (left, right), (0, 0)))
        seen = sliding_window_view(padded, self.kernel, (0, 1))
        seen = seen[::self.stride[0], ::self.stride[1]].transpose(0, 1, 3, 4, 2)
        return seen.reshape(self.made)

    def picture(self, windows: Array) -> Array:
        """Return the picture that has these windows; what none of them sees is 0."""
        top, left, *_ = self.pads
        padded = np.zeros((*self._padded, self.shape[2]), windows.dtype)
        height, width, _ = self.made
        seen = windows.reshape(height, width, *self.kernel, self.shape[2])
        down, right = self.stride
        for y in range(self.kernel[0]):
            for x in range(self.kernel[1]):
                padded[y:y + (height - 1) * down + 1:down,
                       x:x + (width - 1) * right + 1:right] = seen[:, :, y, x]
        return padded[top:top + self.shape[0], left:left + self.shape[1]]

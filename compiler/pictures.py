"""Reads a picture as a network takes it: resized, with its colours, in the range of its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from compiler.datasets import DataError
from compiler.ir import Binary, Fixed, Input


__all__ = ["is_picture", "read_picture"]

Array = np.ndarray[Any, Any]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES = {1: "L", 3: "RGB"}                                        # of Pillow, by channels
READ = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr")  # have up to 8 bits a channel
WHITE = 255  # of Pillow


def is_picture(path: str | Path) -> bool:
    """Whether the name is that of a picture."""
    return Path(path).suffix.lower() in SUFFIXES


def read_picture(path: str | Path, node: Input, meta: Mapping[str, Any]) -> Array:
    """Return the picture in a file as an input of a network: (1, ...) of integers.

    What the network wants is in ``meta["picture"]``: its ``shape``, (height, width, channels), and
    the value of ``white``, where that of black is 0. Without it, these follow from ``node``: of
    (height, width, 1 or 3), or of as many values as a square picture has pixels, with the range of
    its type. Bits are +1 where a pixel is at least half as bright as white.

    A picture is resized to that shape, whatever its own proportions; where it shrinks, a pixel is
    the mean of those in its place. It is turned as its EXIF data says; what is transparent becomes
    black. Raises DataError for a file that cannot be read, and for a network that does not tell
    enough.
    """
    height, width, channels = _shape(node, meta)
    white = _white(node, meta)
    try:
        with Image.open(path) as found:
            if found.mode not in READ:
                raise DataError(f"'{path}' must be a picture of 8 bits a channel, "
                                f"not of mode {found.mode}")
            picture = ImageOps.exif_transpose(found)
            if picture.has_transparency_data:
                black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
                picture = Image.alpha_composite(black, picture.convert("RGBA"))
            shrinks = width <= picture.width and height <= picture.height
            picture = picture.convert(MODES[channels]).resize(
                (width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    except UnidentifiedImageError as error:
        raise DataError(f"'{path}' must be a picture that Pillow can read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{path}' must be a picture that is whole: {error}") from error
    bright = np.asarray(picture, np.int64)
    if isinstance(node.type, Binary):
        values = np.where(2 * bright > WHITE, 1, -1)
    else:
        values = (bright * white + WHITE // 2) // WHITE
    return values.reshape(1, *node.shape)


def _shape(node: Input, meta: Mapping[str, Any]) -> tuple[int, int, int]:
    told = meta.get("picture")
    shape = tuple(told["shape"]) if told else node.shape
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        shape = (side, side, 1)
    if len(shape) != 3 or math.prod(shape) != math.prod(node.shape) or shape[2] not in MODES:
        raise DataError(f"Input {node.name!r} must be a picture of 1 or 3 channels, or as long as "
                        f"a square one, not {node.shape}; give it values, such as an .npy file")
    height, width, channels = shape
    return height, width, channels


def _white(node: Input, meta: Mapping[str, Any]) -> int:
    if told := meta.get("picture"):
        return int(told["white"])
    match node.type:
        case Binary():
            return 1
        case Fixed(bits=bits, signed=False):
            return (1 << bits) - 1
    raise DataError(f"Input {node.name!r} must have pixels of a known range, such as those of "
                    f"--input-type uint8; its model does not tell it")

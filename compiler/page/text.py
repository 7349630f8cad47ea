"""Text on the page: numbers as people read them, and names cut to the room that there is."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


__all__ = ["EM", "bytes_of", "cut", "kind", "numbered", "shape", "share", "width_of"]

EM = 0.61        # width of a letter of a monospaced font, in sizes of the font
WIDE = "W", "F"  # characters of East Asia, and most pictures, take the room of two
MORE = "…"
KIB = 1024


def width_of(text: str) -> int:
    """Return the width of a text in letters."""
    return sum(2 if unicodedata.east_asian_width(letter) in WIDE else 1 for letter in text)


def cut(text: str, letters: float) -> str:
    """Return a text, or as much of its beginning as fits, with a mark at the end."""
    if width_of(text) <= letters:
        return text
    kept = text
    while kept and width_of(kept) + 1 > letters:
        kept = kept[:-1]
    return kept.rstrip() + MORE if kept else ""


def share(part: float, whole: float) -> str:
    """Return a part in per cent; what is not nothing is not told as 0."""
    if not whole:
        return ""
    value = 100 * part / whole
    return "< 0.1 %" if 0 < value < 0.1 else f"{value:.1f} %"


def bytes_of(count: float) -> str:
    """Return a size, in KiB from one of them on."""
    return f"{count / KIB:,.1f} KiB" if count >= KIB else f"{count:,.0f} bytes"


def shape(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes)) or "one value"


def kind(words: str) -> str:
    """Return the kind of a step, which may be broken behind commas alone."""
    return ", ".join(part.replace(" x ", " × ").replace(" ", "\xa0") for part in words.split(", "))


def numbered(numbers: Sequence[int]) -> str:
    """Return numbers in rising order with runs joined, such as 1-3, 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in parts)

"""Colours that all can tell: contrasts of WCAG 2.2, computed from what the style says."""

import re
from importlib import resources

import pytest


STYLE = resources.files("compiler.page").joinpath("templates/style.css").read_text()
LIGHT, DARK = (dict(re.findall(r"--([\w]+): (#[0-9a-f]{6});", block))
               for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))
CAUSES = "work", "weights", "activations", "drain", "program", "host"
HELD = "tensor", "resident", "stored"


def luminance(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_known_contrasts():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrasts(theme):
    assert set(theme) == set(LIGHT)
    for paper in "paper", "card":
        for text in "ink", "soft":
            assert contrast(theme[text], theme[paper]) >= 4.5
    for name in (*CAUSES, *HELD, "array", "fixed", "other"):
        assert contrast(theme[name], theme["card"]) >= 3
    for name in HELD:
        assert contrast(theme["on"], theme[name]) >= 4.5


def test_every_colour_is_known():
    assert set(re.findall(r"var\(--(\w+)\)", STYLE)) == set(LIGHT)
    # Nothing but the themes, and borders in print, has a colour of its own.
    rest = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert set(re.findall(r"(?<!url\()#[0-9a-f]{3,6}\b", rest)) == {"#d9dde3"}

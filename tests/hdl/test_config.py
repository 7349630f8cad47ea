from dataclasses import asdict, fields, replace

import pytest

from hdl.config import Config
from hdl.isa import Layer


MEANINGLESS = {"clock_hz", "baud", "flash_lines", "flash_full_rate", "flash_depth",
               "flash_continuous"}
OTHER = {"p": 1, "pe": 16, "simd": 64, "fixed_pe": 8, "memory_depth": 8192,
         "weight_depth": 512, "level_depth": 512, "sign_depth": 64, "sum_width": 32,
         "binary_width": 12, "fixed_width": 26, "flash_depth": 512, "flash_full_rate": False,
         "flash_lines": 2, "flash_continuous": False, "image_offset": 0, "clock_hz": 1, "baud": 1}


def test_widths():
    config = Config(p=2, pe=16, simd=64, fixed_pe=4)
    assert (config.lanes, config.fixed_simd, config.memory_width, config.weight_width) \
        == (2048, 8, 128, 1024)


@pytest.mark.parametrize("simd", [8, 16, 32, 64])
@pytest.mark.parametrize("binary_width", range(8, 14))
@pytest.mark.parametrize("fixed_width", [20, 22, 24])
def test_segment_is_the_longest(simd, binary_width, fixed_width):
    """No sum of a segment overflows, and some sum of a word more would, or cannot be told."""
    config = Config(simd=simd, p=4, binary_width=binary_width, fixed_width=fixed_width)

    def fits(words):
        return (words * simd // 2 < 1 << binary_width - 1
                and words * config.fixed_simd * 128 * 128 < 1 << fixed_width - 1)

    assert fits(config.segment)
    assert config.segment + 1 == 1 << Layer["segment"].width or not fits(config.segment + 1)


def test_other_has_every_field():
    assert set(OTHER) == {field.name for field in fields(Config)}


@pytest.mark.parametrize("name", OTHER)
def test_hash(name):
    """It tells configurations apart, but for what does not change the meaning of an image."""
    config = Config(flash_continuous=name != "flash_lines")
    other = replace(config, **{name: OTHER[name]})
    assert asdict(other) != asdict(config)
    assert (other.hash == config.hash) == (name in MEANINGLESS)
    assert 0 <= other.hash < 1 << 32


@pytest.mark.parametrize(("lines", "full_rate", "cycles"), [
    (4, True, 1), (4, False, 2), (2, True, 2), (2, False, 4)])
def test_octet_cycles(lines, full_rate, cycles):
    assert Config(flash_lines=lines, flash_full_rate=full_rate,
                  flash_continuous=False).octet_cycles == cycles


def test_equal_hash():
    assert Config(pe=8).hash == Config().hash


@pytest.mark.parametrize("name", [field.name for field in fields(Config) if field.type is int])
@pytest.mark.parametrize("value", [0, -1])
def test_not_positive(name, value):
    if value == 0 and name in ("image_offset", "sign_depth"):
        assert getattr(Config(**{name: 0}), name) == 0
        return
    with pytest.raises(ValueError, match=rf"^'{name}' must be positive, not {value}$"):
        Config(**{name: value})


@pytest.mark.parametrize(("numbers", "message"), [
    ({"simd": 24}, r"'simd' must be a power of two of at least 8, not 24"),
    ({"simd": 4}, r"'simd' must be a power of two of at least 8, not 4"),
    ({"pe": 4}, r"'pe' must be a power of two between 8 and 64, not 4"),
    ({"pe": 12}, r"'pe' must be a power of two between 8 and 64, not 12"),
    ({"pe": 128}, r"'pe' must be a power of two between 8 and 64, not 128"),
    ({"fixed_pe": 16}, r"'fixed_pe' must be a power of two between 1 and 8, not 16"),
    ({"fixed_pe": 3}, r"'fixed_pe' must be a power of two between 1 and 8, not 3"),
    ({"p": 8}, r"'p' must be a power of two between 1 and 4, not 8"),
    ({"p": 3}, r"'p' must be a power of two between 1 and 4, not 3"),
    ({"simd": 8, "p": 2}, r"'p' words must have at least 32 bits, not 16"),
    ({"pe": 64, "simd": 16}, r"'p' words must have at least 64 bits, not 32"),
    ({"memory_depth": 65537},
     r"'memory_depth' must be at most 65536, and its octets at most 1048576, not 65537"),
    ({"memory_depth": 65536, "simd": 128},
     r"'memory_depth' must be at most 65536, and its octets at most 1048576, not 65536"),
    ({"pe": 16, "fixed_pe": 16, "sign_depth": 8},
     r"'fixed_pe' must be at most 8 with 'sign_depth', not 16"),
    ({"pe": 32, "simd": 16, "sign_depth": 8},
     (r"'pe' must be at most 'simd' with 'sign_depth', as bits of a tile are those of a word, "
      r"not 32")),
    ({"binary_width": 16, "sign_depth": 8},
     (r"'binary_width' must be at most 15, as a level with which a sum is compared has 16 bits, "
      r"not 16")),
    ({"flash_lines": 1}, r"'flash_lines' must be 2 or 4, not 1"),
    ({"flash_lines": 2}, r"'flash_continuous' must be False with two 'flash_lines', not True"),
    ({"sum_width": 33}, r"'sum_width' must be at most 32, not 33"),
    ({"binary_width": 6},
     r"'binary_width' and 'fixed_width' must hold the sum of two words, not 6 and 22"),
    ({"fixed_width": 17},
     r"'binary_width' and 'fixed_width' must hold the sum of two words, not 10 and 17"),
])
def test_impossible(numbers, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Config(**numbers)

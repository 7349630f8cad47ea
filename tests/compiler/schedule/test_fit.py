from dataclasses import replace

import pytest

from boards.catalogue import BOARDS
from compiler.errors import UserError
from compiler.schedule.fit import FAMILIES, fit, power_of_two
from hdl.config import Config


BOARD = BOARDS["icebreaker"]


def test_icebreaker():
    assert fit(BOARD) == Config()
    assert fit(BOARD).lanes >= 512


def test_ulx3s():
    config = fit(BOARDS["ulx3s"])
    assert config.lanes >= 2048
    assert config.memory_depth * config.memory_width // 8 >= 1 << 18


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_takes_no_more_than_there_is(board):
    config, has = fit(board), board.available
    memory = config.memory_width * config.memory_depth
    if has.spram:
        assert memory <= has.spram * 256 * 1024
    else:
        assert memory + config.weight_width * config.weight_depth <= has.ebr * 16 * 1024
    assert config.fixed_pe * config.fixed_simd <= FAMILIES[board.family].products * has.dsp
    for fact in ("clock_hz", "image_offset", "flash_full_rate", "flash_continuous"):
        assert getattr(config, fact) == getattr(board, fact)


def test_facts_of_the_board_arrive():
    board = replace(BOARD, clock_hz=12_000_000, flash_continuous=False,
                    available=replace(BOARD.available, spram=2, dsp=4))
    assert fit(board) == Config(clock_hz=12_000_000, flash_continuous=False, p=1, fixed_pe=2)


@pytest.mark.parametrize(("fact", "value", "sentence"), [
    ("lut4", 4047, "must have 4048 logic cells for an array of 512 lanes, not 4047"),
    ("ebr", 15, "must have 16 block RAMs for an array of 512 lanes, not 15"),
    ("spram", 1, "must have 2 large RAMs for an array of 512 lanes, not 1"),
    ("dsp", 1, "must have 2 multipliers for an array of 512 lanes, not 1"),
])
def test_too_little(fact, value, sentence):
    board = replace(BOARD, available=replace(BOARD.available, **{fact: value}))
    with pytest.raises(UserError, match=f"^Board 'icebreaker' {sentence}$"):
        fit(board)


def test_power_of_two():
    assert [power_of_two(limit) for limit in range(1, 10)] == [1, 2, 2, 4, 4, 4, 4, 8, 8]

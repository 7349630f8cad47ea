from dataclasses import asdict, replace

import pytest

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.errors import UserError
from compiler.estimator.counts import CHIPS, Chip, chip_of, counted
from compiler.estimator.model import Model, Point, estimate, model_of
from compiler.schedule.fit import arrays, candidates, fit, power_of_two, shapes
from hdl.config import Config
from hdl.isa import Walk


BOARD = BOARDS["icebreaker"]


def with_other(**available):
    return replace(BOARD, available=replace(BOARD.available, **available))


def shape(config):
    return config.p, config.pe, config.simd, config.fixed_pe


def test_icebreaker():
    usual = Config(clock_hz=BOARD.clock_hz)
    assert fit(BOARD) == usual
    assert fit(BOARD, 512) == usual
    assert fit(BOARD, 256) == replace(usual, p=1)


def test_ulx3s():
    config = fit(BOARDS["ulx3s"])
    assert config.lanes == 8192
    assert config.signs
    assert config.memory_depth * config.memory_width // 8 >= 1 << 17
    # None was placed to estimate others from.
    assert [shape(found)[:3] for found in arrays(BOARDS["ulx3s"])] == [(4, 8, 64), (4, 32, 64)]


def test_orangecrab():
    config = fit(BOARDS["orangecrab"])
    assert config.lanes == 2048
    assert config.signs
    assert config.memory_depth * config.memory_width // 8 == 1 << 15
    assert arrays(BOARDS["orangecrab"]) == [config]


def test_tangnano9k():
    config = fit(BOARDS["tangnano9k"])
    assert config.lanes == 512
    assert not config.signs
    assert config.memory_depth * config.memory_width // 8 == 1 << 14
    assert arrays(BOARDS["tangnano9k"]) == [config]


def test_chips_of_the_same_kind_hold_the_same():
    icesugar = arrays(BOARDS["icesugar"])
    facts = {fact: getattr(BOARD, fact) for fact in ("baud", "flash_continuous")}
    assert [replace(config, **facts) for config in icesugar] == arrays(BOARD)


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_takes_no_more_than_there_is(board):
    for config in arrays(board):
        needs, has = estimate(config, board), board.available
        used = counted(config, chip_of(board)) if needs is None else asdict(needs.used)
        assert all(count <= getattr(has, name) for name, count in used.items())
        for fact in ("clock_hz", "image_offset", "flash_lines", "flash_full_rate",
                     "flash_continuous"):
            assert getattr(config, fact) == getattr(board, fact)


def test_arrays_are_in_order():
    found = arrays(BOARD)
    lanes = [config.lanes for config in found]
    assert lanes == sorted(lanes)
    assert len({(config.p, config.pe, config.simd) for config in found}) == len(found) >= 4
    assert all(config.segment == Config().segment for config in found)
    assert arrays(BOARD, 256) == [config for config in found if config.lanes == 256]


def test_arrays_take_pictures():
    """Words of a picture have at least the bits that are made together."""
    large = with_other(lut4=99_999)
    assert (4, 16, 8) in {shape(config)[:3] for config in candidates(large)}
    assert all(config.pe <= config.simd for config in arrays(large))


def test_candidates_are_all_that_memories_and_multipliers_allow():
    found = list(candidates(BOARD))
    assert len(set(map(shape, found))) == len(found)
    for config in found:
        counts = counted(config, chip_of(BOARD))
        assert all(count <= getattr(BOARD.available, name) for name, count in counts.items())
    shapes = {shape(config)[:3] for config in found}
    assert {(1, 8, 32), (2, 8, 32), (4, 8, 16), (8, 8, 8)} <= shapes
    assert (1, 16, 32) not in shapes  # 39 block RAMs
    assert (4, 8, 32) not in shapes   # eight large RAMs


def test_facts_of_the_board_arrive():
    board = replace(with_other(spram=2, dsp=4, lut4=4000), clock_hz=12_000_000,
                    flash_continuous=False)
    assert fit(board) == Config(clock_hz=12_000_000, flash_continuous=False, p=1, fixed_pe=2)


def test_some_cells_stay_free_unless_an_array_was_placed(monkeypatch):
    model = model_of("iCE40UP5K")
    config = fit(BOARD, 256)
    cells = estimate(config, BOARD).used.lut4
    assert fit(with_other(lut4=cells), 256) == config
    others = Model([point for point in model.points if shape(point.config) != shape(config)])
    cells = round(others.cells(config))
    monkeypatch.setattr("compiler.estimator.model.model_of", lambda device: others)
    for more, found in (1.02, False), (1.04, True):
        assert (config in arrays(with_other(lut4=int(cells * more)))) == found


@pytest.mark.parametrize(("fact", "value", "wanted"), [
    ("lut4", 1000, r"\d{4} logic cells"),
    ("ebr", 9, "25 block RAMs"),
    ("spram", 1, "2 large RAMs"),
    ("dsp", 0, r"\d multipliers"),
])
def test_too_little(fact, value, wanted):
    with pytest.raises(UserError, match=f"^Board 'icebreaker' must have {wanted} for an array of "
                                        f"256 lanes, not {value}$"):
        fit(with_other(**{fact: value}))


def test_clock_may_be_a_little_faster_than_one_seed():
    rates = {shape(config): estimate(config, BOARD).fmax_hz for config in arrays(BOARD)
             if config.lanes == 256}
    slowest = min(rates, key=rates.get)
    for more, found in (1.04, True), (1.06, False):
        board = replace(BOARD, clock_hz=int(more * rates[slowest]))
        assert (slowest in map(shape, arrays(board))) == found


def test_unknown_chip():
    with pytest.raises(UserError, match=r"^Chip of board 'icebreaker' must be one of iCE40UP5K, "
                                        r".*, as .*/counts.py knows them, not 'other'$"):
        fit(replace(BOARD, chip="other"))


def test_too_fast():
    with pytest.raises(UserError, match=r"^Board 'icebreaker' must have a clock of at most "
                                        r"\d\d\.\d MHz for an array of 256 lanes, not 100 MHz$"):
        fit(replace(with_other(spram=2), clock_hz=100_000_000))


@pytest.fixture
def other(monkeypatch):
    """A board whose chip has no large RAMs, and multipliers for one product."""
    chip = Chip(block=((32, 512), (16, 1024)), large=None, products=1, confirmed=())
    monkeypatch.setitem(CHIPS, "other", chip)
    return replace(BOARD, name="big", chip="other-1", available=Resources(
        lut4=50_000, ebr=150, spram=0, dsp=64))


def test_memory_is_made_of_block_rams_that_are_left(other):
    found = {shape(config): config for config in candidates(other)}
    assert {4, 8, 16} == {config.fixed_pe for config in found.values()
                       if (config.p, config.pe, config.simd) == (4, 16, 32)}
    config = found[4, 16, 32, 16]
    # 22 blocks are queues; the others have 16,384 addresses of 128 bits, and no more.
    assert config.memory_depth == 16384
    assert counted(config, CHIPS["other"]) == {"ebr": 22 + 4 * 32, "spram": 0, "dsp": 64}


def test_chip_of_which_little_is_known(other, monkeypatch):
    model = Model([])
    monkeypatch.setattr("compiler.estimator.model.model_of", lambda device: model)
    with pytest.raises(UserError, match="^Board 'big' must have arrays to estimate from, placed by "
                                        "bench.estimate, for an array of 256 lanes, not too few$"):
        fit(other)
    config = next(found for found in candidates(other) if found.lanes == 1024)
    model.points = Point(config, Resources(lut4=9999, ebr=1, spram=0, dsp=1), 30e6),
    assert arrays(other) == [config]


@pytest.mark.parametrize("lanes", [-512, 0, 1, 384, 4096])
def test_lanes_that_no_array_has(lanes):
    with pytest.raises(UserError, match=f"^Lanes of an array on board 'icebreaker' must be one of "
                                        f"256, 512, not {lanes}$"):
        fit(BOARD, lanes)


def test_power_of_two():
    assert [power_of_two(limit) for limit in range(-1, 10)] == [0, 0, 1, 2, 2, 4, 4, 4, 4, 8, 8]


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_a_walk_goes_around_the_whole_memory(board):
    """A window that begins before the first word goes on with the first."""
    for config in shapes(board):
        assert (1 << Walk["source"].width) % (config.p * config.memory_depth) == 0
        assert config.pe <= config.simd or not config.signs

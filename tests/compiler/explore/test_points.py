import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.estimator.model import estimate
from compiler.explore.points import Point, best_of, front, points_of, promising
from compiler.pnr_report import Timing
from compiler.schedule.fit import arrays
from hdl.config import Config


BOARD = BOARDS["icebreaker"]
CLOCK = 24_000_000


def point(lut4, cycles, **facts):
    return Point(config=Config(), lack=None, used=Resources(lut4=lut4, ebr=1, spram=1, dsp=1),
                 fmax_hz=3e7, clock_hz=CLOCK, cycles=cycles, **facts)


groups = st.lists(st.builds(point, st.integers(1, 9), st.integers(1, 9)), max_size=12)


def better(one, other):
    """Whether one point dominates another."""
    return (one.used.lut4 <= other.used.lut4 and one.cycles <= other.cycles
            and (one.used.lut4, one.cycles) != (other.used.lut4, other.cycles))


@given(groups)
def test_front_is_what_nothing_dominates(points):
    found = front(points)
    places = {(one.used.lut4, one.cycles) for one in found}
    assert places == {(one.used.lut4, one.cycles) for one in points
                      if not any(better(other, one) for other in points)}
    assert len(places) == len(found)
    assert found == sorted(found, key=lambda one: one.used.lut4)


@given(groups, st.integers(0, 14))
def test_promising_are_no_worse_than_the_others(points, count):
    points = [replace(one, config=Config(baud=at + 1)) for at, one in enumerate(points)]
    chosen = promising(points, count)
    assert len({one.config for one in chosen}) == len(chosen) == min(count, len(points))
    assert not any(better(other, one) for one in chosen for other in points
                   if other not in chosen)


@given(groups)
def test_promising_are_the_front(points):
    assert promising(points) == front(points)


def test_what_does_not_run_is_on_no_front():
    good = point(5, 5)
    others = [replace(point(1, 1), lack="9 logic cells, not 8"), point(1, 1, failure="no"),
              point(1, None, refusal="too large")]
    assert front([*others, good]) == promising([*others, good], 9) == [good]


def test_what_is_unknown_is_placed_first():
    unknown = replace(point(1, 7), used=None, fmax_hz=None)
    assert promising([point(2, 2), unknown], 1) == [unknown]
    assert promising([point(2, 2), unknown]) == [unknown]
    assert front([unknown]) == []


def test_best_is_the_fastest_of_the_placed():
    points = [point(1, 2, placed=True), point(4, 1, placed=True), point(3, 1, placed=True),
              point(2, 1)]
    assert best_of(points) is points[2]


@pytest.mark.parametrize(("fmax", "fast", "crossing", "clock"), [
    (30e6, 60e6, 1.0, 24e6), (20e6, 60e6, 1.0, 20e6), (30e6, 36e6, 1.0, 18e6),
    (30e6, 60e6, 1e9 / 48e6 * 2, 12e6)])
def test_placed_runs_as_fast_as_was_confirmed(fmax, fast, crossing, clock):
    used = Resources(lut4=7, ebr=2, spram=3, dsp=4)
    placed = point(5, 100).placed_as(used, Timing(CLOCK, fmax, fast, crossing))
    assert (placed.used, placed.fmax_hz, placed.placed) == (used, fmax, True)
    assert placed.clock_hz == pytest.approx(clock)
    assert placed.fps == pytest.approx(clock / 100)


def test_points_of_a_board():
    points = points_of(BOARD)
    assert len({one.name for one in points}) == len(points) >= 24
    held = [one for one in points if not one.lack]
    assert set(arrays(BOARD)) <= {one.config for one in held}
    for full, half in zip(points[::2], points[1::2], strict=True):
        assert full.config == replace(half.config, flash_full_rate=True)
        assert not half.config.flash_full_rate
    for one in points:
        needs = estimate(one.config, BOARD)
        assert (one.used, one.fmax_hz) == (needs.used, needs.fmax_hz)
        assert one.clock_hz == min(BOARD.clock_hz, needs.fmax_hz)
        assert one.lack is None or re.search("logic cells, not 5280$|clock of .*, not 27.375 MHz$",
                                             one.lack)
    assert points[0].facts()["resources"]["lut4"] == points[0].used.lut4


def test_flash_that_has_one_rate():
    points = points_of(BOARDS["ulx3s"])
    assert points
    assert not any(one.config.flash_full_rate for one in points)

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from boards.board import Resources
from boards.catalogue import BOARDS
from compiler.estimator import model as module
from compiler.estimator.counts import CHIPS, counted
from compiler.estimator.model import (
    CELLS,
    PERIOD,
    Estimate,
    Linear,
    Model,
    Point,
    estimate,
    from_json,
    model_of,
    to_json,
)
from hdl.config import Config


BOARD = BOARDS["icebreaker"]
CONFIGS = [Config(p=p, pe=pe, simd=simd, fixed_pe=fixed_pe, binary_width=width)
           for p, pe, simd, fixed_pe, width in product((2, 4), (8, 16), (16, 32), (4, 8), (9, 10))]


def points_of(chance, terms, scale):
    """What a chip would take whose cells are as ``chance`` says."""
    costs = chance.uniform(1, scale, len(terms))
    rows = np.array([[term(config) for term in terms.values()] for config in CONFIGS])
    return costs, tuple(zip(CONFIGS, (rows @ costs).tolist(), strict=True))


@pytest.mark.parametrize("terms", [CELLS, PERIOD], ids=["cells", "period"])
def test_finds_what_terms_cost(terms):
    costs, points = points_of(np.random.default_rng(0), terms, 10)
    made = Linear(terms, points)
    assert list(made.coefficients.values()) == pytest.approx(costs.tolist())
    assert made.errors == pytest.approx([0] * len(points), abs=1e-9)
    for config, value in points:
        assert made(config) == pytest.approx(value)


def test_error_is_that_of_a_point_left_out():
    _, points = points_of(np.random.default_rng(1), CELLS, 10)
    config, value = points[3]
    made = Linear(CELLS, (*points[:3], (config, 2 * value), *points[4:]))
    assert made.errors[3] == pytest.approx(-0.5)
    assert made.residuals[3] == pytest.approx(made(config) / (2 * value) - 1) != made.errors[3]
    assert max(map(abs, made.errors[:3])) > 0.001
    assert made(config) > 1.01 * value


def test_icebreaker_is_foretold():
    """As well as we promise, and better, from enough arrays, each left out once, too."""
    model = model_of("iCE40UP5K")
    shapes = {(at.config.p, at.config.pe, at.config.simd) for at in model.points}
    assert len(model.points) >= 8
    assert len(shapes) >= 5
    for made in model.cells, model.period:
        assert max(map(abs, made.residuals)) <= max(map(abs, made.errors)) <= 0.1
    assert all(cost > 0 for cost in model.cells.coefficients.values())


@pytest.mark.parametrize("device", CHIPS)
def test_counts_are_those_that_were_placed(device):
    for point in model_of(device).points:
        counts = counted(point.config, CHIPS[device])
        assert {name: getattr(point.used, name) for name in counts} == counts


def test_too_few_to_learn_from(monkeypatch):
    points = model_of("iCE40UP5K").points[:len(CELLS)]
    monkeypatch.setattr(module, "model_of", lambda device: Model(points))
    assert estimate(points[0].config, BOARD).used == points[0].used
    assert estimate(Config(level_depth=128), BOARD) is None


def test_what_was_placed_is_known(monkeypatch):
    placed = Point(Config(), Resources(lut4=4321, ebr=25, spram=4, dsp=8), 25e6)
    others = [replace(point, config=replace(point.config, weight_depth=512))
              for point in model_of("iCE40UP5K").points]
    model = Model([placed, *others])
    monkeypatch.setattr(module, "model_of", lambda device: model)
    known = estimate(Config(baud=9600), BOARD)
    assert known == Estimate(placed.used, placed.fmax_hz, placed=True)
    foretold = estimate(Config(level_depth=128), BOARD)
    assert not foretold.placed
    assert foretold.used == Resources(lut4=round(model.cells(Config())), ebr=25, spram=4, dsp=8)
    assert foretold.fmax_hz == pytest.approx(1e9 / model.period(Config()))


def test_json_holds_a_point():
    point = Point(Config(p=4, weight_depth=512), Resources(lut4=1, ebr=2, spram=3, dsp=4), 25.25e6)
    assert from_json(json.loads(json.dumps(to_json(point)))) == point

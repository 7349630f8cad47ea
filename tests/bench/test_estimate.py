import re

import pytest

from bench import estimate as bench
from boards.catalogue import BOARDS
from compiler.bitstream import Placed
from compiler.errors import ToolError
from compiler.estimator.counts import CHIPS, chip_of
from compiler.estimator.model import Model, model_of, to_json
from compiler.pnr_report import Timing
from compiler.schedule.fit import arrays


BOARD = BOARDS["icebreaker"]


@pytest.mark.parametrize("device", CHIPS)
def test_each_chip_has_a_place_in_the_documents(device):
    text = bench.PAGE.read_text()
    begin, end = (text.index(f"<!-- {word} estimate {device} -->\n") for word in ("begin", "end"))
    assert begin < end


def placed_as(points, tmp_path):
    """Return a stand-in for place and route that knows ``points``, and for which the chip is too
    small for all else."""
    known = {bench.name_of(point.config): point for point in points}

    def build(board, config, folder, progress, *, seeds, slow):
        assert (board, seeds, slow) == (BOARD, (1,), True)
        if bench.name_of(config) not in known:
            raise ToolError("nextpnr failed with status 1")
        point = known[bench.name_of(config)]
        return Placed(tmp_path, tmp_path, point.used,
                      Timing(config.clock_hz, point.fmax_hz, 99e6, 1.0), 1, cached=True)
    return build


@pytest.fixture
def points():
    return model_of("iCE40UP5K").points


@pytest.fixture
def page(tmp_path, monkeypatch, points):
    """A copy of what the command writes, where it may write."""
    made = tmp_path / "architecture.md"
    made.write_text(bench.PAGE.read_text())
    (tmp_path / "compiler" / "estimator").mkdir(parents=True)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "PAGE", made)
    monkeypatch.setattr(bench, "LOGS", tmp_path / "log")
    return made


def test_compares_every_array_that_could_be_built():
    found = bench.shapes(BOARD)
    assert set(arrays(BOARD)) <= set(found)
    assert len(found) == len(set(found)) >= 8
    assert max(config.lanes for config in found) == 512


def test_documents_have_what_was_measured(page, tmp_path, monkeypatch, points, capsys):
    monkeypatch.setattr(bench, "build_bitstream", placed_as(points, tmp_path))
    bench.main(["--write"])
    assert page.read_text() == (bench.Path(__file__).parents[2] / "docs" / "architecture.md"
                                ).read_text()
    kept = tmp_path / "compiler" / "estimator" / "iCE40UP5K.json"
    assert kept.read_text() == (bench.Path(__file__).parents[2] / "compiler" / "estimator"
                                / "iCE40UP5K.json").read_text()
    out = capsys.readouterr().out
    assert bench.tables(Model(points), chip_of(BOARD)) in out
    missing = len(bench.shapes(BOARD)) - len(points)
    assert out.count(": nextpnr failed with status 1\n") == missing


def test_nothing_that_could_be_placed(page, tmp_path, monkeypatch, capsys):
    before = page.read_text()
    monkeypatch.setattr(bench, "build_bitstream", placed_as([], tmp_path))
    with pytest.raises(SystemExit, match="1"):
        bench.main(["--write"])
    assert capsys.readouterr().err == "No array could be placed\n"
    assert page.read_text() == before


def test_writes_nothing_unless_told(page, tmp_path, monkeypatch, points):
    before = page.read_text()
    monkeypatch.setattr(bench, "build_bitstream", placed_as(points[2:], tmp_path))
    bench.main([])
    assert page.read_text() == before
    assert not list((tmp_path / "compiler" / "estimator").iterdir())


def test_table_tells_errors(points):
    lines = bench.tables(Model(points), CHIPS["iCE40UP5K"]).splitlines()
    for point, line in zip(points, lines[2:], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        placed, foretold = (int(cell.replace(",", "")) for cell in cells[1:3])
        assert cells[0] == bench.name_of(point.config)
        assert placed == point.used.lut4
        assert float(cells[3].split()[0]) == pytest.approx(100 * (foretold / placed - 1), abs=0.1)
        assert all(re.fullmatch(r"[+-]\d+\.\d %", cells[at]) for at in (3, 4, 11, 12))


def test_largest_errors_are_told(points):
    model = Model(points)
    told = re.search(r"cells is ([\d.]+) %, and ([\d.]+) % left out;\nof a period, ([\d.]+) % and "
                     r"([\d.]+) %\.$", bench.summary(model))
    worst = [100 * max(map(abs, errors)) for made in (model.cells, model.period)
             for errors in (made.residuals, made.errors)]
    assert [float(value) for value in told.groups()] == pytest.approx(worst, abs=0.06)


@pytest.mark.slow
def test_array_that_is_placed(page):
    """Takes some minutes."""
    config = arrays(BOARD)[0]
    point = bench.measure(BOARD, config)
    known = model_of("iCE40UP5K")
    assert known.cells(config) == pytest.approx(point.used.lut4, rel=0.1)
    assert to_json(point)["ebr"] == 25

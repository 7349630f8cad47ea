import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from compiler.accuracy import Accuracy
from compiler.errors import UserError
from compiler.page import PAGE, REPORT, render, save, write_page
from compiler.workload import open_workload
from tests.compiler.page.reports import CAUSES, deep, joined, odd_reports, report_of, streamed


VOID = {"meta", "link", "br"}
SECTIONS = ["cycles", "roofline", "memory", "network", "chip", "clocks", "weights", "c"]


class Page(HTMLParser):
    """What a page holds, by tags that are opened and closed in pairs."""

    def __init__(self, html):
        super().__init__()
        self.tags = []     # (name, attributes)
        self.rows = []     # texts of the cells of each row of a table
        self.texts = []
        self.lost = []     # what is outside of all tags
        self._open = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            return
        self.texts.append(data)
        if {"td", "th"} & set(self._open) and "svg" not in self._open:
            self.rows[-1][-1] += data
        elif not self._open and data.strip():
            self.lost.append(data)

    def of(self, name, **wanted):
        return [attributes for tag, attributes in self.tags if tag == name and all(
            attributes.get(key.rstrip("_")) == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def report():
    return report_of(open_workload(None).graph, Accuracy("digits.npz", 445, 445, 435))


@pytest.fixture(scope="module")
def page(report):
    return Page(render(report))


def clean(cells):
    return [" ".join(cell.split()) for cell in cells]


def test_outline(page):
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    words = " ".join(" ".join(page.texts).split())
    for part in ("digits on 1BitSquared iCEBreaker", "97.75 %", "435 of 445, digits.npz",
                 "Measured: placed and routed, with seed 1.", "512 lanes"):
        assert part in words
    assert page.lost == []


def test_table_has_every_count(page, report):
    rows = [clean(row) for row in page.rows]
    for number, layer in enumerate(report["cycles"]["layers"], 1):
        row = next(row for row in rows if row[:2] == [str(number), layer["name"]])
        assert row[4] == f"{layer['total']:,}"
        assert row[-len(CAUSES):] == [f"{layer[cause]:,}" for cause in CAUSES]
    total = next(row for row in rows if row[1:2] == ["frame"])
    assert total[4] == f"{report['cycles']['frame']:,}"
    assert ["logic cells", "4,321", "5,280", "81.8 %"] in rows
    assert ["core", "24.000 MHz", "25.50 MHz", "+6.2 %"] in rows
    for tensor in report["memory"]["tensors"]:
        assert any(row[:3] == [tensor["name"], f"{tensor['address']:,}", f"{tensor['bytes']:,}"]
                   for row in rows)


def test_bars_are_as_long_as_counts(page, report):
    """The frame's bar is whole; the longest layer's is, and others by their cycles."""
    html = render(report)
    bars = [[float(width) for width in re.findall(r'<rect class="fill-\w+" x="[\d.]+" y="0" '
                                                  r'width="([\d.]+)"', bar)]
            for bar in re.findall(r'<svg class="bar.*?</svg>', html, re.DOTALL)]
    totals = [layer["total"] for layer in report["cycles"]["layers"]]
    assert sum(bars[0]) == pytest.approx(100, abs=0.01)
    for bar, total in zip(bars[1:], totals, strict=False):
        assert sum(bar) == pytest.approx(100 * total / max(totals), abs=0.01)


def test_stands_alone(page):
    """Nothing is loaded, and nothing runs."""
    assert page.of("script") == []
    links = [value for _, attributes in page.tags for key, value in attributes.items()
             if key in ("src", "href", "xlink:href", "data", "action")]
    assert links == ["data:,"]
    policy, = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';")
    html = render(deep(4))
    assert "@import" not in html
    assert re.findall(r"url\(([^)]*)\)", html) == [] or all(
        target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_drawing_is_there_for_both_screens(page):
    for size in "narrow", "wide":
        assert len(page.of("svg", class_=f"network {size}")) == 1
        assert len(page.of("svg", class_=f"plot {size}")) == 1
        assert len(page.of("div", class_=f"maps {size}")) == 1
    assert all("aria-label" in svg or svg.get("aria-hidden") == "true" for svg in page.of("svg"))


def test_depends_on_the_json_alone(report):
    assert render(json.loads(json.dumps(report))) == render(report)


def test_what_was_not_measured_is_left_out(report):
    html = render(report | {"accuracy": None})
    assert "Accuracy" not in html
    assert "None" not in html


@pytest.mark.parametrize("make", [deep, joined, streamed])
def test_other_networks(make):
    report = make()
    page = Page(render(report))
    names = [layer["name"] for layer in report["layers"]]
    assert [row[1].strip() for row in page.rows if row[0].isdigit()] == names


@settings(max_examples=30)
@given(odd_reports())
def test_odd_reports(report):
    page = Page(render(report))
    assert page.of("script") == []
    assert [attributes["id"] for attributes in page.of("section")] == SECTIONS
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    numbers = re.findall(r'\b(?:x|y|width|height|cx|cy|r)="([^"]*)"', render(report))
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", number) for number in numbers
               if number not in ("device-width",))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "</style><b>", "a&b", "{{ 1 }}",
                                  "\ud800", "\0", "'\"", "層" * 40])
def test_names_are_text(report, tmp_path, name):
    named = json.loads(json.dumps(report).replace('"fc0"', json.dumps(name)))
    named["model"] = name
    (tmp_path / REPORT).write_text(json.dumps(named))
    html = write_page(tmp_path).read_text(encoding="utf-8")
    page = Page(html)
    assert page.of("script") == page.of("b", class_="x") == []
    shown = name.encode("utf-8", "replace").decode()
    assert any(shown.strip() in text for text in page.texts)


# The file

def test_page_of_a_folder(report, tmp_path):
    (tmp_path / REPORT).write_text(json.dumps(report))
    assert write_page(tmp_path) == tmp_path / PAGE
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == render(report)
    assert sorted(path.name for path in tmp_path.iterdir()) == [PAGE, REPORT]


@pytest.mark.parametrize(("text", "words"), [
    (None, "must be the folder of a build, with its report.json, but: No such file"),
    ("", "must be a report as `build` writes it, whole, not one with JSONDecodeError"),
    ("[]", "must be a report as `build` writes it, whole, not one with TypeError"),
    ("{}", "must be a report as `build` writes it, whole, not one with KeyError: 'form'"),
    ('{"form": 1}', "must be a report of form 3, as this version writes it, not 1; build again"),
    ('{"form": 3}', "must be a report as `build` writes it, whole, not one with KeyError"),
    ("[" * 100_000, "must be a report as `build` writes it, whole, not one with RecursionError"),
])
def test_bad_report(tmp_path, text, words):
    (tmp_path / PAGE).write_text("mine")
    if text is not None:
        (tmp_path / REPORT).write_text(text)
    with pytest.raises(UserError, match=re.escape(words)):
        write_page(tmp_path)
    assert (tmp_path / PAGE).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [PAGE, *([REPORT] if text is not None else [])])


def test_every_missing_part_is_one_sentence(report, tmp_path):
    for key in ("form", "model", "cycles", "network", "layers", "memory", "peaks", "placed"):
        rest = {name: value for name, value in report.items() if name != key}
        (tmp_path / REPORT).write_text(json.dumps(rest))
        with pytest.raises(UserError, match=r"^'.*report.json' must be .*; build again$"):
            write_page(tmp_path)
        assert not (tmp_path / PAGE).exists()


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        save({"form": 3}, tmp_path / PAGE)
    assert list(tmp_path.iterdir()) == []

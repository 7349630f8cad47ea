"""The page as people see it; skipped where there is no Chromium."""

import os
from pathlib import Path

import pytest

from compiler.accuracy import Accuracy
from compiler.frontends import load
from compiler.page import PAGE, save
from compiler.passes import to_integer
from compiler.workload import open_workload
from tests.compiler.page.browser import browser, opened
from tests.compiler.page.reports import deep, joined, report_of, streamed


DATA = Path(os.environ.get("XNORLOOM_DATA", Path(__file__).parents[4] / "shared" / "data"))
CNV = DATA / "bnn-pynq" / "cifar10" / "cnvW1A1"
WIDTHS = 1280, 400
LEAST = 10  # px of a letter

# Of every drawing that is seen: the size of its letters, and the texts that meet each other or
# leave it.
LOOK = """() => [...document.querySelectorAll('svg[viewBox]')].filter(
  svg => !svg.classList.contains('bar') && svg.getClientRects().length).map(svg => {
    const frame = svg.getBoundingClientRect();
    const scale = frame.width / svg.viewBox.baseVal.width;
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim() &&
      !text.hasAttribute('transform'));
    const boxes = texts.map(text => text.getBoundingClientRect());
    const wrong = [];
    boxes.forEach((a, i) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 ||
          a.bottom > frame.bottom + 1) wrong.push('outside: ' + texts[i].textContent);
      boxes.slice(i + 1).forEach((b, k) => {
        if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 4 < b.bottom &&
            b.top + 4 < a.bottom)
          wrong.push(texts[i].textContent + ' on ' + texts[i + 1 + k].textContent);
      });
    });
    return {name: svg.getAttribute('class'), texts: texts.length, wrong,
            size: scale * parseFloat(getComputedStyle(texts[0]).fontSize)};
  })"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def running():
    with browser() as found:
        if found is None:
            pytest.skip("no Chromium with Playwright")
        yield found


def digits():
    return report_of(open_workload(None).graph, Accuracy("digits.npz", 445, 445, 435))


def cnv():
    if not CNV.is_dir():
        pytest.skip("no XNORLOOM_DATA")
    return report_of(to_integer(load(CNV)))


def shouting():
    """Names as long and as wide as they come."""
    report = joined()
    for index, (layer, row) in enumerate(zip(report["layers"], report["cycles"]["layers"],
                                             strict=True)):
        name = layer["name"]
        wide = f"<{'W' * 60}&{index}>"
        layer["name"] = layer["step"] = row["name"] = wide
        for step in report["network"]["steps"]:
            step["name"] = wide if step["name"] == name else step["name"]
    report["model"] = "M" * 90
    return report


@pytest.fixture(scope="module", params=[digits, cnv, deep, joined, streamed, shouting],
                ids=lambda make: make.__name__)
def page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / PAGE
    save(request.param(), path)
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks_right(running, page, width, scheme):
    complaints = []
    with opened(running, page, width, scheme=scheme, complaints=complaints) as shown:
        assert shown.evaluate(OVERFLOW) == 0
        drawings = shown.evaluate(LOOK)
    assert complaints == []
    assert {drawing["name"].split()[0] for drawing in drawings} == {"network", "plot"}
    assert {drawing["name"].split()[-1] for drawing in drawings if " " in drawing["name"].strip()
            } == {"narrow" if width <= 940 else "wide"}
    for drawing in drawings:
        assert drawing["wrong"] == []
        assert drawing["size"] >= LEAST


def test_no_width_overflows(running, page):
    with opened(running, page, 320) as shown:
        for width in 320, 1000, 1001, 1024, 1920:
            shown.set_viewport_size({"width": width, "height": 900})
            assert shown.evaluate(OVERFLOW) == 0
            assert all(drawing["wrong"] == [] for drawing in shown.evaluate(LOOK))


def test_prints(running, page):
    with opened(running, page, 718) as shown:
        shown.emulate_media(media="print")
        assert shown.evaluate(OVERFLOW) == 0
        assert all("narrow" not in drawing["name"] for drawing in shown.evaluate(LOOK))
        assert shown.pdf(format="A4").startswith(b"%PDF")


def test_harness_hears(running, tmp_path):
    """What the tests above find nothing of is found where it is."""
    path = tmp_path / "bad.html"
    path.write_text('<body style="width: 500px"><script>console.log("hello"); nothing()</script>'
                    '<img src="http://localhost:9/x.png">'
                    '<svg class="plot wide" viewBox="0 0 100 50" width="100">'
                    '<text x="5" y="20">one</text><text x="8" y="21">two</text>'
                    '<text x="90" y="40">three</text></svg>')
    complaints = []
    with opened(running, path, 400, complaints=complaints) as shown:
        assert shown.evaluate(OVERFLOW) > 0
        drawing, = shown.evaluate(LOOK)
    assert drawing["wrong"] == ["one on two", "outside: three"]
    assert any("hello" in line for line in complaints)
    assert any("nothing is not defined" in line for line in complaints)
    assert any("localhost:9" in line for line in complaints)

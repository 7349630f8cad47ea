from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.page.memory import draw_memories, draw_memory
from compiler.page.network import BOX, draw_network, lanes_of
from compiler.page.roofline import Dot, box, box_of, draw_roofline, gathered, letters_of, meet
from compiler.page.text import EM, bytes_of, cut, numbered, share, width_of
from tests.compiler.page.reports import deep, joined, odd_reports


NARROW, WIDE = (352, 330), (1040, 400)
sizes = st.sampled_from([NARROW, WIDE])
plain = odd_reports(text=st.text("abcdefgh_.:0123456789", max_size=30))


# Roofline

@settings(max_examples=30)
@given(plain, sizes)
def test_no_label_meets_another(report, size):
    plot = draw_roofline(report, *size)
    labels = [box(mark.label, mark.label_x, mark.label_y) for mark in plot.marks if mark.label]
    for roof in plot.roofs:
        for letter in letters_of(roof):
            assert not any(meet(letter, other) for other in labels)
    for one, other in combinations(labels, 2):
        assert not meet(one, other)
    for mark in (mark for mark in plot.marks if mark.far):
        for part in range(20):
            x = mark.x + (mark.near_x - mark.x) * part / 20
            y = mark.y + (mark.near_y - mark.y) * part / 20
            assert not any(label[0] + 2 < x < label[2] - 2 and label[1] + 2 < y < label[3] - 2
                           for label in labels)
    for roof in plot.roofs:
        for part in range(201):
            x, y = (begin + (end - begin) * part / 200
                    for begin, end in zip(roof.begin, roof.end, strict=True))
            assert not any(meet((x, y, x, y), label) for label in labels)
    for left, top, right, bottom in labels:
        assert plot.left <= left < right <= plot.right
        assert plot.top <= top < bottom <= plot.bottom


@settings(max_examples=30)
@given(plain, sizes)
def test_layers_are_where_they_belong(report, size):
    """Every layer has one mark, whose place follows from its counts by the ticks of the scales."""
    plot = draw_roofline(report, *size)
    told = [int(part.split()[0]) for mark in plot.marks for part in mark.title.split("; ")]
    assert sorted(told) == list(range(1, len(report["layers"]) + 1))
    for mark in plot.marks:
        assert plot.left <= mark.x <= plot.right
        assert plot.top <= mark.y <= plot.bottom
    flash, = (roof for roof in plot.roofs if roof.kind == "flash")
    assert flash.end == min((roof.begin for roof in plot.roofs if roof.kind != "flash"),
                            key=lambda at: at[1])


def test_known_places():
    """100 products from 10 bytes, in 1000 cycles: 10 a byte, and 0.1 a cycle."""
    report = {
        "layers": [{"name": "a", "unit": "array", "products": 100, "fetched_bytes": 10}],
        "cycles": {"layers": [{"total": 1000}]},
        "peaks": {"array": 100, "fixed": 1, "flash_bytes": 1.0},
    }
    plot = draw_roofline(report, 1040, 400)
    across = {tick.label: tick.at for tick in plot.across}
    up = {tick.label: tick.at for tick in plot.up}
    mark, = plot.marks
    assert (mark.x, mark.y) == (across["10"], up["0.1"])
    roof, flash = plot.roofs
    assert roof.begin == flash.end == (across["100"], up["100"])
    assert flash.begin == (across["10"], up["10"])
    assert mark.label == "1 a"


def test_near_layers_share_a_mark():
    plot = draw_roofline(deep(60), *WIDE)
    assert [mark.label for mark in plot.marks] == ["1", "2-60"]


def test_units_are_not_gathered():
    dots = [Dot((1,), 0, 0, "array"), Dot((2,), 1, 1, "fixed"), Dot((3,), 2, 2, "array")]
    assert [dot.numbers for dot in gathered(dots)] == [(1, 3), (2,)]
    assert all(right - left > 8 for left, _, right, _ in map(box_of, dots))


# Memory

@settings(max_examples=30)
@given(plain, sizes, st.booleans())
def test_patches_lie_in_the_map(report, size, beside):
    for drawn in draw_memories(report, *size, beside=beside):
        for patch in drawn.patches:
            assert drawn.left - 0.01 <= patch.x
            assert patch.x + patch.width <= drawn.right + 0.01
            assert drawn.top - 2 <= patch.y
            assert patch.y + patch.height <= drawn.bottom + 0.01
            assert width_of(patch.label) * 12 * EM <= patch.width
        assert all(one.at < two.at for one, two in pairwise(drawn.names))


def test_known_patches():
    report = {"layers": [{}, {}], "memory": {
        "bytes": 1024,
        "tensors": [{"name": "x", "address": 0, "bytes": 512, "first": -1, "last": 0},
                    {"name": "y", "address": 512, "bytes": 256, "first": 0, "last": 2}],
        "weights": [{"address": 768, "bytes": 256, "first": -1, "last": 2},
                    {"address": 0, "bytes": 128, "first": 1, "last": 1}]}}
    drawn = draw_memory(report, 1024, "address", 472, 468)  # 400 by 400 px inside
    column = 100
    found = {patch.title.split(":")[0] + patch.kind: patch for patch in drawn.patches}
    places = {name: ((patch.x - drawn.left) / column, patch.width / column,
                     (drawn.bottom - patch.y) / 400, patch.height / 400)
              for name, patch in found.items()}
    assert places == {
        "xtensor": pytest.approx((0, 2, 0.5, 0.5)),
        "ytensor": pytest.approx((1, 3, 0.75, 0.25)),
        "weightsresident": pytest.approx((0, 4, 1, 0.25)),
        "weightsstored": pytest.approx((2, 1, 0.125, 0.125)),
    }
    assert found["ytensor"].title == "y: 256 bytes from 512 on, from layer 1 to its end"
    assert [tick.label for tick in drawn.names] == ["host", "1", "2", "host"]
    assert [tick.label for tick in drawn.addresses] == [
        "0 B", "256 B", "512 B", "768 B", "1024 B"]


def test_small_tensors_are_enlarged():
    report = joined()
    whole, enlarged = draw_memories(report, *WIDE, beside=True)
    assert whole.addresses[-1].label == "128 KiB"
    highest = max(of["address"] + of["bytes"] for of in report["memory"]["tensors"])
    assert enlarged.addresses[-1].label == f"{round(highest / 1024, 1):g} KiB"
    large = report | {"memory": report["memory"] | {"bytes": highest}}
    assert len(draw_memories(large, *WIDE, beside=True)) == 1


# Network

@settings(max_examples=30)
@given(plain, sizes)
def test_boxes_and_their_texts(report, size):
    network = report["network"]
    drawing = draw_network(network, size[0])
    assert len(drawing.boxes) == len(network["steps"]) + 1
    for upper, lower in zip(drawing.boxes, drawing.boxes[1:], strict=False):
        assert upper.y + BOX < lower.y
    assert drawing.boxes[-1].y + BOX <= drawing.height
    letters = (drawing.width - drawing.x - 20) / (12 * EM)
    for drawn in drawing.boxes:
        for left, right in zip(drawn.left, drawn.right, strict=True):
            assert width_of(left) + width_of(right) < letters
    made = {"x": 0} | {step["output"]: at for at, step in enumerate(network["steps"], 1)}
    assert len(drawing.wires) == len({(name, at) for at, step in enumerate(network["steps"], 1)
                                      for name in step["inputs"] if name in made})


@given(st.sets(st.tuples(st.integers(0, 30), st.integers(2, 30)).map(
    lambda pair: (pair[0], pair[0] + pair[1])), max_size=40))
def test_ways_in_a_lane_do_not_meet(ways):
    lanes = lanes_of(ways)
    assert set(lanes) == ways
    for one, other in combinations(ways, 2):
        if lanes[one] == lanes[other]:
            assert one[1] <= other[0] or other[1] <= one[0]
    # No lane is wasted: as many as ways pass between two boxes somewhere.
    most = max((sum(begin <= at < end for begin, end in ways) for at in range(60)), default=0)
    assert len(set(lanes.values())) == most


# Text

@given(st.text(max_size=50), st.floats(0, 60))
def test_cut_fits(text, letters):
    found = cut(text, letters)
    assert width_of(found) <= letters or found in ("", "…")
    assert found == text or found == "" or found.endswith("…")
    assert text.startswith(found.removesuffix("…").rstrip())


@pytest.mark.parametrize(("numbers", "text"), [
    ([3], "3"), ([1, 2, 3, 7], "1-3, 7"), ([9, 1, 2], "1-2, 9")])
def test_numbered(numbers, text):
    assert numbered(numbers) == text


@pytest.mark.parametrize(("part", "whole", "text"), [
    (1, 3, "33.3 %"), (0, 5, "0.0 %"), (1, 10_000, "< 0.1 %"), (5, 0, "")])
def test_share(part, whole, text):
    assert share(part, whole) == text


def test_bytes_of():
    assert [bytes_of(size) for size in (0, 1023, 1024, 131072)] == [
        "0 bytes", "1,023 bytes", "1.0 KiB", "128.0 KiB"]

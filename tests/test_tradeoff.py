"""Accuracy against cost: which points stand where, what is said of them, and that nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatpose.harness import catalog, collect, tradeoff

DATA = Path(__file__).parents[1] / "reports" / "data"
TABLE2 = catalog.load("table2")


@pytest.fixture(scope="module")
def panels() -> list[dict]:
    return tradeoff.plot_data(TABLE2, collect.load(DATA / "table2.json", "table2"))["panels"]


def test_an_odd_last_panel_fills_its_row():
    assert tradeoff.places(1) == [(0, (0, 1))]
    assert tradeoff.places(3) == [(0, (0, 1)), (0, (1, 2)), (1, (0, 2))]
    assert tradeoff.places(4) == [(0, (0, 1)), (0, (1, 2)), (1, (0, 1)), (1, (1, 2))]


def test_axes_hold_whole_markers_and_whiskers():
    low, high = tradeoff.y_range([{"y": 0.0, "interval": None}, {"y": 2.0, "interval": [1.5, 2.8]}])
    assert low < -0.1 and high > 2.9


def test_the_published_panel_says_whose_boxes_differ(panels):
    published = panels[0]
    assert published["title"].startswith("Published accuracy") and len(published["points"]) == 16
    assert "boxes of FlatPose-B, FlatPose-L: probably ground truth (reading R15)" in published["subtitle"]
    assert tradeoff.boxes_note(catalog.load("controlled")) == ""


def test_measured_points_have_their_intervals(panels):
    measured = next(p for p in panels if p["title"].startswith("Measured here"))
    for p in measured["points"]:
        low, high = p["interval"]
        assert low <= high and p["n"] >= 1
    assert "bars: 95 %" in measured["subtitle"]


def test_drawn_twice_the_same(panels):
    data = {"style": 1, "metric": "AP", "families": sorted({p["family"] for q in panels for p in q["points"]}),
            "panels": [panels[0], panels[-1], panels[0]]}
    assert tradeoff.draw(data) == tradeoff.draw(data)


def test_no_other_point_beats_one_on_the_front():
    points = [{"id": i, "x": x, "y": y} for i, x, y in (("a", 1, 1), ("b", 2, 3), ("c", 3, 2), ("d", 2, 2))]
    assert tradeoff.front(points) == ["a", "b"]

from __future__ import annotations

import fake_reports as fake
import pytest

from flatpose.harness import collect, plots
from flatpose.harness.collect import RecordSet

EXPERIMENT = fake.experiment()


def data_of(records):
    [setting] = collect.settings(EXPERIMENT, RecordSet("fig1", tuple(records)))
    return plots.plot_data(EXPERIMENT, setting, collect.stale_check(fake.current))


def test_plot_data():
    data = data_of(fake.full())
    assert [c["name"] for c in data["curves"]] == ["heatmap", "SimCC", "FlatPose"]
    assert [p["x"] for p in data["curves"][0]["points"]] == [4, 8, 16, 32]
    point = data["curves"][0]["points"][0]
    assert point["n"] == 3 and len(point["seeds"]) == 3 and not point["stale"]
    assert point["interval"][0] < point["y"] < point["interval"][1]
    assert [p["y"] for p in data["ceilings"][0]["points"]] == [99.5, 97.0, 82.0, 31.0]
    assert data["published"][0]["points"] == [{"x": 4, "y": 71.8}, {"x": 32, "y": 17.2}]
    assert [t["label"] for t in data["ticks"]] == ["4\n32×24", "8\n16×12", "16\n8×6", "32\n4×3"]
    assert data["boxes"] == "ground-truth boxes" and data["title"].startswith("quick · embedded")


def test_failed_points_are_left_out():
    run = fake.run_of(EXPERIMENT.rows[1])
    made = [r for r in fake.full(seeds=(0,)) if r["spec_hash"] != fake.spec_hash(run)] + [fake.failed(run)]
    assert [p["x"] for p in data_of(made)["curves"][0]["points"]] == [4, 16, 32]


def test_one_seed_has_whiskers_over_images():
    point = data_of(fake.full(seeds=(0,)))["curves"][0]["points"][0]
    assert point["n"] == 1 and point["interval"] == pytest.approx([point["y"] - 2, point["y"] + 1])
    assert plots.whiskers(point) == [[pytest.approx(2)], [pytest.approx(1)]]
    assert b"bootstrap over images, one seed" in plots.draw(data_of(fake.full(seeds=(0,))))
    assert b"t-interval over seeds" in plots.draw(data_of(fake.full()))


def test_whiskers_never_point_inwards():
    assert plots.whiskers({"y": 0.0, "interval": [0.1, 0.2]}) == [[0.0], [0.2]]
    assert plots.whiskers({"y": 0.0, "interval": None}) is None


def test_svg_is_the_same_twice_and_dateless():
    data = data_of(fake.full())
    first = plots.draw(data)
    assert first == plots.draw(data) and b"<dc:date>" not in first
    for text in (b"Codec ceiling, no training", b"Paper (COCO), published", b"Measured here: quick"):
        assert text in first


def test_a_changed_number_is_told_from_another_matplotlib():
    data = data_of(fake.full())
    svg = plots.draw(data)
    other_version = svg.replace(b"matplotlib ", b"matplotlib 0.", 1)
    other_version = other_version.replace(b"stroke-width: 1.8", b"stroke-width: 1.80")
    assert plots.same_plot(other_version, svg)
    assert not plots.same_plot(svg.replace(b"stroke-width: 1.8", b"stroke-width: 1.9"), svg)
    data["curves"][0]["points"][0]["y"] += 1
    changed = plots.draw(data)
    assert not plots.same_plot(svg, changed) and not plots.same_plot(other_version, changed)
    assert not plots.same_plot(b"<svg/>", svg)


def test_published_points_alone():
    data = plots.plot_data(EXPERIMENT, None)
    assert not any(c["points"] for c in data["curves"]) and b"Measured here" not in plots.draw(data)


def test_markers_at_zero_are_whole():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    plots._frame(axes, data_of(fake.full()), "t", "", highest=2.0)
    assert axes.get_ylim()[0] < 0 <= min(axes.get_yticks())

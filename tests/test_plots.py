"""What the pictures show, that their bytes are stable, and that names do not overlap."""

from __future__ import annotations

import math
import re

import pandas as pd
from made_frames import frames, line

from flatpose.harness import catalog, drawing, plots

STRIDES = (4, 8, 16, 32)


def fig1(seeds=(0, 1), top=0.6):
    lines = [line("fig1", f"{series}_s{s}", seed, AP=top / (s if series == "heatmap" else 2) + 0.01 * seed,
                  AP_low=0.0, AP_high=0.1) for seed in seeds
             for series in ("heatmap", "simcc") for s in STRIDES]
    lines += [line("fig1", f"heatmap_s{s}", 0, kind="ceiling", weights=None, AP=0.9 / s) for s in STRIDES]
    return frames(lines)


def table2(gflops=None, ap=0.5):
    rows = catalog.load("table2").rows
    costs = {("table2", r.id): {"gflops": r.published.gflops, "published_gflops": r.published.gflops} for r in rows}
    return frames([line("table2", r.id, 0, AP=ap, gflops=i + 1.0) for i, r in enumerate(rows)], costs)


def texts(svg: bytes) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)", svg.decode()))


def test_curves_show_measured_ceiling_and_published_over_the_size_of_the_map():
    caption, svg = plots.files(fig1(), "fig1")["fig1.svg"]
    found = texts(svg)
    for text in ("64×48", "32×24", "8×6", "71.8", "17.2", "over seeds", "SimCC"):
        assert text in found, text
    assert "heatmap 15.5 → 2.4; SimCC 30.5 → 30.5 (undecided)" in caption
    assert "one seed" in texts(plots.files(fig1(seeds=(0,)), "fig1")["fig1.svg"][1])
    assert plots.files(frames([]), "fig1") == {}


def test_equal_data_give_equal_bytes_without_a_date():
    _, first = plots.files(fig1(), "fig1")["fig1.svg"]
    assert first == plots.files(fig1(), "fig1")["fig1.svg"][1] and b"<dc:date>" not in first


def test_a_changed_number_is_not_taken_for_another_matplotlib():
    svg, changed = (plots.files(fig1(top=top), "fig1")["fig1.svg"][1] for top in (0.6, 0.61))
    other = svg.replace(b"matplotlib ", b"matplotlib 0.", 1).replace(b"stroke-width: 1.3", b"stroke-width: 1.30")
    assert plots.same_plot(svg, svg) and plots.same_plot(other, svg)
    assert not plots.same_plot(svg.replace(b"stroke-width: 1.3", b"stroke-width: 1.4"), svg)
    assert not plots.same_plot(svg, changed) and not plots.same_plot(other, changed)
    assert not plots.same_plot(b"<svg/>", svg)


def test_cost_has_a_front_and_no_networks_at_the_floor():
    caption, svg = plots.files(table2(), "table2")["table2.tradeoff.svg"]
    assert "cost counted alike: FlatPose-B, FlatPose-L, FlatPose-L 384." in caption
    assert "probably ground truth (reading R15)" in texts(svg) and "Accuracy measured here" in texts(svg)
    assert "Accuracy measured here" not in texts(plots.files(table2(ap=0.005), "table2")["table2.tradeoff.svg"][1])
    assert plots.files(frames([]), "controlled") == {}
    points = pd.DataFrame({"label": list("abcd"), "x": [1, 2, 3, 2], "mean": [1, 3, 2, 2]})
    assert [*plots._front(points, "x").label] == ["a", "b"]


def test_ceilings_draw_a_codec_without_cells_as_a_level_line():
    found = pd.DataFrame([("map", plots.CODECS[0], s, 0.9 / s, "d") for s in STRIDES]
                         + [("map", plots.CODECS[5], math.nan, 0.98, "d"), ("ratio", "argmax", 1.0, 0.5, "d")],
                         columns=["part", "series", "x", "mean", "data"])
    svg = plots.ceilings(found, pd.DataFrame({"x": [4, 32], "mean": [0.718, 0.172]}), "")
    assert plots.CODECS[5] in texts(svg) and "argmax" not in texts(svg) and "64×48" in texts(svg)


def test_whiskers_never_point_inwards():
    points = pd.DataFrame({"mean": [0.0, 0.5], "low": [0.1, math.nan], "high": [0.2, math.nan]})
    low, high = drawing.whiskers(points)
    assert [*low] == [0, 0] and [*high] == [20, 0]
    assert drawing.whiskers(points.assign(low=math.nan)) is None

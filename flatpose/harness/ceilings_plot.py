"""The picture of the codec ceilings: by feature map, by SimCC's bins per pixel, by the width of its label."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from flatpose.harness.plots import CARD, COLOURS, GRID, INK, MARKERS, MUTED, digest
from flatpose.harness.svg import adaptive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = dict[str, Any]
STYLE_VERSION = 2
PUBLISHED = ((4, 71.8), (32, 17.2))
SHORT = {"heatmap as in HRNet": "heatmap (HRNet)", "heatmap, unrounded, quarter step": "heatmap, unrounded",
         "heatmap, DARK": "DARK", "heatmap, UDP's own step": "UDP",
         "SimCC, one bin per cell": "SimCC, bin per cell", "SimCC, 2 bins per pixel": "SimCC, 2 per pixel"}
LINES = ("-", "--", "-.", "--", ":", "-")
LABELS = {"argmax": "highest bin", "expectation": "expected bin"}


def plot_data(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Curves (AP x 100 on COCO at 256x192) of the three panels; a codec without cells is a level line."""
    panels = {}
    for part in ("map", "ratio", "sigma"):
        rows = [e for e in entries if e["task"] == "coco" and e["part"] == part and e["image_size"] == [192, 256]]
        xs = sorted({e["x"] for e in rows if e["x"]})
        curves = []
        for name in dict.fromkeys(e["series"] for e in rows):
            own = [(e["x"], round(100 * e["metrics"]["AP"], 6)) for e in rows if e["series"] == name]
            points = sorted((x, y) for x, y in own if x) or [(x, own[0][1]) for x in xs]
            if part != "map" or name in SHORT:
                curves.append({"name": name, "points": points})
        panels[part] = {"xs": xs, "curves": curves}
    return {"style": STYLE_VERSION, "data": next((e["data"] for e in entries if e["task"] == "coco"), ""), **panels}


def draw(entries: Sequence[dict[str, Any]], format: str = "svg") -> bytes:
    """SVG (or PNG, to look at); the same bytes for the same data and matplotlib."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    data = plot_data(entries)
    style: Any = {**matplotlib.rcParamsDefault, "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10,
                  "axes.edgecolor": INK, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                  "ytick.color": INK}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(14.5, 4.8), facecolor=CARD)
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
        figure.subplots_adjust(left=0.05, right=0.97, top=0.83, bottom=0.14, wspace=0.18)
        _map_panel(left, data)
        _panel(middle, data["ratio"], "Bins per pixel", "SimCC, sigma 3 pixels and at least half a bin",
               "bins per input pixel", LABELS)
        _panel(right, data["sigma"], "Width of SimCC's label", "256×192 input", "sigma of the label, input pixels",
               {c["name"]: c["name"].replace("argmax", "highest bin").replace("expectation", "expected bin")
                .replace(" bins per pixel", " per pixel") for c in data["sigma"]["curves"]})
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "flatpose-exp", "Title": "Codec ceilings",
                    "Description": f"matplotlib {matplotlib.__version__}, data {digest(data)}"}
        figure.savefig(buffer, format=format, facecolor=CARD, metadata=metadata if format == "svg" else None)
    return adaptive(buffer.getvalue()) if format == "svg" else buffer.getvalue()


def _map_panel(axes: Axes, data: dict[str, Any]) -> None:
    _panel(axes, data["map"], f"Codec ceiling: {data['data']}", "ground truth encoded and decoded, 256×192 input",
           "feature map (pixels per cell)", SHORT)
    xs = data["map"]["xs"]
    axes.set_xticks(xs, [f"{256 / x:g}×{192 / x:g}\n({x:g})" for x in xs])
    axes.plot(*zip(*PUBLISHED, strict=True), linestyle="", color=INK, marker="o", markerfacecolor=CARD, markersize=8,
              label="paper, trained heatmap", zorder=2)
    _legend(axes, "lower left")


def _panel(axes: Axes, panel: dict[str, Any], title: str, subtitle: str, x_label: str, names: dict[str, str]) -> None:
    for index, curve in enumerate(panel["curves"]):
        axes.plot(*zip(*curve["points"], strict=True), color=COLOURS[index % len(COLOURS)], linewidth=1.8,
                  marker=MARKERS[index % len(MARKERS)], markersize=6, label=names.get(curve["name"], curve["name"]),
                  linestyle=LINES[index % len(LINES)], zorder=3 + index)
    axes.set_xscale("log", base=2)
    powers = [x for x in panel["xs"] if math.log2(x).is_integer()]  # the others would stand too close
    axes.set_xticks(powers, [_fraction(x) for x in powers], fontsize=9)
    axes.minorticks_off()
    axes.set_ylim(0, 104)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(x_label)
    axes.set_ylabel("AP × 100")
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=20)
    axes.annotate(subtitle, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)
    _legend(axes, "lower center")


def _legend(axes: Axes, place: Literal["lower left", "lower center"]) -> None:
    if axes.lines:
        axes.legend(frameon=False, fontsize=8.5, loc=place, labelcolor=INK)


def _fraction(x: float) -> str:
    """0.125 -> "1/8"."""
    return f"{x:g}" if x >= 1 else f"1/{1 / x:g}"

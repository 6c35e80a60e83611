"""Plots of the pages as SVG: accuracy over a grid, against cost, codec ceilings, and the effect of the boxes.

Every function takes selections of the frame (metrics in 0..1, drawn x 100) and returns the bytes of one SVG file, which
are the same for the same data and the same drawing libraries. The caption is the file's title (:func:`caption`).
Matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

import hashlib
import html
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARD, INK, MUTED, GRID = "#FFFFFF", "#24292F", "#57606A", "#D8DEE4"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P")
OURS, OTHERS = COLOURS[0], COLOURS[1]
STYLE: dict[str, Any] = {
    "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 22, "axes.labelsize": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD,
    "lines.linewidth": 1.8, "lines.markersize": 6.5, "xtick.minor.size": 0, "ytick.minor.size": 0,
    **dict.fromkeys(("axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)}
WIDTH = 8.6
"""Inches. A page shows a picture about 700 pixels wide, where letters of 10 points are 11 pixels high."""
DASHED = (0, (4, 3))
FLOOR = 0.01
"""Networks below 1 AP are not drawn: their order means nothing."""
HIGH = 0.3
"""A best value above this shares the axis from 0 to 100 with the codec ceilings."""
DARK = {"#ffffff": "#0d1117", "#24292f": "#e6edf3", "#57606a": "#9da5ae", "#d8dee4": "#30363d", "#d55e00": "#f0763a",
        "#0072b2": "#58a6ff", "#009e73": "#2fc391", "#cc79a7": "#d98cb8"}
"""Colours for a dark page; the other two serve both."""
LIGHT_TEXT = {"#d55e00": "#b04c00", "#009e73": "#00785a", "#cc79a7": "#a8467c", "#e69f00": "#8f6200",
              "#56b4e9": "#1a6fa8"}
"""Text needs more contrast on white than lines do."""
Points = pd.DataFrame


def curves(points: Points, ceilings: Points, published: Points, *, title: str, caption: str, x_label: str,
           metric: str = "AP", ticks: Mapping[float, str] | None = None, log2: bool = True) -> bytes:
    """A metric over a grid, one curve per series.

    Args:
        points: Measured here; columns series, x, mean, low, high.
        ceilings: Of each series' codec; columns series, x, mean. Drawn dashed.
        published: The paper's values; columns series, x, value.
        ticks: Label of each x.
    """
    names = list(dict.fromkeys([*points.series, *ceilings.series, *published.series]))
    style = {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
    xs = sorted({*points.x, *ceilings.x, *published.x})
    labels = [(ticks or {}).get(x, f"{x:g}") for x in xs]
    best = points[["mean", "high"]].max(axis=None) if len(points) else 0.0
    beside = len(ceilings) + len(published) > 0

    def scale(axes: Axes, top: float, heading: str, note: str) -> None:
        _log2(axes, xs, labels) if log2 else axes.set_xticks(xs, labels)
        axes.set_ylim(-0.03 * top, top)
        axes.set_xlabel(x_label)
        _heading(axes, heading, note)

    def measured(axes: Axes) -> None:
        for name, curve in points.sort_values("x").groupby("series", sort=False):
            colour, marker = style[str(name)]
            axes.errorbar(curve.x, 100 * curve["mean"], yerr=_whiskers(curve), color=colour, marker=marker,
                          capsize=3, elinewidth=1.2, zorder=4)
        dashed(axes)
        scale(axes, 104 if best > HIGH else max(112 * best, 1), f"Measured here: {title}", _bars(points))
        axes.set_ylabel(f"{metric} × 100")
        _end_labels(axes, points, style)

    def dashed(axes: Axes) -> None:
        for name, curve in ceilings.sort_values("x").groupby("series", sort=False):
            axes.plot(curve.x, 100 * curve["mean"], color=style[str(name)][0], linestyle=DASHED, linewidth=1.3)

    def reference(axes: Axes) -> None:
        dashed(axes)
        for row in published.itertuples():
            colour, marker = style[row.series]
            axes.plot(row.x, 100 * row.value, marker=marker, color=colour, markerfacecolor=CARD, markersize=8,
                      markeredgewidth=1.8, zorder=4)
            axes.annotate(f"{100 * row.value:.1f}", (row.x, 100 * row.value), xytext=(8, 5), color=colour,
                          textcoords="offset points", fontsize=9)
        scale(axes, 104, "Codec ceiling, and the paper", "dashed: no network; hollow: published")
        _end_labels(axes, ceilings, style)

    def paint(figure: Figure) -> None:
        parts = [*([measured] if len(points) else []), *([reference] if beside else [])]
        widths = [1.5, 1.0] if len(parts) == 2 else [1.0]
        grid = figure.add_gridspec(1, len(parts), width_ratios=widths, wspace=0.5, left=0.08, right=0.87,
                                   bottom=0.17, top=0.84)
        for cell, part in zip(grid, parts, strict=True):
            part(figure.add_subplot(cell))

    return _svg((WIDTH, 4.2), paint, caption, [points, ceilings, published])


def tradeoff(published: Points, measured: Points, *, caption: str, machine: str, title: str,
             metric: str = "AP") -> bytes:
    """Accuracy against cost, with the front of rows that no other row beats on both.

    Args:
        published: The paper's accuracy with our counts; columns label, ours, value, gflops, printed_gflops, time (in
            units of FlatPose-B's).
        measured: Networks trained here, in one setting; columns label, ours, mean, low, high, gflops (as run).
        machine: What the times were measured on.
    """
    trained = measured[measured["mean"] >= FLOOR] if len(measured) else measured
    by_count, by_time = (published.dropna(subset=["value", x]) for x in ("gflops", "time"))
    panels: list[tuple[Points, str, str, str, str]] = [
        (by_count, "gflops", "Published accuracy; multiply-adds counted alike", "grey bars: GFLOPs as printed",
         "multiply-adds (G), every matrix product"),
        (by_time, "time", "Published accuracy; time measured here", f"{machine}, one image, eager mode",
         "time of a forward pass, in units of FlatPose-B's"),
        (trained, "gflops", f"Measured here: {title}", _bars(trained), "multiply-adds (G) of the networks as run")]
    panels = [panel for panel in panels if len(panel[0]) > 2]

    def paint(figure: Figure) -> None:
        all_axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        height = 4.3 * len(panels)
        figure.subplots_adjust(left=0.08, right=0.98, top=1 - 0.6 / height, bottom=0.55 / height, hspace=0.4)
        for axes, (points, x, heading, note, x_label) in zip(all_axes, panels, strict=True):
            y = "value" if "value" in points else "mean"
            _cost_axes(axes, points, x, y)
            axes.set_xlabel(x_label)
            axes.set_ylabel(f"{metric} × 100")
            _heading(axes, heading, note)
            _scatter(axes, points, x, y)

    return _svg((WIDTH, 4.3 * len(panels)), paint, caption, [published, measured])


def _cost_axes(axes: Axes, points: Points, x: str, y: str) -> None:
    """A logarithmic cost axis labelled 1, 2, 5, 10, …; both axes leave room for the names."""
    costs = pd.concat([points[x], points["printed_gflops"].dropna()]) if x == "gflops" and y == "value" else points[x]
    axes.set_xscale("log")
    axes.set_xlim(costs.min() / 1.5, costs.max() * 1.5)
    ticks = [m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5)]
    axes.set_xticks([t for t in ticks if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    values = points[[c for c in (y, "low", "high") if c in points]]
    low, high = 100 * values.min(axis=None), 100 * values.max(axis=None)
    margin = 0.12 * (high - low or 1.0)
    axes.set_ylim(low - margin, high + margin)


def _scatter(axes: Axes, points: Points, x: str, y: str) -> None:
    """Points with their whiskers, names and front; where the printed cost differs, a grey bar leads to it."""
    front = points.sort_values([x, y], ascending=[True, False])
    front = front[front[y] > front[y].cummax().shift(fill_value=-math.inf)]
    line = axes.plot(front[x], 100 * front[y], color=MUTED, linewidth=1.2, linestyle=DASHED, zorder=2)
    for row in points.to_dict("records"):
        printed = row.get("printed_gflops") if x == "gflops" else None
        if printed and abs(printed / row[x] - 1) > 0.03:
            axes.plot([printed, row[x]], [100 * row[y]] * 2, color=GRID, linewidth=3, zorder=1)
    for ours, some in points.groupby(points.ours.astype(bool)):
        axes.errorbar(some[x], 100 * some[y], yerr=_whiskers(some, y), fmt="D" if ours else "o",
                      color=OURS if ours else OTHERS, capsize=3, elinewidth=1.2, zorder=4)
    _names(axes, points[x], 100 * points[y], points.label, points.ours, line)


def ceilings(found: Points, published: Points, *, caption: str, where: str, metric: str = "AP") -> bytes:
    """Codec ceilings over map size, bins per pixel and label width.

    Args:
        found: One benchmark at one input size; columns part (map, ratio, sigma), series, label, x, value. A codec
            without cells has no x and is drawn as a level line.
        published: The paper's heatmap over map size; columns x, value.
    """
    panels = {"map": ("Ceiling by feature map", where, "cells of the feature map"),
              "ratio": ("SimCC by bins per pixel", "sigma: 3 pixels, at least half a bin", "bins per input pixel"),
              "sigma": ("SimCC by label width", where, "sigma of the label, input pixels")}

    def paint(figure: Figure) -> None:
        grid = figure.add_gridspec(2, 2, left=0.08, right=0.83, bottom=0.08, top=0.93, hspace=0.42, wspace=0.75)
        places = {"map": grid[0, :], "ratio": grid[1, 0], "sigma": grid[1, 1]}
        for part, place in places.items():
            rows = found[found.part == part]
            if len(rows):
                panel(figure.add_subplot(place), rows, *panels[part])

    def panel(axes: Axes, rows: Points, heading: str, note: str, x_label: str) -> None:
        xs = sorted(rows.x.dropna().unique())
        drawn = pd.concat([rows.dropna(subset=["x"]), *(level.drop(columns="x").merge(pd.DataFrame({"x": xs}), "cross")
                          for _, level in rows[rows.x.isna()].groupby("series"))])
        style = {}
        for i, (name, curve) in enumerate(drawn.sort_values("x").groupby("label", sort=False)):
            style[str(name)] = colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            axes.plot(curve.x, 100 * curve.value, color=colour, marker=marker, markersize=5)
        is_map = rows.part.iloc[0] == "map"
        if is_map and len(published):
            axes.plot(published.x, 100 * published.value, linestyle="", marker="o", color=INK, markerfacecolor=CARD,
                      markersize=9, markeredgewidth=1.6, zorder=5)
            note += "; hollow: the paper's trained heatmap"
        shown = xs if is_map else [x for x in xs if math.log2(x).is_integer()][::2]
        _log2(axes, xs, None)
        axes.set_xticks(shown, [f"{256 / x:g}×{192 / x:g}" if is_map else _fraction(x) for x in shown])
        axes.set_ylim(-3, 104)
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{metric} × 100")
        _heading(axes, heading, note)
        _end_labels(axes, drawn.rename(columns={"value": "mean"}).assign(series=drawn.label), style)

    return _svg((WIDTH, 7.6), paint, caption, [found, published])


def boxes(pairs: Points, paper: Points, ours: Points, caption: str = "") -> bytes:
    """AR − AP against AP: an arrow leads from each network's detector boxes to its ground-truth boxes.

    Args:
        pairs: Public networks; columns label, AP_det, AR_det, AP_gt, AR_gt.
        paper: Rows of Table 2; columns label, AP, AR. FlatPose's are marked.
        ours: As ``pairs``, of networks trained here; drawn in a panel of their own.
    """
    def paint(figure: Figure) -> None:
        parts = [(pairs, paper, "Published networks and Table 2"), (ours[ours.AP_gt >= FLOOR], paper[:0],
                 "Networks trained here")] if len(ours) else [(pairs, paper, "Published networks and Table 2")]
        parts = [part for part in parts if len(part[0]) + len(part[1])]
        all_axes = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
        height = 4.6 * len(parts)
        figure.subplots_adjust(left=0.08, right=0.98, top=1 - 0.6 / height, bottom=0.55 / height, hspace=0.4)
        for axes, (arrows, rows, heading) in zip(all_axes, parts, strict=True):
            panel(axes, arrows, rows, heading)

    def panel(axes: Axes, arrows: Points, rows: Points, heading: str) -> None:
        flat = rows.label.str.startswith("FlatPose") if len(rows) else pd.Series([], dtype=bool)
        lines = []
        for row in arrows.itertuples():
            start, end = ((100 * ap, 100 * (ar - ap)) for ap, ar in ((row.AP_det, row.AR_det), (row.AP_gt, row.AR_gt)))
            axes.annotate("", end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": OTHERS, "linewidth": 1.4})
            lines += axes.plot(*zip(start, end, strict=True), color=OTHERS, marker="o", markersize=4, linestyle="")
        axes.plot(100 * rows.AP[~flat], 100 * (rows.AR - rows.AP)[~flat], "o", color=MUTED, markerfacecolor=CARD)
        axes.plot(100 * rows.AP[flat], 100 * (rows.AR - rows.AP)[flat], "D", color=OURS, markersize=8)
        axes.margins(0.08, 0.14)
        axes.set_xlabel("AP × 100")
        axes.set_ylabel("(AR − AP) × 100")
        notes = "arrow: detector to ground-truth boxes; hollow: Table 2, other systems; diamond: FlatPose"
        _heading(axes, heading, notes if len(rows) else "arrow: detector to ground-truth boxes")
        ends = arrows.assign(AP=arrows.AP_gt, AR=arrows.AR_gt)[["label", "AP", "AR"]]
        named = pd.concat([ends, rows[["label", "AP", "AR"]][flat]]) if len(rows) else ends
        _names(axes, 100 * named.AP, 100 * (named.AR - named.AP), named.label,
               named.label.str.startswith("FlatPose"), lines)

    panels = 1 + bool(len(ours) and (ours.AP_gt >= FLOOR).any())
    return _svg((WIDTH, 4.6 * panels), paint, caption, [pairs, paper, ours])


def caption(svg: bytes) -> str:
    """The finding that the picture shows, from the title of the file."""
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg.decode(), re.DOTALL)
    return html.unescape(found[1]) if found else ""


def same_plot(committed: bytes, fresh: bytes) -> bool:
    """Whether two files show the same: no coordinate differs by half a point or more.

    Where other versions of the drawing libraries made one of them, equal data are enough.
    """
    if committed == fresh:
        return True
    stamps = [re.search(rb"drawn by (.*?), data (\w+)", svg) for svg in (committed, fresh)]
    if not all(stamps):
        return False
    (old, old_data), (new, new_data) = (s.groups() for s in stamps if s)
    return old_data == new_data and (old != new or _same_numbers(committed, fresh))


def _same_numbers(a: bytes, b: bytes) -> bool:
    """Equal text, and numbers within half a point; ids that matplotlib derives from coordinates are ignored."""
    number = rb"(-?\d+\.\d+)"
    parts = [re.split(number, re.sub(rb'(id="|#)[a-z][0-9a-f]{10}\b', rb"\1", svg)) for svg in (a, b)]
    same_text = parts[0][::2] == parts[1][::2]
    return same_text and all(abs(float(x) - float(y)) < 0.5 for x, y in zip_longest(parts[0][1::2], parts[1][1::2]))


def _svg(size: tuple[float, float], paint: Callable[[Figure], None], title: str, data: Sequence[Points]) -> bytes:
    """The figure that ``paint`` draws; its description names the data's digest and the drawing libraries."""
    import adjustText
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    defaults: Any = {**matplotlib.rcParamsDefault, **STYLE}  # a user's matplotlibrc must not change the bytes
    digest = hashlib.sha256("".join(d.to_json(orient="split", double_precision=6) for d in data).encode()).hexdigest()
    drawn_by = f"drawn by matplotlib {matplotlib.__version__} and adjustText {adjustText.__version__}"
    with matplotlib.rc_context(defaults):
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        paint(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={
            "Date": None, "Creator": "flatpose-exp", "Title": title, "Description": f"{drawn_by}, data {digest[:16]}"})
    return _adaptive(buffer.getvalue())


def _adaptive(svg: bytes) -> bytes:
    """The picture with a style sheet that follows the reader's colour scheme."""
    dark = "".join(f'[style*="{what}: {old}"]{{{what}:{new}!important}}'
                   for old, new in DARK.items() for what in ("fill", "stroke"))
    light = "".join(f'text[style*="fill: {old}"]{{fill:{new}!important}}' for old, new in LIGHT_TEXT.items())
    rules = f"@media (prefers-color-scheme:dark){{{dark}}}@media (prefers-color-scheme:light){{{light}}}"
    return svg.replace(b"</style>", f"</style>\n  <style>{rules}</style>".encode(), 1)


def _heading(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title)
    axes.annotate(note, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)


def _log2(axes: Axes, xs: Sequence[float], labels: Sequence[str] | None) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(xs, labels)
    axes.minorticks_off()
    axes.set_xlim(xs[0] / 2**0.3, xs[-1] * 2**0.3)


def _fraction(x: float) -> str:
    """0.125 -> "1/8"."""
    return f"{x:g}" if x >= 1 else f"1/{1 / x:g}"


def _whiskers(points: Points, y: str = "mean") -> Any:
    """Distances from the points to the ends of their intervals, for errorbar; None where there are none."""
    if "low" not in points or points.low.isna().all():
        return None
    return [100 * (points[y] - points.low).clip(lower=0).fillna(0), 100 * (points.high - points[y]).clip(lower=0).fillna(0)]


def _bars(points: Points) -> str:
    """What the whiskers are."""
    if not len(points) or points.low.isna().all():
        return ""
    seeds = sorted(set(points.n))
    over = {True: "95 % t-interval over seeds", False: "95 % bootstrap over images, one seed"}
    kinds = {n > 1 for n in seeds}
    return "bars: " + (over[kinds.pop()] if len(kinds) == 1 else "95 %, over seeds, or over images for one seed")


def _end_labels(axes: Axes, points: Points, style: Mapping[str, tuple[str, str]], gap: float = 5.0) -> None:
    """Names at the right end of their curves, at least ``gap`` per cent of the axis apart; equal ends share one."""
    ends = points.sort_values("x").groupby("series", sort=False)["mean"].last().mul(100).round(1)
    low, step = -math.inf, gap * axes.get_ylim()[1] / 100
    for y, names in sorted(ends.groupby(ends).groups.items()):
        if y > axes.get_ylim()[1]:
            continue
        low = max(y, low + step)
        colour = style[names[0]][0] if len(names) == 1 else MUTED
        axes.annotate(",\n".join(names), (1, low), xytext=(6, 0), xycoords=("axes fraction", "data"), color=colour,
                      textcoords="offset points", va="center", fontsize=9, annotation_clip=False)
        low += step * (len(names) - 1)


def _names(axes: Axes, x: Iterable[float], y: Iterable[float], names: Iterable[str], ours: Iterable[bool],
           avoid: Sequence[Any]) -> None:
    """Names beside their points, moved by adjustText until none overlaps another or a point."""
    from adjustText import adjust_text

    texts = [axes.text(a, b, name, fontsize=9, color=OURS if bold else INK, fontweight="bold" if bold else "normal",
                       zorder=5) for a, b, name, bold in zip(x, y, names, ours, strict=True)]
    adjust_text(texts, ax=axes, objects=list(avoid), iter_lim=500, expand=(1.08, 1.3),
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.7})
